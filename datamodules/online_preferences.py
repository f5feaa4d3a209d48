"""Pairs built from the policy's own rollouts while it learns: iterative MPO (R1V2, arXiv:2504.16656, section 3.2).

    every N steps:  prompts (P) -> the module rolls out -> scored groups -> candidate pairs -> selection -> pool
    every step:     pool -> batch of pairs

The pairs of a step are a function of its number and of the pool, and the pool is in the checkpoint.
"""

import logging
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from algorithms import (
    DataError,
    PairSelection,
    PairTicket,
    PreferencePair,
    check_at_least,
    group_pairs,
    select_pairs,
)
from datamodules.prompts import PromptDataModule
from datamodules.reading import ReadingConfig
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.streams.mixed import row_order
from datamodules.streams.pair_report import margins_in_words
from datamodules.streams.shuffled import CountedLoader, ShuffledRows
from datamodules.streams.unusable import JudgesPairs
from rollouts import RolloutPhase, gather_ranks, state_of_rank

logger = logging.getLogger(__name__)


class OnlinePreferenceDataModule(PromptDataModule):
    """Streams tickets, some of them with prompts to roll out, and draws batches from the pairs of these rollouts."""

    known_pairs: Sequence[PreferencePair] = ()
    """Pairs that are known before training: none."""

    def __init__(
        self,
        source: PromptFolder,
        prompts_per_refresh: int = 64,
        refresh_every: int = 8,
        pairs_per_batch: int = 32,
        selection: PairSelection = PairSelection(),  # noqa: B008  (frozen)
        score_part: str = "preference",
        seed: int = 0,
        reading: ReadingConfig = ReadingConfig(),  # noqa: B008
    ) -> None:
        """Check the settings; nothing is read yet.

        Args:
            source: where the prompts lie.
            prompts_per_refresh: prompts rolled out each time, per rank.
            refresh_every: training steps between two rollouts.
            pairs_per_batch: pairs of one training step on one rank.
            selection: threshold, kinds and number of pairs per prompt.
            score_part: name of the reward part whose scores are compared with the threshold.
            seed: seed of prompt order, pair order and the draw per prompt.
            reading: longest prompt and largest image; batches of validation, test and prediction; reports.
        """
        super().__init__(source, reading)
        check_at_least("data.prompts_per_refresh", prompts_per_refresh, 1, "pairs are built from rollouts of prompts")
        check_at_least("data.refresh_every", refresh_every, 1, "it is a number of training steps")
        check_at_least("data.pairs_per_batch", pairs_per_batch, 1, "a batch must hold a pair")
        self.prompts_per_refresh = prompts_per_refresh
        # PreferenceDataModule has None here, so a caller can distinguish the two.
        self.refresh_every = refresh_every
        self.pairs_per_batch, self.selection, self.score_part = pairs_per_batch, selection, score_part
        self.seed = seed
        # The pairs of the newest rollout that gave pairs, and the number of that rollout.
        self.pool: list[PreferencePair] = []
        self.pool_number = 0
        self.kept_fraction = 0.0

    @property
    def notes_folder(self) -> Path:
        """Folder for caches about the prompts."""
        return self.source.notes_folder

    @property
    def wants_dropout_ntp(self) -> bool:
        """Whether DropoutNTP pairs are built too, against continuations without the image (MPO, section 3.2)."""
        return "dropout_ntp" in self.selection.kinds

    def set_threshold(self, threshold: float) -> None:
        """Set the threshold tau of ``selection``; the next refresh selects pairs with it."""
        self.selection = replace(self.selection, threshold=threshold)

    def train_dataloader(self) -> CountedLoader:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the ticket stream."""
        prompts = self.prompts["train"]
        rank, world_size = self.rank
        order = row_order(
            prompts,
            self.source.weights,
            per_batch=self.prompts_per_refresh,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
        )

        def ticket(number: int) -> PairTicket:
            refresh, step = divmod(number, self.refresh_every)
            if step:
                # No rollout is due: pairs_of draws from the pool.
                return PairTicket(number)
            return PairTicket(number, refresh=refresh, prompts=[prompts[row] for row in order.rows(refresh)])

        return CountedLoader(ticket)

    def refresh(self, phase: RolloutPhase, blind: Sequence[PreferencePair], number: int) -> dict[str, float]:
        """Replace the pool by pairs of a rollout; an older pool stays when nothing passes the selection.

        Raises:
            DataError: when nothing passes and there is no older pool.
        """
        candidates = [pair for group in phase.groups for pair in group_pairs(group, score_part=self.score_part)]
        candidates += blind
        selection = self.selection.for_pairs(candidates)
        selected = select_pairs(candidates, selection, seed=self.seed + number)
        kept = [pair for pair in selected if self._problem(pair) is None]
        self.kept_fraction = sum(map(selection.keeps, candidates)) / max(1, len(candidates))
        if kept:
            self.pool, self.pool_number = kept, number
        # A collective call, so that all ranks stop together.
        if not all(gather_ranks(len(self.pool))):
            raise DataError(
                f"data.selection keeps none of {len(candidates)} pairs of the first rollout: {self.selection}; "
                f"{margins_in_words(candidates)}. "
                "Lower data.selection.threshold, set data.selection.top_share in its place, or allow more kinds."
            )
        if not kept:
            logger.warning("rollout %d gave no pair that passes data.selection; the older pairs are used again", number)
        scored = [pair.margin for pair in kept if pair.margin is not None]
        values = {
            "pairs/candidates": float(len(candidates)),
            "pairs/built": float(len(kept)),
            "pairs/unusable": float(len(selected) - len(kept)),
        }
        return values | ({"pairs/margin": sum(scored) / len(scored)} if scored else {})

    def pairs_of(self, batch: Any) -> Sequence[PreferencePair]:
        """Return the pairs of a training step, drawn from the pool pass by pass."""
        # Every rank has a pool of its own, which is not divided among ranks, so the rank is part of the purpose.
        order = ShuffledRows(
            len(self.pool),
            per_batch=self.pairs_per_batch,
            seed=self.seed,
            rank=0,
            world_size=1,
            purpose=f"pair order of pool {self.pool_number} on rank {self.rank[0]}",
        )
        # Steps since the pool was built; later refreshes may have given no pairs.
        return [self.pool[row] for row in order.rows(batch.number - self.pool_number * self.refresh_every)]

    def _problem(self, pair: PreferencePair) -> tuple[str, str] | None:
        """Return why the module cannot learn from a pair; None when it can."""
        # A pair holds texts: when they are tokenized again, parts of words may join to a token that no completion may
        # hold.
        return self.module.pair_problem(pair, None) if isinstance(self.module, JudgesPairs) else None

    def state_dict(self) -> dict[str, Any]:
        """Return the pools of all ranks, and the threshold, which a calibrator may have moved; a collective call."""
        # The state has the uid of the prompt; its question and images stay in the data.
        names = [f.name for f in fields(PreferencePair)]
        rows = [{name: getattr(pair, name) for name in names} | {"prompt": pair.prompt.uid} for pair in self.pool]
        pools = gather_ranks({"number": self.pool_number, "kept": self.kept_fraction, "pairs": rows})
        return {"pools": pools, "threshold": self.selection.threshold}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore this rank's pool, for training; other commands do not use it."""
        if not self.is_for_training:
            return
        state = state_of_rank(state_dict["pools"], *self.rank)
        self.pool_number, self.kept_fraction = state["number"], state["kept"]
        self.selection = replace(self.selection, threshold=state_dict["threshold"])
        self.pool = [PreferencePair(**{**row, "prompt": self.prompt("train", row["prompt"])}) for row in state["pairs"]]
