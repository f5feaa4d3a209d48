"""A reward model is loaded with the checks of a policy, and reads all that was said."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from algorithms import ConfigError, Prompt
from models import FreshRewardModel, PretrainedRewardModel, RewardModel
from tests.models.assembly.test_assembly import QWQ
from tests.models.conventions import CHATML_TEMPLATE, CONVENTIONS, text_policy, vision_policy
from tests.models.families import family
from tests.models.reading.test_templated_text import Built

# Qwen3: an answer without reasoning gets an empty one; reasoning is moved between tags of the template's own.
QWEN3 = CHATML_TEMPLATE.replace(
    "{{- '<|im_start|>' + message.role",
    "{%- if message.role == 'assistant' -%}"
    "{%- set reasoning = text.split('</think>')[0] if '</think>' in text else '' -%}"
    "{%- set text = '<think>\n' + reasoning.split('<think>')[-1].strip('\n') + '\n</think>\n\n' + "
    "text.split('</think>')[-1].lstrip('\n') -%}{%- endif -%}{{- '<|im_start|>' + message.role",
)
TEMPLATES = {"qwq": QWQ, "r1": CONVENTIONS["r1"].template, "qwen3": QWEN3, "verbatim": CHATML_TEMPLATE}
PROMPT = Prompt(uid=0, key="0", question="how many red ?")
GOOD, BAD = "3 + 4 is 7 </think> \\boxed{7}", "I like 7 </think> \\boxed{7}"


def reward_model(template: str) -> RewardModel:
    if template == "r1":
        return FreshRewardModel(Built(text_policy("r1"))).build().eval()
    return FreshRewardModel(Built(text_policy("chatml", template=TEMPLATES[template]))).build().eval()


@pytest.mark.parametrize("template", TEMPLATES)
def test_two_reasonings_with_the_same_answer_have_different_scores(template: str) -> None:
    model = reward_model(template)
    with torch.no_grad():
        good, bad = model.scores([PROMPT, PROMPT], [GOOD, BAD])
    assert (good - bad).abs() > 1e-4


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_word_of_a_completion_is_read_and_the_turn_is_closed(template: str) -> None:
    model = reward_model(template)
    tokenizer = model.policy.encoder.tokenizer
    ids = model.token_ids(PROMPT, GOOD).tolist()
    read = "".join(tokenizer.decode(ids).split())
    assert "".join(GOOD.split()) in read
    assert read.index("howmanyred?") < read.index("3+4is7")
    assert model.policy.end_token_id in ids[-3:]


def test_a_template_that_keeps_what_was_said_renders_it_itself() -> None:
    # Otherwise Qwen3's empty reasoning would stand before the one that was written.
    assert reward_model("qwen3").chat_text(PROMPT, GOOD).count("</think>") == 1


def test_a_template_that_writes_no_answer_is_refused() -> None:
    model = FreshRewardModel(Built(text_policy("chatml"))).build()
    model.policy.encoder.tokenizer.chat_template = CHATML_TEMPLATE.replace("+ text +", "+")
    with pytest.raises(
        ConfigError, match=r"^model\.reward: the chat template .* does not write what an assistant says"
    ):
        model.scores([PROMPT], [GOOD])


@pytest.mark.parametrize("name", ["internvl", "qwen2_5_vl", "qwen3_vl"])
def test_families_whose_processor_has_a_part_for_video_are_loaded_without_torchvision(
    name: str, tmp_path: Path
) -> None:
    model = FreshRewardModel(Built(family(name))).build().eval()
    model.save_pretrained(str(tmp_path))
    again = PretrainedRewardModel(str(tmp_path)).build()
    with torch.no_grad():
        one, other = (m.scores([PROMPT, PROMPT], ["red", "blue"]) for m in (model, again))
    torch.testing.assert_close(one, other, rtol=0.0, atol=1e-6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    FreshRewardModel(Built(vision_policy("chatml"))).build().save_pretrained(str(tmp_path))
    return tmp_path


def test_a_backbone_that_lacks_weights_is_refused_with_their_names(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (missing,) = [
        name for name in weights if name.endswith("layers.0.self_attn.q_proj.weight") and "vision" not in name
    ]
    del weights[missing]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match=r"^path of PretrainedRewardModel is .*lacks weights .*q_proj\.weight"):
        PretrainedRewardModel(str(folder)).build()


def test_a_backbone_in_another_format_than_safetensors_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"^path of PretrainedRewardModel is .*safetensors"):
        PretrainedRewardModel(str(folder)).build()


def test_a_folder_without_processor_is_refused_in_one_sentence(folder: Path) -> None:
    for file in folder.glob("*token*"):
        file.unlink()
    (folder / "processor_config.json").unlink()
    with pytest.raises(ConfigError, match=r"^path of PretrainedRewardModel is ") as refused:
        PretrainedRewardModel(str(folder)).build()
    assert "\n" not in str(refused.value)
