"""vLLM reads an export by itself, in a process that knows nothing of this project."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lightning_modules import LearningConfig
from lightning_modules.policy_module import PolicyModule
from models import LoRAConfig
from rollouts import SamplingConfig, TransformersEngine
from tests.callbacks.test_export import Built, export

pytestmark = pytest.mark.vllm

SCRIPT = """
import json, sys
from PIL import Image
from vllm import LLM, SamplingParams

folder, told = sys.argv[1], json.load(sys.stdin)
llm = LLM(folder, dtype="float32", max_model_len=128, enforce_eager=True, model_impl="transformers",
          kv_cache_memory_bytes=64 << 20, limit_mm_per_prompt={"image": 1}, generation_config="vllm")
images = [Image.new("RGB", (48, 48), tuple(color)) for _, color in told]
prompts = [{"prompt": text, "multi_modal_data": {"image": i}} for (text, _), i in zip(told, images)]
outs = llm.generate(prompts, SamplingParams(temperature=0.0, max_tokens=8), use_tqdm=False)
print("RESULT" + json.dumps([list(out.outputs[0].token_ids) for out in outs]))
"""


@pytest.mark.parametrize("name", ["siglip_llava", "clip_llava"])
def test_vllm_says_of_an_export_what_the_policy_said(name: str, prompts, tmp_path: Path) -> None:
    lora = LoRAConfig(parts=("adapter", "language_model"), rank=2, alpha=4)
    module = PolicyModule(Built(name), LearningConfig(lora=lora)).eval()
    policy = module.loaded_policy
    generator = torch.Generator().manual_seed(1)
    for parameter_name, parameter in policy.named_parameters():
        if "lora_B" in parameter_name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    # Plain vLLM bans nothing.
    policy.banned_token_ids = torch.zeros(0, dtype=torch.long)
    engine = TransformersEngine()
    engine.sync(policy, version=0)
    greedy = SamplingConfig(temperature=0.0, max_new_tokens=8, group_size=1)
    said = [group[0].token_ids.tolist() for group in engine.generate(prompts, greedy, seed=0)]

    folder = export(module, tmp_path / "export")
    told = [[policy.encoder.chat_text(prompt), list(prompt.images[0].color)] for prompt in prompts]
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)],
        input=json.dumps(told), capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-2000:]
    result = next(line for line in ended.stdout.splitlines() if line.startswith("RESULT"))
    assert json.loads(result.removeprefix("RESULT")) == said
