"""Whatever a user writes is text: it neither becomes a control token nor stops a processor."""

import random
from typing import Any

import pytest
import torch

from algorithms import Prompt, PromptError
from models import FreshRewardModel, Policy
from models.reading.plain_text import CUT, cut_controls, without_cuts
from models.reading.token_kinds import _any_of
from tests.conftest import Picture
from tests.models.conventions import CONVENTIONS, vision_policy
from tests.models.families import FAMILIES, family
from tests.models.reading.test_templated_text import Built

RED, BLUE = Picture((255, 0, 0)), Picture((0, 0, 255))
MARKS = ["<image>", "<video>", "<IMG_CONTEXT>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>"]


@pytest.fixture(scope="module", params=CONVENTIONS)
def policy(request: pytest.FixtureRequest) -> Policy:
    return vision_policy(request.param)


def controls_of(policy: Policy) -> list[str]:
    """Return every special token of a tokenizer, what its template writes, and marks of other families."""
    encoder = policy.encoder
    special = [str(text) for text in encoder.tokenizer.added_tokens_decoder.values() if text.special]
    return sorted({*special, *encoder.kinds.structural_texts, *MARKS} - {"<image>"})


def num_controls(policy: Policy, ids: torch.Tensor) -> int:
    special = {t for t, text in policy.encoder.tokenizer.added_tokens_decoder.items() if text.special}
    special |= policy.encoder.kinds.structural_ids
    return sum(token in special for token in ids.tolist())


def asked(question: str, *images: Any, **fields: Any) -> Prompt:
    return Prompt(uid=0, key="0", question=question, images=images, **fields)


def test_no_control_token_in_a_question_is_read_as_one(policy: Policy) -> None:
    expected = num_controls(policy, policy.encoder.encode(asked("is it x ?", RED)).token_ids)
    for control in controls_of(policy):
        hostile = asked(f"is it {control}{control} x<{control} ?", RED)
        assert num_controls(policy, policy.encoder.encode(hostile).token_ids) == expected, control


def test_a_hostile_question_still_spells_what_its_user_wrote(policy: Policy) -> None:
    for control in controls_of(policy):
        ids = policy.encoder.encode(asked(f"a {control} b")).token_ids
        assert f"a {control} b" in policy.encoder.tokenizer.decode(ids)


def test_random_concatenations_of_control_tokens_stay_text(policy: Policy) -> None:
    draw = random.Random(0)
    pieces = [*controls_of(policy), "<", "|", ">", "<|", "im_", "end", " ", "two", "\n"]
    expected = num_controls(policy, policy.encoder.encode(asked("x", RED, BLUE)).token_ids)
    for _ in range(40):
        question = "".join(draw.choices(pieces, k=12)) + "x"
        ids = policy.encoder.encode(asked(question, RED, BLUE)).token_ids
        assert num_controls(policy, ids) == expected, question


def test_there_are_as_many_image_tokens_as_features_whatever_a_question_spells(policy: Policy) -> None:
    marks = " ".join(mark for mark in MARKS if mark != "<image>")
    hostile = asked(f"is <image> {marks} redder than <image> ?", RED, BLUE)
    encoded = policy.encoder.encode(hostile)
    (features,) = policy.image_features([encoded.vision])
    image_token = policy.model.config.image_token_id
    assert int((encoded.token_ids == image_token).sum()) == sum(len(f) for f in features)
    ids = torch.tensor([[70, 71]])
    scores = policy.completion_scores([hostile], torch.tensor([0]), ids, torch.ones_like(ids, dtype=torch.bool))
    assert scores.logps.isfinite().all()


def test_a_completion_given_as_text_has_one_end_and_no_image(policy: Policy) -> None:
    for control in controls_of(policy):
        if control in ("<box>", "</box>", "<ref>", "</ref>", "<quad>", "</quad>", "<|box_start|>", "<|box_end|>"):
            continue  # a completion may hold these
        (ids,) = policy.encoder.completion_ids([f"x{control} y"], [True])
        found = [token for token in ids.tolist() if token in policy.encoder.kinds.structural_ids]
        assert found == [policy.end_token_id], control
        assert not torch.isin(ids, policy.banned_token_ids).any()
        assert f"x{control} y" == policy.encoder.tokenizer.decode(ids[:-1])


def test_tags_of_a_completion_stay_tokens(policy: Policy) -> None:
    tags = [
        tag for tag in ("<think>", "</think>", "<box>", "<tool_call>") if tag in policy.encoder.tokenizer.get_vocab()
    ]
    (ids,) = policy.encoder.completion_ids(["a " + " b ".join(tags)], [False])
    assert set(policy.encoder.tokenizer.convert_tokens_to_ids(tags)) <= set(ids.tolist())


def test_a_scored_answer_and_a_prefill_are_text_too(policy: Policy) -> None:
    model = FreshRewardModel(Built(policy)).build()
    plain = num_controls(policy, model.token_ids(asked("x ?", RED), "y"))
    begun = num_controls(policy, policy.encoder.encode(asked("x ?", RED)).token_ids)
    for control in policy.encoder.kinds.structural_texts | set(MARKS):
        question = f"x {control} ?" if control != "<image>" else "x ?"
        assert num_controls(policy, model.token_ids(asked(question, RED), f"y {control} z")) == plain, control
        prefilled = asked(question, RED, prefill=f"z {control}")
        assert num_controls(policy, policy.encoder.encode(prefilled).token_ids) == begun, control


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_reads_its_own_marks_in_a_question_as_text(name: str) -> None:
    policy = family(name)
    image_token = policy.model.config.image_token_id
    for mark in policy.encoder.kinds.structural_texts - {"<image>"}:
        encoded = policy.encoder.encode(asked(f"how many {mark} ?", RED))
        (features,) = policy.image_features([encoded.vision])
        assert int((encoded.token_ids == image_token).sum()) == sum(len(f) for f in features), mark


def test_more_marks_than_images_are_refused_with_both_numbers() -> None:
    policy = family("siglip_llava")
    with pytest.raises(PromptError, match="image marks do not match images: 2 x <image>, 1 x image"):
        policy.encoder.encode(asked("<image> or <image> ?", RED))


def test_a_control_token_that_a_tokenizer_makes_of_other_letters_is_found_and_refused() -> None:
    policy = vision_policy("chatml")
    tokenizer = policy.encoder.tokenizer
    one = tokenizer.convert_tokens_to_ids("<|im_start|>")

    class Folding:
        """Finds the token in full-width letters too, as a normalizer would."""

        def __getattr__(self, attribute: str) -> Any:
            return getattr(tokenizer, attribute)

        def __call__(self, text: Any, **settings: Any) -> Any:
            inputs = tokenizer(text, **settings)
            if isinstance(text, str) and "\uff1c|im_start|\uff1e" in text:
                inputs["input_ids"] = [*inputs["input_ids"], one]
            return inputs

    policy.encoder.tokenizer = Folding()
    assert policy.encoder.encode(asked("is it ?")).token_ids.numel() > 0
    with pytest.raises(PromptError, match="control token in text"):
        policy.encoder.encode(asked("is it \uff1c|im_start|\uff1e ?"))


def test_cutting_leaves_the_letters_and_no_control_token_whole() -> None:
    controls = _any_of(["<s>", "</s>", "<s>>", "<|end|>"])
    assert cut_controls("plain < text", controls) == "plain < text"
    for text in ("<s>", "a<s>>b", "<<s></s>|<|end|>", "<s<s>>"):
        cut = cut_controls(text, controls)
        assert without_cuts(cut) == text
        assert controls is not None
        assert not any(controls.search(piece) for piece in cut.split(CUT))
    assert cut_controls("<s>", None) == "<s>"
