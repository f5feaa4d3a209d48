"""What names the cached log-probabilities of a reference, and what a reference refuses."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from algorithms import ConfigError, PreferencePair, Prompt
from datamodules.rows.images import ImageFile
from lightning_modules.references import FrozenCopyReference, ReferenceContext, policy_fingerprint
from lightning_modules.references.fingerprints import pair_fingerprint
from models import LoRAConfig, Policy, PolicySource, add_lora
from tests.conftest import sharp_policy


@dataclass(frozen=True)
class Link:
    """An image whose path is the address of a web page, and no file."""

    path: str

    def load(self) -> Image.Image:
        raise NotImplementedError


class FreshPolicy(PolicySource):
    """Draws other weights at every build."""


def pair(*images) -> PreferencePair:
    prompt = Prompt(uid=0, key="0", question="what ?", images=images)
    return PreferencePair(uid=0, prompt=prompt, chosen="red", rejected="blue")


def test_an_image_that_is_drawn_anew_under_its_name_needs_a_new_reference(tmp_path: Path) -> None:
    file = tmp_path / "0.png"
    Image.new("RGB", (4, 4)).save(file)
    before = pair_fingerprint(pair(ImageFile(file)))
    assert pair_fingerprint(pair(ImageFile(file))) == before
    os.utime(file, ns=(0, 0))
    assert pair_fingerprint(pair(ImageFile(file))) != before


def test_an_image_whose_path_is_no_file_is_named_by_its_reference() -> None:
    one, other = Link("https://a.example/0.png"), Link("https://a.example/1.png")
    assert pair_fingerprint(pair(one)) == pair_fingerprint(pair(one))
    assert pair_fingerprint(pair(one)) != pair_fingerprint(pair(other))


@pytest.mark.parametrize("change", [{"chosen": "green"}, {"rejected": "green"}, {"rejected_ended": False}])
def test_each_side_of_a_pair_counts(change) -> None:
    assert pair_fingerprint(replace(pair(), **change)) != pair_fingerprint(pair())


def test_uid_kind_and_scores_of_a_pair_do_not_count() -> None:
    same = replace(pair(), uid=7, kind="format", chosen_score=1.0, rejected_score=0.0)
    assert pair_fingerprint(same) == pair_fingerprint(pair())


def test_the_fingerprint_of_a_policy_is_that_of_its_weights_without_lora(policy: Policy) -> None:
    plain = policy_fingerprint(policy)
    assert policy_fingerprint(sharp_policy()) == plain
    add_lora(policy.model, LoRAConfig(rank=2))
    for name, parameter in policy.model.named_parameters():
        if ".lora_B" in name:
            torch.nn.init.ones_(parameter)
    assert policy_fingerprint(policy) == plain
    with torch.no_grad():
        policy.model.get_input_embeddings().weight[0, 0] += 1.0
    assert policy_fingerprint(policy) != plain


def test_a_policy_that_is_drawn_at_every_build_has_no_reference(policy: Policy) -> None:
    context = ReferenceContext(source=FreshPolicy(), policy=policy, convert=lambda module: module)
    with pytest.raises(ConfigError, match=r"model.policy FreshPolicy draws fresh weights whenever it is built"):
        FrozenCopyReference().prepare(context)
