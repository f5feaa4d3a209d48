"""What is measured: one change at a time, from a middle on."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

Kind = Literal["grpo", "mpo"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One setting in which a step is measured, here and in TRL."""

    kind: Kind
    model: str = "10M"
    """Parameters: a key of ``experiments.speed.subjects.MODELS``."""

    prompt: int = 512
    """Tokens of every prompt, picture and chat included."""

    group: int = 8
    """GRPO: completions of the one prompt of a step. MPO: pairs of a step, each with a prompt of its own."""

    answer: int = 128
    """Tokens of every completion."""

    recompute: bool = True
    """Whether both sides compute activations again in backward."""

    steps: int = 2
    """Of each side; the first is not counted."""

    @property
    def name(self) -> str:
        """Everything that tells it from other cells."""
        kept = "recomputed" if self.recompute else "kept"
        return f"{self.kind}-{self.model}-p{self.prompt}-g{self.group}-a{self.answer}-{kept}"


MIDDLE: dict[Kind, Cell] = {"grpo": Cell(kind="grpo"), "mpo": Cell(kind="mpo", group=4)}
AXES: dict[Kind, dict[str, tuple[Any, ...]]] = {
    "grpo": {
        "model": ("1M", "10M", "135M"),
        "prompt": (64, 256, 512, 1024, 2048),
        "group": (2, 4, 8, 16),
        "answer": (32, 128, 512),
        "recompute": (True, False),
    },
    "mpo": {
        "model": ("1M", "10M", "135M"),
        "prompt": (64, 512, 2048),
        "answer": (32, 128, 512),
        "recompute": (True, False),
    },
}
"""For each kind what is varied, one key at a time, and its values; the middle is among them."""

# The real model at other lengths: where a prompt weighs little, and where it weighs most.
_REAL_PROMPTS = (128, 2048)
# Steps of a small model take less time than its process needs to start, and vary more.
_STEPS = {"1M": 4}


def every_cell() -> list[Cell]:
    """Return all cells: both middles, the other short ones, which are measured by default, and the long ones."""
    cells: dict[str, Cell] = {cell.name: cell for cell in MIDDLE.values()}
    for kind, axes in AXES.items():
        changes = [{key: value} for key, values in axes.items() for value in values]
        changes += [{"model": "135M", "prompt": prompt} for prompt in _REAL_PROMPTS] if kind == "grpo" else []
        for change in changes:
            cell = replace(MIDDLE[kind], **change)
            cell = replace(cell, steps=_STEPS.get(cell.model, cell.steps))
            cells.setdefault(cell.name, cell)
    return sorted(cells.values(), key=lambda cell: not is_short(cell))


def is_short(cell: Cell) -> bool:
    """Return whether a cell is measured without ``--all``."""
    return cell.model != "135M" and cell.prompt <= 1024 and cell.answer <= 128


def as_dict(cell: Cell) -> dict[str, Any]:
    """Return a cell as JSON keeps it."""
    return asdict(cell)


def differs_in(cell: Cell) -> set[str]:
    """Return the keys in which a cell is not the middle of its kind; steps are none."""
    middle = MIDDLE[cell.kind]
    return {f.name for f in fields(cell) if f.name != "steps" and getattr(cell, f.name) != getattr(middle, f.name)}
