"""Polling-based Object Probing Evaluation, POPE (arXiv:2305.10355, section 5): which objects to ask about.

For each image come pairs of a question about an object that is there and one about an object that is not:

    random        any object of the set that the image does not show
    popular       the most frequent of these
    adversarial   the one that most often stands beside the pair's first object; any of these when none ever does

An image never gets the same object twice, so exactly half of the right answers are yes. Frequencies count images.

Differs from the authors' script: objects that are there are drawn by chance, where the script takes the first ones of
the annotation; an image with fewer objects gives fewer pairs, where the script leaves it out; where the set has no
further object, the image ends, where the script loops forever; ties go by the alphabet. "a" becomes "an" in front of
the object only, where the script replaces every letter a of the template.

Every draw depends on the seed and the image's position only, and the three splits ask about the same true objects.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from algorithms.chance import position_generator
from algorithms.errors import ConfigError, DataError
from hallucination.yes_no import answer_counts, poll_answer, yes_no_scores

PopeSplit = Literal["random", "popular", "adversarial"]
POPE_SPLITS: tuple[PopeSplit, ...] = ("random", "popular", "adversarial")
POPE_TEMPLATE = "Is there {a} {object} in the image?"


@dataclass(frozen=True, slots=True)
class Probe:
    """One yes/no question about one object in one image."""

    image: int
    """Position in the annotated set."""

    name: str
    """The object asked about."""

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
    if num_pairs < 1:
        raise ConfigError(
            f"num_pairs must be at least 1, got {num_pairs}: every image would be left without a question."
        )
    objects = [sorted(set(shown)) for shown in objects_of_images]
    chooser = _Negatives(objects, split, seed)
    return [probe for image in range(len(objects)) for probe in _image_probes(image, objects, chooser, num_pairs, seed)]


def probe_question(name: str, template: str = POPE_TEMPLATE) -> str:
    """Return the question about an object.

    Args:
        name: the object.
        template: holds ``{object}``, and ``{a}`` where the article goes.
    """
    article = "an" if name[:1].lower() in tuple("aeiou") else "a"
    return template.format(a=article, object=name)


def check_template(template: str, key: str) -> None:
    """Raise ConfigError, naming the key, unless a template asks about an object."""
    try:
        fields = {field for _, field, _, _ in Formatter().parse(template) if field is not None}
    except ValueError as error:
        raise ConfigError(f"{key} is no template: {error}, in {template!r}.") from None
    if "object" not in fields or fields - {"a", "object"}:
        raise ConfigError(
            f"{key} must hold {{object}}, may hold {{a}} for its article and nothing else in braces, got {template!r}: "
            "every question asks about one object."
        )


class _Negatives:
    """Chooses objects that an image does not show."""

    def __init__(self, objects: Sequence[Sequence[str]], split: PopeSplit, seed: int) -> None:
        self.split: PopeSplit = split
        self.seed = seed
        self.images_with = Counter(name for shown in objects for name in shown)
        self.names = sorted(self.images_with)
        self.images_with_both: dict[str, Counter[str]] = {name: Counter() for name in self.names}
        for shown in objects:
            for name in shown:
                self.images_with_both[name].update(other for other in shown if other != name)

    def choose(self, beside: str, *, taken: Collection[str], image: int, pair: int) -> str | None:
        """Return an object to ask about next to the true one; None when every object is taken."""
        free = [name for name in self.names if name not in taken]
        if not free:
            return None
        if self.split == "popular":
            return _most_frequent(free, self.images_with)
        beside_it = [name for name in free if self.images_with_both[beside][name] > 0]
        if self.split == "adversarial" and beside_it:
            return _most_frequent(beside_it, self.images_with_both[beside])
        chance = position_generator(self.seed, f"pope/{self.split}", image, pair)
        return free[int(torch.randint(len(free), (), generator=chance))]


def _most_frequent(names: Sequence[str], counts: Counter[str]) -> str:
    return min(names, key=lambda name: (-counts[name], name))


def _image_probes(
    image: int, objects: Sequence[Sequence[str]], negatives: _Negatives, num_pairs: int, seed: int
) -> list[Probe]:
    shown = objects[image]
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


class PopeMetric(Metric):
    """Accuracy, precision, recall, F1 and yes-ratio of the answers to POPE's probes, overall and by split."""

    full_state_update = False
    counts: Tensor
    """(splits, 4): true yes, false yes, true no, false no."""

    num_silent: Tensor
    """Answers that hold neither a yes nor a no and count as yes."""

    def __init__(self, splits: Sequence[str] = POPE_SPLITS) -> None:
        """Name the splits that probes may come from."""
        super().__init__()
        self.splits = tuple(splits)
        self.add_state("counts", torch.zeros(len(self.splits), 4, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("num_silent", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, completions: Sequence[str], answers: Sequence[str], splits: Sequence[str]) -> None:
        """Add completions, the right answer to each ("yes" or "no") and the split of its probe.

        Raises:
            DataError: A right answer or a split that there is not.
        """
        for kind, given, allowed in (("answer", answers, ("yes", "no")), ("split", splits, self.splits)):
            if not set(given) <= set(allowed):
                raise DataError(f"the {kind} of a probe must be one of {', '.join(allowed)}, got {sorted(set(given))}.")
        polled = [poll_answer(completion) for completion in completions]
        is_yes = torch.tensor([answer.is_yes for answer in polled], dtype=torch.bool)
        is_truly_yes = torch.tensor([answer == "yes" for answer in answers], dtype=torch.bool)
        for position, split in enumerate(self.splits):
            of_split = torch.tensor([given == split for given in splits], dtype=torch.bool)
            self.counts[position] += answer_counts(is_yes[of_split], is_truly_yes[of_split]).to(self.counts)
        self.num_silent += sum(not answer.is_stated for answer in polled)

    def compute(self) -> dict[str, Tensor]:
        """Return the scores over all probes, and those of each split that was asked."""
        overall = yes_no_scores(self.counts.sum(0))
        values = {f"pope_{name}": score for name, score in overall._asdict().items()}
        values["pope_silent_fraction"] = self.num_silent / self.counts.sum().clamp_min(1)
        by_split = yes_no_scores(self.counts)
        for position, split in enumerate(self.splits):
            if self.counts[position].sum() > 0:
                values |= {f"pope_{name}_{split}": score[position] for name, score in by_split._asdict().items()}
        return values
