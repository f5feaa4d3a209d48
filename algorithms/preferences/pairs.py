"""Preference pairs from scored groups, and the selection of those to learn from.

    group (G completions)  ->  candidates of every kind  ->  above the threshold  ->  distinct, at most k per prompt

``correctness``: the chosen completion is right, the rejected one is not (MPO, arXiv:2411.10442, section 3.2).
``format``: both completions are right, but only the chosen one has the required form.
``reward_model``: the preference reward model scores the chosen one higher.

The threshold tau of R1V2 (arXiv:2504.16656, section 4) is read as a margin: score(chosen) - score(rejected) >= tau.
Differs from the paper, which does not define what is compared with tau: ``by: chosen_score`` is the other reading.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Literal

import torch

from algorithms.chance import position_generator
from algorithms.errors import ConfigError, check_at_least
from algorithms.records import PreferencePair, RolloutGroup

KINDS = ("correctness", "format", "reward_model", "dropout_ntp")


@dataclass(frozen=True, kw_only=True)
class PairSelection:
    """Which pairs are learned from."""

    threshold: float | None = None
    """tau, in units of the reward model's score, for pairs of kind ``reward_model`` and for given ones with scores.
    null: no pair is left out by its score."""

    top_share: float | None = None
    """Share in (0, 1] of the scored pairs of wanted kinds, those with the largest number: tau is then where that share
    begins, whatever the scale of the reward model. In place of ``threshold``. Own addition, not in the paper."""

    by: Literal["margin", "chosen_score"] = "margin"
    """The number of a pair that must be at least tau."""

    kinds: tuple[str, ...] = ()
    """Kinds that are kept; empty keeps every kind."""

    max_per_prompt: int = 15
    """Most pairs of one prompt, drawn at random from all of them; 15 as in MPO."""

    def __post_init__(self) -> None:
        check_at_least("selection.max_per_prompt", self.max_per_prompt, 1, "no prompt would keep a pair")
        if self.top_share is not None and not 0.0 < self.top_share <= 1.0:
            raise ConfigError(f"selection.top_share must lie in (0, 1], got {self.top_share}: it is a share of pairs.")
        if self.top_share is not None and self.threshold is not None:
            raise ConfigError(
                f"selection.top_share is {self.top_share}, and the threshold beside it {self.threshold}: set one of "
                "the two to null, because a share sets the threshold by itself."
            )

    def check_buildable(self, score_part: str, reward_parts: Collection[str]) -> None:
        """Refuse kinds that cannot be built from rollouts with these reward parts.

        Args:
            score_part: name of the reward part that is the preference reward model.
            reward_parts: names of all parts of the reward.

        Raises:
            ConfigError: names the kind, and the reward part that is missing.
        """
        if wrong := [kind for kind in self.kinds if kind not in KINDS]:
            raise ConfigError(
                f"selection.kinds may hold {', '.join(KINDS)} where pairs are built from rollouts, got "
                f"{', '.join(wrong)}."
            )
        # No kinds means every kind, so the reward model's too.
        if score_part not in reward_parts and (not self.kinds or "reward_model" in self.kinds):
            raise ConfigError(
                f"selection.kinds includes pairs of the reward model, but model.reward.parts has no {score_part!r} "
                f"(score_part), only {', '.join(reward_parts)}: add it, or leave reward_model out of the kinds."
            )

    def for_pairs(self, pairs: Sequence[PreferencePair]) -> "PairSelection":
        """Return the same with the threshold at which ``top_share`` of these pairs begins; without a share, itself."""
        if self.top_share is None:
            return self
        wanted = replace(self, top_share=None)
        numbers = [self._number(pair) for pair in pairs if _has_threshold(pair) and wanted.keeps(pair)]
        ordered = sorted((number for number in numbers if number is not None), reverse=True)
        # At least one pair. Pairs with equal numbers stay together, so it may be more than the share.
        last = max(1, round(self.top_share * len(ordered))) - 1
        return replace(wanted, threshold=ordered[last] if ordered else None)

    def keeps(self, pair: PreferencePair) -> bool:
        """Return whether a pair is of a wanted kind and reaches the threshold."""
        if self.kinds and pair.kind not in self.kinds:
            return False
        if self.threshold is None or not _has_threshold(pair):
            return True
        value = self._number(pair)
        if value is None:
            # A file may have pairs without scores, but a pair of the reward model cannot be checked without them.
            return pair.kind == "given"
        return value >= self.threshold

    def _number(self, pair: PreferencePair) -> float | None:
        return pair.margin if self.by == "margin" else pair.chosen_score


def _has_threshold(pair: PreferencePair) -> bool:
    # The other kinds come from rules or from blind continuations: no score decided which completion is better.
    return pair.kind in ("reward_model", "given")


def group_pairs(group: RolloutGroup, *, score_part: str = "preference") -> list[PreferencePair]:
    """Return every candidate pair of one group, all with uid 0; ``select_pairs`` numbers them.

    Args:
        group: completions with scores; the parts ``accuracy``, ``format`` and ``score_part`` are used where present.
        score_part: name of the reward part that is the preference reward model.
    """
    found: list[PreferencePair] = []
    # Every ordered pair of the G completions: G (G - 1) of them.
    for chosen, rejected in permutations(range(len(group.completions)), 2):
        better, worse = group.completions[chosen], group.completions[rejected]
        # A completion that was cut has no end that could be learned.
        if better.finish_reason != "stop":
            continue
        # Files of pairs are refused with such rows, so none may be made: texts that are empty, or equal but for spaces.
        texts = {better.text.strip(), worse.text.strip()}
        if len(texts) < 2 or "" in texts:
            continue
        found += [
            PreferencePair(
                uid=0,
                prompt=group.prompt,
                chosen=better.text,
                rejected=worse.text,
                rejected_ended=worse.finish_reason == "stop",
                kind=kind,
                chosen_score=group.score(score_part, chosen),
                rejected_score=group.score(score_part, rejected),
            )
            for kind in _kinds(group, chosen, rejected, score_part)
        ]
    return found


def select_pairs(pairs: Sequence[PreferencePair], selection: PairSelection, *, seed: int) -> list[PreferencePair]:
    """Return the pairs to learn from, in their order, numbered from 0 on.

    Of pairs with the same prompt and the same two texts the first one is kept. Of a prompt with too many pairs
    ``max_per_prompt`` are drawn at random. ``top_share`` is a share of these pairs.
    """
    selection = selection.for_pairs(pairs)
    # uid of a prompt -> (chosen, rejected) -> position of the first such pair
    by_prompt: dict[int, dict[tuple[str, str], int]] = {}
    for position, pair in enumerate(pairs):
        if selection.keeps(pair):
            by_prompt.setdefault(pair.prompt.uid, {}).setdefault((pair.chosen, pair.rejected), position)
    kept: list[int] = []
    for uid, distinct in by_prompt.items():
        positions = list(distinct.values())
        # A generator for each prompt: the draw does not depend on which other prompts have pairs.
        order = torch.randperm(len(positions), generator=position_generator(seed, "pairs of a prompt", uid))
        kept += [positions[int(i)] for i in order[: selection.max_per_prompt]]
    return [replace(pairs[position], uid=uid) for uid, position in enumerate(sorted(kept))]


def _kinds(group: RolloutGroup, chosen: int, rejected: int, score_part: str) -> list[str]:
    """Return the kinds of pairs in which one completion of a group is the better one of two."""
    kinds: list[str] = []
    # A missing score is None, which equals neither 0 nor 1.
    accuracy = (group.score("accuracy", chosen), group.score("accuracy", rejected))
    if accuracy == (1.0, 0.0):
        kinds.append("correctness")
    if accuracy == (1.0, 1.0) and (group.score("format", chosen), group.score("format", rejected)) == (1.0, 0.0):
        kinds.append("format")
    better, worse = group.score(score_part, chosen), group.score(score_part, rejected)
    if better is not None and worse is not None and better > worse:
        kinds.append("reward_model")
    return kinds
