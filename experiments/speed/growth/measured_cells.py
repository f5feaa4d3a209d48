"""What was measured of a cell, as one small JSON file: the page and its figures are computed from these alone."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from experiments.speed.growth.cells import Cell
from experiments.speed.growth.sides import SIDES, Side
from storage import whole_file

_LIBRARIES = ("torch", "transformers", "trl")
_CPU = Path("/proc/cpuinfo")


@dataclass(frozen=True, kw_only=True)
class MeasuredCell:
    """Both sides of a cell, measured one after the other."""

    cell: Cell
    sides: Mapping[Side, Mapping[str, Any]]
    """What ``measure_side`` returned."""

    seconds: float
    """Of the whole cell on the wall."""

    date: str
    threads: int
    machine: str
    versions: Mapping[str, str]

    def value(self, side: Side, key: str) -> float:
        """Return a number of a side."""
        return self.sides[side][key]

    def gibibytes(self, side: Side) -> float | None:
        """Return the peak of memory above what the process held before it loaded the policy."""
        peak, idle = (self.sides[side][key] for key in ("gibibytes", "idle_gibibytes"))
        return None if peak is None or idle is None else peak - idle

    def ratio(self, key: str = "processor_step") -> float:
        """Return how many times ours goes into TRL's."""
        return self.value("trl", key) / self.value("ours", key)

    @property
    def load(self) -> Sequence[float]:
        """Load averages of the machine while it was measured: what ran in the last minute, this included."""
        return [load for side in SIDES for load in self.sides[side]["load"]]


def as_measured(cell: Cell, sides: Mapping[Side, Mapping[str, Any]], seconds: float, threads: int) -> MeasuredCell:
    """Return a cell that was measured just now on this machine."""
    return MeasuredCell(
        cell=cell, sides=sides, seconds=seconds, date=datetime.now(UTC).date().isoformat(), threads=threads,
        machine=_machine(), versions={name: version(name) for name in _LIBRARIES},
    )  # fmt: skip


def write(measured: MeasuredCell, folder: Path) -> Path:
    """Write a cell, whole or not at all, and return its file."""
    path = folder / f"{measured.cell.name}.json"
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in _rounded(asdict(measured)).items()]
    with whole_file(path) as draft:
        draft.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return path


def read_all(folder: Path, cells: Sequence[Cell]) -> dict[str, MeasuredCell]:
    """Return those of some cells that were measured, by name; one whose setting was changed since does not count."""
    files = {cell.name: folder / f"{cell.name}.json" for cell in cells}
    found = {name: read(path) for name, path in files.items() if path.is_file()}
    return {cell.name: found[cell.name] for cell in cells if cell.name in found and found[cell.name].cell == cell}


def read(path: Path) -> MeasuredCell:
    """Return one file's cell."""
    content: dict[str, Any] = json.loads(path.read_text())
    return MeasuredCell(**{**content, "cell": Cell(**content["cell"])})


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _machine() -> str:
    """Return the processor's name, or the GPU's where the cells ran on one."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    lines = _CPU.read_text().splitlines() if _CPU.exists() else []
    named = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()
