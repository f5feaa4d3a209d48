"""Towers and language models that were trained apart, joined."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, Dinov2Config, Dinov2Model, PreTrainedTokenizerFast

from algorithms import ConfigError, Prompt
from datamodules.shapes.language import WORDS
from models import AssembledPolicy, Policy, Tiling
from models.assembly import assemble
from models.assembly.image_tokens import chat_template_with_images, image_token
from models.assembly.tiny import fresh_vision_tower, word_tokenizer
from tests.models.families import intern_vit, qwen2, qwen3

# What matters of QwQ-32B's own chat template (Qwen/QwQ-32B, tokenizer_config.json): text only, reasoning dropped from
# earlier turns, and a generation prompt that opens the reasoning.
QWQ = """{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n<think>\\n' }}
{%- endif %}"""


class Picture:
    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)

    def load(self) -> Image.Image:
        return Image.new("RGB", self.size, (200, 30, 90))


def asking(*sizes: tuple[int, int], question: str = "how many red ?") -> Prompt:
    return Prompt(uid=0, key="0", question=question, images=tuple(Picture(*size) for size in sizes))


def clip_images() -> Any:
    make: Any = CLIPImageProcessorPil
    return make(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])


def internvl(tiling: Tiling | None = None, template: str | None = None) -> Policy:
    tokenizer: Any = word_tokenizer(WORDS)
    tokenizer.chat_template = template or tokenizer.chat_template
    return Policy(*assemble(intern_vit(), clip_images(), qwen3(tokenizer), tokenizer, tiling))


@pytest.mark.parametrize(
    ("size", "tiling", "num_tiles"),
    [
        ((40, 40), Tiling(max_patches=1), 1),
        ((90, 30), Tiling(max_patches=1), 1),
        ((90, 30), Tiling(max_patches=4), 3 + 1),  # three in a row, and the thumbnail
        ((30, 90), Tiling(max_patches=4), 3 + 1),
        ((20, 20), Tiling(max_patches=4), 1),  # too small for 2 x 2 of 32 pixels
        ((20, 20), Tiling(min_patches=4, max_patches=4), 4 + 1),
        ((384, 32), None, 12 + 1),  # InternVL's own limit
    ],
)
def test_an_image_is_cut_into_as_many_tiles_as_tiling_allows(size: Any, tiling: Tiling | None, num_tiles: int) -> None:
    policy = internvl(tiling)
    encoded = policy.encoder.encode(asking(size))
    assert encoded.vision["pixel_values"].shape == (num_tiles, 3, 32, 32)
    # 4 x 4 patches of a tile, 2 x 2 of which become one token.
    assert int((encoded.token_ids == policy.model.config.image_token_id).sum()) == num_tiles * 4


def test_an_adapter_of_internvl_is_the_papers(prompts: list[Prompt]) -> None:
    policy = internvl()
    adapter = dict(policy.model.model.multi_modal_projector.named_parameters())
    shapes = {name: tuple(p.shape) for name, p in adapter.items() if name.endswith("weight")}
    # Four patches of width 32 side by side, then the language model's width.
    assert shapes == {"layer_norm.weight": (128,), "linear_1.weight": (32, 128), "linear_2.weight": (32, 32)}
    assert adapter["linear_1.weight"].std().item() == pytest.approx(0.02, rel=0.1)
    assert not adapter["linear_1.bias"].any()
    policy.set_trainable(["adapter"])
    ids = torch.full((3, 4), 20)
    scores = policy.completion_scores(prompts, torch.arange(3), ids, torch.ones_like(ids, dtype=torch.bool))
    scores.logps.sum().backward()
    assert all(p.grad is not None for p in adapter.values())


def test_joining_keeps_the_weights_of_both_and_copies_none() -> None:
    tokenizer = word_tokenizer(WORDS)
    tower, language_model = intern_vit(), qwen3(tokenizer)
    model: Any = assemble(tower, clip_images(), language_model, tokenizer)[0]
    assert model.model.vision_tower.encoder.layer[0].mlp.fc1.weight is tower.encoder.layer[0].mlp.fc1.weight
    assert model.lm_head.weight is language_model.lm_head.weight
    assert model.model.language_model is language_model.model
    assert not [name for name, p in model.named_parameters() if p.is_meta]
    assert model.config.text_config.model_type == "qwen3"


def test_tied_embeddings_stay_tied() -> None:
    tokenizer = word_tokenizer(WORDS)
    model: Any = assemble(intern_vit(), clip_images(), qwen2(tokenizer), tokenizer)[0]
    assert model.config.tie_word_embeddings
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight


def test_the_language_models_chat_template_gets_images_and_keeps_its_reasoning() -> None:
    policy = internvl(template=QWQ)
    mark = policy.processor.image_token
    text = policy.encoder.chat_text(asking((32, 32), (32, 32), question="is <image>\nredder than <image> ?"))
    assert text == (f"<|im_start|>user\nis {mark}\nredder than {mark}\n ?<|im_end|>\n<|im_start|>assistant\n<think>\n")
    turns = [
        {"role": "user", "content": "one ?"},
        {"role": "assistant", "content": "long </think>\nyes"},
        {"role": "user", "content": [{"type": "text", "text": "two ?"}]},
    ]
    rendered = policy.processor.apply_chat_template(turns, tokenize=False)
    assert rendered == (
        "<|im_start|>user\none ?<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n<|im_start|>user\ntwo ?<|im_end|>\n"
    )


def test_a_template_that_places_images_itself_stays_as_it_is() -> None:
    tokenizer: Any = word_tokenizer(WORDS)
    assert chat_template_with_images(tokenizer, "<image>") == tokenizer.chat_template


def test_a_template_that_drops_what_a_user_says_is_refused() -> None:
    tokenizer: Any = word_tokenizer(WORDS)
    tokenizer.chat_template = "{{ 'hello' }}"
    with pytest.raises(ConfigError, match=r"model\.policy\.language_model.*chat template.*'<image>'"):
        chat_template_with_images(tokenizer, "<image>")


def without_image_token() -> PreTrainedTokenizerFast:
    tokenizer = word_tokenizer(WORDS)
    core = tokenizer.backend_tokenizer.to_str().replace("<image>", "<no-image>")
    bare = PreTrainedTokenizerFast(
        tokenizer_object=type(tokenizer.backend_tokenizer).from_str(core), pad_token="<pad>", eos_token="<|im_end|>"
    )
    bare.chat_template = QWQ
    return bare


@pytest.mark.parametrize("num_spare", [0, 8])
def test_a_language_model_without_image_token_gets_one_in_a_spare_row_or_a_new_one(num_spare: int) -> None:
    tokenizer: Any = without_image_token()
    language_model = qwen3(tokenizer)  # 8 spare rows
    if num_spare == 0:
        language_model.resize_token_embeddings(len(tokenizer))
    num_rows = language_model.get_input_embeddings().weight.shape[0]
    tower = fresh_vision_tower(image_size=48, patch_size=16, hidden_size=32, num_layers=1)
    policy = Policy(*assemble(*tower, language_model, tokenizer))
    assert policy.model.get_input_embeddings().weight.shape[0] == num_rows + (num_spare == 0)
    encoded = policy.encoder.encode(asking((30, 60)))
    assert int((encoded.token_ids == policy.model.config.image_token_id).sum()) == 9


def test_qwens_own_image_token_is_taken_where_there_is_no_other() -> None:
    tokenizer: Any = without_image_token()
    tokenizer.add_tokens(["<|image_pad|>"], special_tokens=True)
    size = len(tokenizer)
    assert image_token(tokenizer) == "<|image_pad|>"
    assert len(tokenizer) == size


def test_a_tower_that_no_class_takes_is_refused_with_those_that_are() -> None:
    tokenizer = word_tokenizer(WORDS)
    make_config: Any = Dinov2Config
    tower = Dinov2Model(make_config(hidden_size=32, num_hidden_layers=1, num_attention_heads=2))
    with pytest.raises(ConfigError, match=r"model\.policy\.vision_tower is a 'dinov2' model.*InternViT.*SigLIP.*CLIP"):
        assemble(tower, clip_images(), qwen3(tokenizer), tokenizer)


def test_tiling_is_refused_where_no_image_is_cut() -> None:
    tokenizer = word_tokenizer(WORDS)
    tower = fresh_vision_tower(image_size=48, patch_size=16, hidden_size=32, num_layers=1)
    with pytest.raises(ConfigError, match=r"model\.policy\.tiling.*siglip_vision_model.*null"):
        assemble(*tower, qwen3(tokenizer), tokenizer, Tiling())


def test_patches_that_do_not_pair_up_are_refused() -> None:
    tokenizer = word_tokenizer(WORDS)
    with pytest.raises(ConfigError, match=r"model\.policy\.vision_tower has 3 x 3 patches.*even"):
        assemble(intern_vit(image_size=24), clip_images(), qwen3(tokenizer), tokenizer)


@pytest.mark.parametrize("changes", [{"min_patches": 0}, {"min_patches": 5, "max_patches": 4}])
def test_tiling_that_allows_nothing_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"model\.policy\.tiling must have 1 <= min_patches <= max_patches"):
        Tiling(**changes)


def test_two_folders_make_a_policy(tmp_path: Path) -> None:
    tower, tokenizer = intern_vit(), word_tokenizer(WORDS)
    language_model = qwen3(tokenizer)
    tower.save_pretrained(tmp_path / "tower")
    clip_images().save_pretrained(tmp_path / "tower")
    language_model.save_pretrained(tmp_path / "language_model")
    tokenizer.save_pretrained(tmp_path / "language_model")
    source = AssembledPolicy(
        str(tmp_path / "tower"), str(tmp_path / "language_model"), Tiling(max_patches=2), dtype="bfloat16"
    )
    policy = source.build()
    assert type(policy.model).__name__ == "InternVLForConditionalGeneration"
    assert {p.dtype for p in policy.parameters()} == {torch.bfloat16}
    torch.testing.assert_close(policy.model.lm_head.weight, language_model.lm_head.weight.bfloat16())
    assert policy.processor.image_processor.max_patches == 2
