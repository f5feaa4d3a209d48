from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlavaNextConfig

from algorithms import ConfigError, DataError, Prompt
from datamodules.shapes.language import WORDS
from models import Policy, PolicySource, TinyLanguageModel
from models.reading.prompt_encoder import right_pad
from models.reward_model import HEAD_FILE, FreshRewardModel, PretrainedRewardModel, RewardModel
from tests.assertions import assert_same

TEXTS = ["red </think> blue", "red", "so there are two red , hence </think> two"]


class Built(PolicySource):
    """A policy that is there already."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def build(self) -> Policy:
        return self.policy


@pytest.fixture
def reward_model(policy: Policy) -> RewardModel:
    torch.manual_seed(1)
    model = FreshRewardModel(Built(policy)).build().eval()
    torch.nn.init.constant_(model.head.bias, 0.5)
    return model


@pytest.fixture
def folder(reward_model: RewardModel, tmp_path: Path) -> Path:
    reward_model.save_pretrained(str(tmp_path / "reward_model"))
    return tmp_path / "reward_model"


def scores_of(model: RewardModel, prompts: list[Prompt], texts: list[str]) -> torch.Tensor:
    with torch.no_grad():
        return model.scores(prompts, texts)


def as_the_processor_reads(model: RewardModel, prompt: Prompt, text: str) -> Any:
    images = [image.load() for image in prompt.images]
    return model.policy.processor(text=[model.chat_text(prompt, text)], images=images, return_tensors="pt")


def score_by_hand(model: RewardModel, prompt: Prompt, text: str) -> torch.Tensor:
    inputs = as_the_processor_reads(model, prompt, text)
    with torch.no_grad():
        hidden = model.policy.model(**inputs, output_hidden_states=True).hidden_states[-1]
        return hidden[0, -1] @ model.head.weight[0] + model.head.bias[0]


def test_the_score_is_the_head_on_the_last_hidden_state_of_the_last_token(reward_model, prompts) -> None:
    for prompt, text, score in zip(prompts, TEXTS, scores_of(reward_model, prompts, TEXTS), strict=True):
        torch.testing.assert_close(score, score_by_hand(reward_model, prompt, text), rtol=0.0, atol=1e-5)


def test_the_conversation_is_closed_and_asks_for_no_further_turn(reward_model: RewardModel, prompts) -> None:
    text = reward_model.chat_text(prompts[0], "</think> two")
    assert text == (
        "<|im_start|>user\n<image>how many red ?<|im_end|>\n<|im_start|>assistant\n</think> two<|im_end|>\n"
    )


def test_tokens_are_those_of_the_whole_conversation(reward_model: RewardModel, prompts: list[Prompt]) -> None:
    for prompt, text in zip(prompts, TEXTS, strict=True):
        whole = as_the_processor_reads(reward_model, prompt, text)["input_ids"][0]
        assert torch.equal(reward_model.token_ids(prompt, text), whole)


def test_an_answer_starts_with_what_was_written_already(reward_model: RewardModel, prompts: list[Prompt]) -> None:
    begun = Prompt(uid=9, key="9", question=prompts[0].question, images=prompts[0].images, prefill="two red ")
    assert torch.equal(reward_model.token_ids(begun, "blue"), reward_model.token_ids(prompts[0], "two red blue"))


def test_a_batch_of_one_scores_as_in_a_batch_of_many(reward_model: RewardModel, prompts: list[Prompt]) -> None:
    together = scores_of(reward_model, prompts, TEXTS)
    alone = torch.cat([scores_of(reward_model, [p], [t]) for p, t in zip(prompts, TEXTS, strict=True)])
    torch.testing.assert_close(together, alone, rtol=0.0, atol=1e-5)


def test_padding_tokens_in_an_answer_are_read_like_any_other(reward_model: RewardModel, prompts) -> None:
    # The padding token is an ordinary token where a tokenizer has no other, so masks must come from lengths.
    reward_model.policy.encoder.tokenizer.pad_token = "blue"
    text = "red blue blue"
    scores = scores_of(reward_model, [prompts[0], prompts[0]], [text, TEXTS[2]])
    torch.testing.assert_close(scores[0], score_by_hand(reward_model, prompts[0], text), rtol=0.0, atol=1e-5)


def test_the_image_changes_the_score(reward_model: RewardModel, prompts: list[Prompt]) -> None:
    of_red, of_blue = scores_of(reward_model, prompts[:2], ["red", "red"])
    assert (of_red - of_blue).abs() > 1e-3


def test_images_of_a_repeated_prompt_go_through_the_tower_once(reward_model, prompts) -> None:
    seen: list[int] = []
    tower = reward_model.policy.model.model.vision_tower
    tower.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(len(kwargs.get("pixel_values", args[0] if args else None))),
        with_kwargs=True,
    )
    scores_of(reward_model, [*prompts[:2], *prompts[:2]], ["red", "blue", "blue", "red"])
    assert seen == [2]


def test_an_image_mark_in_an_answer_is_text(reward_model: RewardModel, prompts: list[Prompt]) -> None:
    image, unknown = reward_model.policy.model.config.image_token_id, 1
    ids = reward_model.token_ids(prompts[0], "red <image> blue")
    assert int((ids == image).sum()) == 9
    assert int((ids == unknown).sum()) == 2  # the two pieces of the mark
    assert scores_of(reward_model, [prompts[0]], ["red <image> blue"]).isfinite()


def test_a_text_only_prompt_is_scored_beside_one_with_an_image(reward_model: RewardModel, prompts) -> None:
    text_only = Prompt(uid=9, key="9", question="how many red ?")
    together = scores_of(reward_model, [text_only, prompts[0]], ["red", "red"])
    torch.testing.assert_close(together[:1], scores_of(reward_model, [text_only], ["red"]), rtol=0.0, atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_a_backbone_without_vision_scores_texts_and_refuses_images(prompts: list[Prompt]) -> None:
    torch.manual_seed(0)
    model = FreshRewardModel(TinyLanguageModel(list(WORDS), hidden_size=64, num_layers=1)).build()
    text_only = Prompt(uid=9, key="9", question="how many red ?")
    assert scores_of(model, [text_only, text_only], ["red", "blue"]).shape == (2,)
    with pytest.raises(DataError, match="no vision tower"):
        model.scores(prompts[:1], ["red"])


def test_the_language_model_head_is_never_run(reward_model: RewardModel, prompts, monkeypatch) -> None:
    def refuse(*args) -> None:
        raise AssertionError("a vocabulary of logits was computed for one number")

    monkeypatch.setattr(reward_model.policy.model.lm_head, "forward", refuse)
    scores_of(reward_model, prompts, TEXTS)


def test_scores_are_32_bit_under_a_16_bit_backbone(reward_model: RewardModel, prompts: list[Prompt]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert scores_of(reward_model, prompts, TEXTS).dtype == torch.float32
    reward_model.policy.model.to(torch.bfloat16)
    assert scores_of(reward_model, prompts, TEXTS).dtype == torch.float32


@pytest.mark.parametrize("parts", [[], ["adapter"], ["adapter", "language_model"]], ids=str)
def test_just_the_head_and_the_named_parts_get_a_gradient(reward_model: RewardModel, prompts, parts) -> None:
    reward_model.requires_grad_(False)
    reward_model.set_trainable(parts)
    reward_model.scores(prompts, TEXTS).sum().backward()
    with_gradient = {n for n, p in reward_model.named_parameters() if p.grad is not None}
    assert with_gradient == {n for n, p in reward_model.named_parameters() if p.requires_grad}
    assert {"head.weight", "head.bias"} <= with_gradient
    assert any("multi_modal_projector" in n for n in with_gradient) == ("adapter" in parts)
    assert any("language_model" in n for n in with_gradient) == ("language_model" in parts)
    assert not any("vision_tower" in n for n in with_gradient)


def test_an_untied_language_model_head_does_not_learn(reward_model: RewardModel) -> None:
    head = reward_model.policy.model.lm_head
    head.weight = torch.nn.Parameter(head.weight.detach().clone())
    reward_model.set_trainable(["language_model"])
    assert not head.weight.requires_grad
    assert reward_model.policy.model.get_input_embeddings().weight.requires_grad


def test_a_saved_reward_model_gives_the_same_scores(reward_model, folder: Path, prompts: list[Prompt]) -> None:
    loaded = PretrainedRewardModel(str(folder)).build()
    assert_same(scores_of(loaded, prompts, TEXTS), scores_of(reward_model, prompts, TEXTS))
    half = PretrainedRewardModel(str(folder), dtype="bfloat16").build()
    assert (half.policy.model.dtype, half.head.weight.dtype) == (torch.bfloat16, torch.float32)


def test_a_head_is_found_whatever_stands_before_its_names(folder: Path, reward_model, prompts) -> None:
    head = load_file(folder / HEAD_FILE)
    assert {name: list(t.shape) for name, t in head.items()} == {"summary.weight": [1, 64], "summary.bias": [1]}
    save_file({f"v_head.{name}": tensor for name, tensor in head.items()}, folder / HEAD_FILE)
    loaded = PretrainedRewardModel(str(folder)).build()
    assert_same(scores_of(loaded, prompts, TEXTS), scores_of(reward_model, prompts, TEXTS))


def test_a_folder_without_head_is_refused(folder: Path) -> None:
    (folder / HEAD_FILE).unlink()
    with pytest.raises(ConfigError, match=r"^path .*reward_model', but there is no value_head.safetensors in"):
        PretrainedRewardModel(str(folder)).build()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^path .*nowhere', which is neither a folder nor a hub name"):
        PretrainedRewardModel(str(tmp_path / "nowhere")).build()


def test_a_head_of_another_size_is_refused_with_both_sizes(folder: Path) -> None:
    save_file({"summary.weight": torch.zeros(1, 32), "summary.bias": torch.zeros(1)}, folder / HEAD_FILE)
    with pytest.raises(ConfigError, match=r"^path .*shape \[1, 32\].*hidden size 64, so that \[1, 64\]"):
        PretrainedRewardModel(str(folder)).build()


def test_a_head_under_other_names_is_refused_with_its_names(folder: Path) -> None:
    save_file({"score.weight": torch.zeros(1, 64)}, folder / HEAD_FILE)
    with pytest.raises(ConfigError, match=r"^path .*\['score.weight'\].*summary.weight.*summary.bias"):
        PretrainedRewardModel(str(folder)).build()


def test_a_fresh_head_is_reproducible_and_starts_without_bias(policy: Policy) -> None:
    heads: list[torch.nn.Linear] = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        heads.append(FreshRewardModel(Built(policy)).build().head)
    assert torch.equal(heads[0].weight, heads[1].weight)
    assert not torch.equal(heads[0].weight, heads[2].weight)
    assert heads[0].bias.item() == 0.0
    assert heads[0].weight.abs().max() < 1.0


def test_rows_are_padded_on_the_right() -> None:
    ids, is_token = right_pad([torch.tensor([5, 0]), torch.tensor([7, 8, 9])], 0)
    assert ids.tolist() == [[5, 0, 0], [7, 8, 9]]
    assert is_token.tolist() == [[True, True, False], [True, True, True]]


def test_a_backbone_of_an_unknown_family_is_refused_before_its_weights_are_read(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    LlavaNextConfig().save_pretrained(folder)
    with pytest.raises(ConfigError, match=r"^path .*reward_model', a vision-language model of type 'llava_next'"):
        PretrainedRewardModel(str(folder)).build()


@pytest.fixture
def qwen_vl(qwen_vl_policy: Policy) -> RewardModel:
    return FreshRewardModel(Built(qwen_vl_policy)).build().eval()


def test_qwen_vl_places_image_tokens_on_a_grid(qwen_vl: RewardModel, prompts: list[Prompt]) -> None:
    together = scores_of(qwen_vl, [prompts[2], prompts[0]], ["red", "two red"])
    inputs = as_the_processor_reads(qwen_vl, prompts[0], "two red")
    kinds = inputs.pop("mm_token_type_ids")
    assert int((inputs["input_ids"] == qwen_vl.policy.model.config.image_token_id).sum()) == int(kinds.sum()) == 9
    with torch.no_grad():
        on_grid = qwen_vl.policy.model.model(**inputs, mm_token_type_ids=kinds).last_hidden_state
        in_line = qwen_vl.policy.model.model(**inputs).last_hidden_state
    torch.testing.assert_close(together[1], qwen_vl.head(on_grid[0, -1])[0].detach(), rtol=0.0, atol=1e-5)
    assert not torch.allclose(together[1], qwen_vl.head(in_line[0, -1])[0], atol=1e-3)


def test_a_saved_reward_model_whose_processor_has_a_part_for_video_gives_the_same_scores(
    qwen_vl: RewardModel, prompts: list[Prompt], tmp_path: Path
) -> None:
    qwen_vl.save_pretrained(str(tmp_path))
    loaded = PretrainedRewardModel(str(tmp_path)).build()
    assert_same(scores_of(loaded, prompts, TEXTS), scores_of(qwen_vl, prompts, TEXTS))
