"""The closing lines of a run: its folder, and the commands to resume it and to look at its results."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from cli.given.places import program
from run_records import FILE_NAME, RunRecord
from storage import newest_readable

# Files that callbacks write into a run's folder and that another command reads.
_WRITTEN = (("export", "export"), ("pairs", "pairs"), ("written", "predictions.jsonl"))


def closing_lines(record: RunRecord, saved: Sequence[Path] = ()) -> list[str]:
    """Return the lines.

    Args:
        record: record of the run that has ended.
        saved: folders that the user has set for checkpoints.
    """
    lines = [f"run:     {record.folder}  ({record.told}, {record.seconds:.0f} s)"]
    if record.command == "fit":
        lines.append(f"resume:  {_resuming(record, saved)}")
    lines += [
        f"{title}:{' ' * (8 - len(title))}{record.folder / name}"
        for title, name in _WRITTEN
        if (record.folder / name).exists()
    ]
    has_curves = any(record.folder.glob("events.out.tfevents.*"))
    seen = f"tensorboard --logdir {shlex.quote(str(record.folder))}" if has_curves else str(record.folder / FILE_NAME)
    return [*lines, f"see:     {seen}"]


def command_line(arguments: Sequence[str]) -> str:
    """Return a command, quoted for a shell."""
    return f"{program()} {shlex.join(arguments)}"


def _resuming(record: RunRecord, saved: Sequence[Path]) -> str:
    arguments = without_ckpt_path(record.arguments)
    if own := newest_readable(record.folder.glob("checkpoints/*.ckpt")):
        return command_line([*arguments, f"--ckpt_path={own}"])
    if any(any(folder.glob("*.ckpt")) for folder in saved):
        return command_line([*arguments, "--ckpt_path=last"])
    if any(argument.startswith("--callbacks.checkpoint") for argument in arguments):
        return "there is no checkpoint yet; --callbacks.checkpoint.every_n_train_steps=N writes one every N steps"
    return (
        "there is no checkpoint to resume from; --trainer.enable_checkpointing=true "
        "--callbacks.checkpoint=callbacks.StepCheckpoint writes some"
    )


def without_ckpt_path(arguments: Sequence[str]) -> list[str]:
    """Return a command line without ``--ckpt_path``."""
    kept: list[str] = []
    for position, argument in enumerate(arguments):
        follows = position > 0 and arguments[position - 1] == "--ckpt_path"
        if argument != "--ckpt_path" and not argument.startswith("--ckpt_path=") and not follows:
            kept.append(argument)
    return kept
