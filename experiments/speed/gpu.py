"""``make bench-gpu``: speed of GRPO on a GPU at the shapes of Qwen2.5-VL-3B and 7B, with random weights.

Runs the recipe ``configs/qwen2_5_vl/grpo.yaml`` on one GPU through the ordinary trainer: LoRA on the language model,
frozen parts in bfloat16, the embedded engine. Only sizes change. Weights are drawn on the GPU, without a download,
because speed does not depend on their values. Every completion has exactly T tokens, every reward differs, and every
sample is used for learning.

Model FLOPs of an update, per token: 2 N forward and 2 N for the gradients of activations, N the language model's
parameters; 2 N more where activations are computed again. Weights that are frozen have no gradient of their own, and
attention and the vision tower are left out, so the utilisation (MFU) is a lower bound. A group reads its prompt once.

Writes runs/bench/gpu.json, one entry per size: completion tokens per second of sampling, tokens per second and MFU of
updates, seconds by part, peak memory in GiB. Without a GPU nothing is measured, and the command fails with a sentence.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from transformers import AutoModelForImageTextToText, Qwen2_5_VLConfig, Qwen2_5_VLProcessor, Qwen2VLImageProcessorPil

from cli.app import run
from datamodules.rows.prompt_rows import read_prompts
from experiments.model_shapes import QWEN_VL_3B, QWEN_VL_7B, QWEN_VL_VISION, qwen2_5_vl
from experiments.speed.clock import WARM_UP
from experiments.speed.endless import without_end
from experiments.speed.grpo import StepParts
from models import Policy, PolicySource
from models.assembly.tiny import word_tokenizer
from models.loading.processors import image_only

OUT = Path("runs/bench/gpu.json")
SIZES = {"3b": QWEN_VL_3B, "7b": QWEN_VL_7B}
# Dense bfloat16 FLOP/s by the vendor's data sheet.
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
ON_ONE_GPU = ["--config=configs/hardware/single_gpu.yaml"]
IMAGE_SIDE = 448  # pixels: 16 x 16 patches of 28 pixels, 256 image tokens
WORDS = [f"word{i}" for i in range(200)]
IMAGE, VIDEO, START, END = "<image>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"


class RandomQwenVL(PolicySource):
    """A Qwen2.5-VL of a published size with random bfloat16 weights on the GPU; its completions never end."""

    is_repeatable = True

    def __init__(self, size: str) -> None:
        """Choose the size: ``3b`` or ``7b``."""
        self.size = size

    def build(self) -> Policy:
        """Return the policy, on the GPU if there is one."""
        torch.manual_seed(0)
        tokenizer: Any = word_tokenizer([*WORDS, START, END, VIDEO])
        text = SIZES[self.size] | {
            "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
        }  # fmt: skip
        marks = {"image": IMAGE, "video": VIDEO, "vision_start": START, "vision_end": END}
        make_config: Any = Qwen2_5_VLConfig
        config = make_config(
            text_config=text,
            vision_config=QWEN_VL_VISION | {"out_hidden_size": text["hidden_size"]},
            tie_word_embeddings=text["tie_word_embeddings"],
            **{f"{mark}_token_id": tokenizer.convert_tokens_to_ids(token) for mark, token in marks.items()},
        )
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
        make_images: Any = Qwen2VLImageProcessorPil
        side = {"shortest_edge": IMAGE_SIDE**2, "longest_edge": IMAGE_SIDE**2}
        processor: Any = image_only(Qwen2_5_VLProcessor)(
            image_processor=make_images(patch_size=14, merge_size=2, size=side),
            tokenizer=tokenizer,
            chat_template=tokenizer.chat_template.replace(IMAGE, f"{START}{IMAGE}{END}"),
        )
        return without_end(Policy(model, processor))


class GpuParts(StepParts):
    """Measures the parts of a step, and the memory of the GPU."""

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note the time of an optimizer step, and start to measure memory after the warm-up."""
        steps = len(self.clock.ends)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if len(self.clock.ends) == WARM_UP + 1 > steps and torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the chosen sizes one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=[*SIZES], default=["3b"])
    parser.add_argument("--prompts", type=int, default=16, help="P, per step")
    parser.add_argument("--group-size", type=int, default=8, help="G")
    parser.add_argument("--tokens", type=int, default=256, help="T, of every completion")
    parser.add_argument("--micro-batches", type=int, default=8, help="of a step")
    parser.add_argument("--recompute", action="store_true", help="compute activations again in backward")
    parser.add_argument("--steps", type=int, default=5, help=f"the first {WARM_UP} are not counted")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        raise SystemExit(
            "There is no CUDA device here, so nothing was measured: run make bench-gpu where there is one."
        )
    results = {size: measure(size, options) for size in options.sizes}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    settings = vars(options) | {"torch": torch.__version__, "device": torch.cuda.get_device_name()}
    OUT.write_text(json.dumps({"results": results, "settings": settings}, indent=1) + "\n")
    table = Table(title=f"GRPO on one {settings['device']}")
    for heading in ("model", "sampling, tokens/s", "update, tokens/s", "MFU", "step, s", "peak, GiB"):
        table.add_column(heading, justify="right")
    for size, result in results.items():
        mfu = "unknown" if result["mfu"] is None else f"{result['mfu']:.0%}"
        speeds = (f"{result[name]:,.0f}" for name in ("sampled_tokens_per_second", "update_tokens_per_second"))
        table.add_row(size, *speeds, mfu, f"{result['step_seconds']:.2f}", f"{result['peak_gibibytes']:.1f}")
    Console().print(table)


def measure(size: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one size."""
    with tempfile.TemporaryDirectory() as root:
        write_prompts(Path(root), options.prompts * options.steps)
        trainer: Any = run(flags(size, Path(root), options)).trainer
        prompts = read_prompts(Path(root) / "train.jsonl", Path(root), max_image_pixels=10**6).prompts
        prompt_tokens = len(trainer.lightning_module.policy.encoder.encode(prompts[0]).token_ids)
    clock = next(callback for callback in trainer.callbacks if type(callback).__name__ == "GpuParts").clock
    completions = options.prompts * options.group_size
    update_tokens = options.prompts * prompt_tokens + completions * options.tokens
    update = sum(clock.totals(part) for part in ("forward", "backward"))
    shapes = qwen2_5_vl(size, SIZES[size])
    flops = (6 if options.recompute else 4) * shapes.language_model * update_tokens
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    peak = next((speed for name, speed in PEAK.items() if name in device), None)
    peak_memory = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return {
        "sampled_tokens_per_second": completions * options.tokens / clock.part("sample"),
        "update_tokens_per_second": update_tokens / update,
        "mfu": None if peak is None else flops / update / peak,
        "step_seconds": clock.step,
        "sample_seconds": clock.part("sample"),
        "update_seconds": update,
        "peak_gibibytes": peak_memory / 2**30,
        "prompt_tokens": prompt_tokens,
    }


def write_prompts(folder: Path, count: int) -> None:
    """Write questions about random pictures of one size, in the general layout."""
    random = np.random.default_rng(0)
    rows = []
    for i in range(count):
        Image.fromarray(random.integers(0, 256, (IMAGE_SIDE, IMAGE_SIDE, 3), dtype=np.uint8)).save(folder / f"{i}.png")
        question = " ".join(random.choice(WORDS, 64))
        rows.append({"id": str(i), "question": question, "image": f"{i}.png", "answer": "1"})
    for split in ("train", "val"):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def flags(size: str, root: Path, options: argparse.Namespace) -> list[str]:
    """Return the command line: the recipe with other sizes."""
    part = {"accuracy": {"reward": {"class_path": "experiments.speed.endless.ChecksumReward"}, "weight": 1.0}}
    columns = {"question": "question", "images": "image", "answer": "answer"}
    rows = options.prompts * options.group_size
    return [
        "fit", "--config=configs/qwen2_5_vl/grpo.yaml", *ON_ONE_GPU,
        "--model.init_args.policy=experiments.speed.gpu.RandomQwenVL",
        f"--model.init_args.policy.init_args.size={size}",
        f"--data.init_args.source.init_args.path={root}", "--data.init_args.source.init_args.train=train",
        "--data.init_args.source.init_args.val=val",
        f"--data.init_args.source.init_args.columns={json.dumps(columns)}",
        "--data.init_args.reading.max_prompt_tokens=null",
        f"--data.init_args.prompts_per_rollout={options.prompts}",
        f"--data.init_args.micro_batches={options.micro_batches}",
        f"--trainer.accumulate_grad_batches={options.micro_batches}",
        f"--model.init_args.reward.init_args.parts={json.dumps(part)}",
        f"--model.init_args.sampling.group_size={options.group_size}",
        f"--model.init_args.sampling.max_new_tokens={options.tokens}",
        "--model.init_args.grpo.mask_truncated=false", f"--model.init_args.engine.init_args.max_rows={rows}",
        f"--model.init_args.learning.recompute_activations={str(options.recompute).lower()}",
        f"--trainer.max_steps={options.steps}", f"--trainer.default_root_dir={root}", "--trainer.limit_val_batches=0",
        "--trainer.logger=false", "--trainer.log_every_n_steps=1000000", "--trainer.enable_progress_bar=false",
        "--trainer.enable_checkpointing=false", "--callbacks.progress=null", "--callbacks.layout=null",
        "--callbacks.completions=null", "--callbacks.checkpoint=null", "--callbacks.export=null",
        "--callbacks.parts=experiments.speed.gpu.GpuParts",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
