"""Metrics of held-out pairs: margins gathered over ranks, and the numbers computed from them.

Shapes: B pairs of a batch, N pairs of a validation.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from algorithms import bradley_terry_loss, expected_calibration_error, pair_accuracy, reliability_curve

# Bytes of a kind's name when it is sent between ranks; longer names are cut.
_KIND_BYTES = 64


class PairMargins(Metric):
    """Margins and kinds of held-out pairs, gathered over ranks. Any name of a kind is allowed."""

    full_state_update = False
    margins: list[Tensor]
    kinds: list[Tensor]

    def __init__(self) -> None:
        """Start without pairs."""
        super().__init__()
        for name in ("margins", "kinds"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, margins: Tensor, kinds: Sequence[str]) -> None:
        """Add pairs: ``margins`` (B,) and the kind of each."""
        self.margins.append(margins.detach().float())
        # torchmetrics gathers tensors only, so names become rows of bytes: (B, _KIND_BYTES)
        encoded = b"".join(kind.encode()[:_KIND_BYTES].ljust(_KIND_BYTES, b"\0") for kind in kinds)
        letters = torch.tensor(list(encoded), dtype=torch.uint8, device=margins.device)
        self.kinds.append(letters.view(-1, _KIND_BYTES))

    def compute(self) -> tuple[Tensor, list[str]]:
        """Return the margins (N,) of all ranks and their kinds; a collective call."""
        # The cut may split a character of several bytes; its remaining bytes are dropped.
        names = [bytes(row).rstrip(b"\0").decode(errors="ignore") for row in dim_zero_cat(self.kinds).tolist()]
        return dim_zero_cat(self.margins), names


def pair_metrics(margins: Tensor, kinds: Sequence[str]) -> dict[str, Tensor]:
    """Return accuracy overall and by kind, mean margin, loss in nats per pair, and calibration error.

    ``pair_accuracy_macro`` is the mean over the kinds, as VL-RewardBench reports it (arXiv:2411.17451), because its
    kinds have different sizes. With a single kind this metric is left out.

    Args:
        margins: (N,) chosen minus rejected score, N > 0.
        kinds: ``PreferencePair.kind`` of each pair.
    """
    # Loss and accuracy depend only on the difference of two scores, so (margin, 0) can replace (chosen, rejected).
    zeros = torch.zeros_like(margins)
    values = {
        "pair_accuracy": pair_accuracy(margins, zeros),
        "margin": margins.mean(),
        "loss": bradley_terry_loss(margins, zeros),
        "calibration_error": expected_calibration_error(reliability_curve(margins)),
    }
    for kind in sorted(set(kinds)):
        of_kind = torch.tensor([other == kind for other in kinds], device=margins.device)
        values[f"pair_accuracy_{kind}"] = pair_accuracy(margins[of_kind], zeros[of_kind])
    if len(set(kinds)) > 1:
        values["pair_accuracy_macro"] = torch.stack([values[f"pair_accuracy_{kind}"] for kind in set(kinds)]).mean()
    return values
