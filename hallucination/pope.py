"""Polling-based Object Probing Evaluation, POPE (arXiv:2305.10355, section 5): which objects the questions are about.

For each image there are pairs of questions: one about an object that is there, one about an object that is not there:

    random        any object of the set that the image does not show
    popular       the most frequent of these
    adversarial   the one that most often occurs together with the pair's first object; if there is none, any of these

No object is used twice for one image, so exactly half of the right answers are yes. Frequencies count images.

Differs from the authors' script: objects that are there are drawn by chance, where the script takes the first ones of
the annotation; an image with fewer objects gives fewer pairs, where the script leaves it out; where the set has no
further object, the image gets no further pair, where the script loops forever; of equally frequent objects the first
by the alphabet is chosen. "a" becomes "an" in front of the object only, where the script replaces every letter a of the
template.

Every draw depends on the seed and the image's position only, and the three splits have the same true objects.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Literal

import torch

from algorithms.chance import position_generator
from algorithms.errors import ConfigError, check_at_least

PopeSplit = Literal["random", "popular", "adversarial"]
POPE_SPLITS: tuple[PopeSplit, ...] = ("random", "popular", "adversarial")
POPE_TEMPLATE = "Is there {a} {object} in the image?"


@dataclass(frozen=True, slots=True)
class Probe:
    """One yes/no question about one object in one image."""

    image: int
    """Position in the annotated set."""

    name: str
    """The object that the question is about."""

    is_there: bool
    split: PopeSplit


def build_probes(
    objects_of_images: Sequence[Collection[str]], split: PopeSplit, *, num_pairs: int = 3, seed: int = 0
) -> list[Probe]:
    """Return the probes of one split, image by image, each true object followed by one that is not there.

    Args:
        objects_of_images: what each image shows; repeats do not count.
        split: how objects that are not there are chosen.
        num_pairs: pairs for each image, at most.
        seed: seed of all draws.

    Raises:
        ConfigError: Fewer than one pair.
    """
    check_at_least("num_pairs", num_pairs, 1, "every image would be left without a question")
    # Sorted: the order of an annotation must not change the draws.
    objects = [sorted(set(shown)) for shown in objects_of_images]
    negatives = _Negatives(objects, split, seed)
    return [
        probe for image in range(len(objects)) for probe in _image_probes(image, objects, negatives, num_pairs, seed)
    ]


def probe_question(name: str, template: str = POPE_TEMPLATE) -> str:
    """Return the question about an object.

    Args:
        name: the object.
        template: holds ``{object}``, and ``{a}`` where the article goes.
    """
    # A tuple, because ``"" in "aeiou"`` is true and an empty name has no first letter.
    article = "an" if name[:1].lower() in tuple("aeiou") else "a"
    return template.format(a=article, object=name)


def check_template(template: str, key: str) -> None:
    """Raise ConfigError, with the key, unless a template is a question about an object."""
    try:
        fields = {field for _, field, _, _ in Formatter().parse(template) if field is not None}
    except ValueError as error:
        raise ConfigError(f"{key} is no template: {error}, in {template!r}.") from None
    if "object" not in fields or fields - {"a", "object"}:
        raise ConfigError(
            f"{key} must hold {{object}}, may hold {{a}} for its article and nothing else in braces, got {template!r}: "
            "every question is about one object."
        )


class _Negatives:
    """Chooses objects that an image does not show."""

    def __init__(self, objects: Sequence[Sequence[str]], split: PopeSplit, seed: int) -> None:
        """Count in how many images each object occurs, and each pair of objects."""
        self.split: PopeSplit = split
        self.seed = seed
        self.images_with = Counter(name for shown in objects for name in shown)
        # Sorted: a random choice must not depend on the order in which the images name objects.
        self.names = sorted(self.images_with)
        self.images_with_both: dict[str, Counter[str]] = {name: Counter() for name in self.names}
        for shown in objects:
            for name in shown:
                self.images_with_both[name].update(other for other in shown if other != name)

    def choose(self, beside: str, *, taken: Collection[str], image: int, pair: int) -> str | None:
        """Return the absent object of a pair; None when every object is taken.

        Args:
            beside: the pair's true object.
            taken: objects of this image that cannot be chosen any more.
            image: position of the image, for the draw.
            pair: number of the pair, for the draw.
        """
        # Objects of the image, and those that an earlier pair of it has used.
        free = [name for name in self.names if name not in taken]
        if not free:
            return None
        if self.split == "popular":
            return _most_frequent(free, self.images_with)
        # A Counter returns 0 for a name that never occurs together with this object.
        beside_it = [name for name in free if self.images_with_both[beside][name] > 0]
        if self.split == "adversarial" and beside_it:
            return _most_frequent(beside_it, self.images_with_both[beside])
        chance = position_generator(self.seed, f"pope/{self.split}", image, pair)
        return free[int(torch.randint(len(free), (), generator=chance))]


def _most_frequent(names: Sequence[str], counts: Counter[str]) -> str:
    # Of equal counts the first by the alphabet, so that no result depends on the order of the images.
    return min(names, key=lambda name: (-counts[name], name))


def _image_probes(
    image: int, objects: Sequence[Sequence[str]], negatives: _Negatives, num_pairs: int, seed: int
) -> list[Probe]:
    shown = objects[image]
    # The purpose of the draw does not name the split, so that all splits have the same true objects.
    order = torch.randperm(len(shown), generator=position_generator(seed, "pope/true objects", image))
    taken = set(shown)
    probes: list[Probe] = []
    for pair, position in enumerate(order[:num_pairs]):
        present = shown[int(position)]
        absent = negatives.choose(present, taken=taken, image=image, pair=pair)
        if absent is None:
            break
        taken.add(absent)
        probes += [Probe(image, present, True, negatives.split), Probe(image, absent, False, negatives.split)]
    return probes
