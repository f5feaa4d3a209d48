"""The real chain on a GPU and with vLLM, as far as a machine without either can tell.

A CPU parses what a GPU would get, and computes in the GPU's precision what the overlay would compute there.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cli.app import TrainCLI, run
from experiments.real import running, stages
from experiments.real.running import Chain, run_stage
from experiments.real.scales import SCALES
from experiments.real.stages import GPU_OVERLAY, STAGES
from rollouts import VLLMEngine, VLLMServerEngine
from tests.conftest import long
from tests.experiments.small_chain import measured_on_small_photographs, small_flags

ENGINES = {"vllm": VLLMEngine, "vllm_server": VLLMServerEngine, "vllm_transfer": VLLMServerEngine}
SAMPLE = [name for name, stage in STAGES.items() if stage.samples]
# What a first step takes of the scale that is the configs as they are.
FIRST_STEP = ["--trainer.max_steps=1", "--trainer.val_check_interval=1", "--trainer.limit_val_batches=1"]
_ROWS = "--data.init_args.source.init_args"
_MPO = [
    f"{_ROWS}.num_train=16", f"{_ROWS}.num_val=2", "--data.init_args.selection.threshold=0",
    "--data.init_args.selection.kinds=[correctness,format,reward_model,dropout_ntp]",
    "--data.init_args.pairs_per_batch=2",
]  # fmt: skip
FEW_ROWS = {
    "tower": [f"{_ROWS}.num_train=128", f"{_ROWS}.num_val=8"],
    "words": [f"{_ROWS}.num_train=64", f"{_ROWS}.num_val=8"],
    "align": [f"{_ROWS}.num_train=16", f"{_ROWS}.num_val=8"],
    "answers": [f"{_ROWS}.num_train=16", f"{_ROWS}.num_val=8"],
    "grpo": [f"{_ROWS}.num_train=16", f"{_ROWS}.num_val=2"],
    "no_ssb": [f"{_ROWS}.num_train=16", f"{_ROWS}.num_val=2"],
    "reward_model": [
        "--data.init_args.pairs.init_args.num_train=8", "--data.init_args.pairs.init_args.num_val=2"
    ],
    "pairs": [f"{_ROWS}.num_train=4"],
    "sft": _MPO,
    "mpo": _MPO,
}  # fmt: skip


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "hardware", lambda: [GPU_OVERLAY])


def parsed(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    with pytest.raises(SystemExit) as stopped:
        run([*arguments, "--print_config"])
    assert stopped.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize("name", [name if name == "grpo" else long(name, name=name) for name in STAGES])
def test_on_a_gpu_every_stage_learns_in_bfloat16_and_those_that_sample_take_vllm(
    name: str, on_a_gpu: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = parsed(Chain(SCALES["gpu"], tmp_path, engine="configs/engines/vllm.yaml").command(name, 0), capsys)
    trainer = config["trainer"]
    assert (trainer["accelerator"], trainer["devices"], trainer["precision"]) == ("gpu", 1, "bf16-mixed")
    engine = config["model"]["init_args"].get("engine", {}).get("class_path", "")
    assert ("VLLM" in engine) == (name in SAMPLE)
    policy = config["model"]["init_args"].get("policy", {}).get("init_args", {})
    # What learns is held in 32 bits; computing in bfloat16 is the trainer's affair.
    assert policy.get("dtype", "float32") in ("auto", "float32")


def test_the_overlay_of_a_gpu_is_laid_over_where_there_is_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for is_there in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda is_there=is_there: is_there)
        assert (GPU_OVERLAY in stages.arguments("tower", 0, Path("seed-0"))) == is_there


@pytest.fixture(scope="module")
def first_steps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Chain, dict[str, TrainCLI]]:
    """One step of every stage of scale ``full`` as on a GPU, but for where it computes; each with what was run."""
    root = tmp_path_factory.mktemp("chain")
    ran: dict[str, TrainCLI] = {}
    full = replace(SCALES["full"], num_prompts=2, max_tokens=16)
    with measured_on_small_photographs(root), pytest.MonkeyPatch.context() as patched:
        patched.setattr(stages, "hardware", lambda: [GPU_OVERLAY])
        for name in full.stages:
            patched.setattr(running, "run", lambda command, name=name: ran.update({name: run(command)}))
            run_stage(of_stage(Chain(full, root, data=str(root)), name), name, 0)
    return Chain(full, root, data=str(root)), ran


def of_stage(chain: Chain, name: str) -> Chain:
    step = FIRST_STEP if name != "pairs" else []
    flags = ["--trainer.accelerator=cpu", *step, *FEW_ROWS[name], *small_flags(name, chain.root)]
    return replace(chain, flags=flags)


@pytest.mark.long
def test_the_first_step_of_every_stage_of_the_whole_configs_is_taken_in_a_gpus_precision(
    first_steps: tuple[Chain, dict[str, TrainCLI]],
) -> None:
    chain, ran = first_steps
    assert list(ran) == list(STAGES)
    for name, cli in ran.items():
        assert chain.numbers(name, 0).is_file()
        assert cli.trainer.precision == "bf16-mixed", name
        assert cli.trainer.global_step == (name != "pairs"), name
        learnt = [weight for weight in cli.model.parameters() if weight.requires_grad]
        assert {weight.dtype for weight in learnt} <= {torch.float32}, name
        assert bool(learnt) == (name != "pairs"), name


@pytest.mark.long
@pytest.mark.parametrize("name", SAMPLE)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_stage_that_samples_is_made_with_every_engine_of_vllm(
    name: str, engine: str, first_steps: tuple[Chain, dict[str, TrainCLI]]
) -> None:
    chain, _ = first_steps
    with_engine = replace(of_stage(chain, name), engine=f"configs/engines/{engine}.yaml")
    # Everything is made and nothing is sampled, so that vLLM itself is not needed.
    none = "--trainer.limit_predict_batches=0" if name == "pairs" else "--trainer.max_steps=0"
    cli = run([*with_engine.command(name, 0), none, f"--callbacks.{STAGES[name].writes}=null"])
    made = cli.model.engine
    assert type(made) is ENGINES[engine]
    # Of the longest prompt and completion of the chain, and of every row of a rollout.
    assert made.settings.max_model_len >= 512
    assert made.settings.max_rows >= 128
    assert made.settings.dtype == "auto"


@pytest.mark.vllm
def test_the_chain_samples_with_real_vllm(tmp_path: Path) -> None:
    smoke = replace(SCALES["smoke"], num_prompts=2)
    chain = Chain(smoke, tmp_path, data=str(tmp_path), engine="configs/engines/vllm.yaml")
    vllm = ["--model.init_args.engine.init_args.settings.cache_megabytes=64"]
    with measured_on_small_photographs(tmp_path):
        for name in ("tower", "words", "align", "answers", "grpo", "reward_model", "pairs"):
            flags = [*small_flags(name, tmp_path), *(vllm if name in SAMPLE else ())]
            result = run_stage(replace(chain, flags=flags), name, 0)
            assert ("--config=configs/engines/vllm.yaml" in result["flags"]) == (name in SAMPLE)
    assert (tmp_path / "seed-0" / "pairs" / "meta.json").is_file()
