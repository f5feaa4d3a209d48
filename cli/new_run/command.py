"""``train.py new``: writes a small config for a user's data and model, and prints findings and doubts.

python train.py new DIR --data PATH --model PATH_OR_NAME [--phase grpo|mpo] [--val PATH] [--force]
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from algorithms import ConfigError
from cli.given.arguments import OneLineArguments
from cli.given.places import program, writes_to
from cli.new_run import doubts, settings
from cli.new_run.config import grpo_config, mpo_config
from cli.new_run.files import DataFiles, training_files, validation_files
from cli.new_run.look import DataLook, has_pairs, look_at_mmpr, look_at_pairs, look_at_prompts, measure
from cli.new_run.model import ModelLook, look_at_model
from storage import whole_file

FILE = "config.yaml"
DESCRIPTION = "Looks at your data and your model, and writes DIR/config.yaml, small and commented, to start from."


def main(arguments: Sequence[str]) -> int:
    """Examine data and model, write the config, print the findings, and return the status.

    Raises:
        ConfigError: for a wrong option or model, and when the config exists already.
        DataError: for data that cannot be used.
    """
    options = _parser().parse_args(list(arguments))
    target = _target(options.dir, force=options.force)
    # The model is examined first, because this takes less time than the data.
    model = look_at_model(options.model)
    data, val, phase = _data(options)
    measure(data, model, settings.asked(data, model))
    write = mpo_config if phase == "mpo" else grpo_config
    text = write(_name(target), data, val, model, _head(target, options, phase))
    with writes_to("DIR", Path(options.dir)):
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as draft:
            draft.write_text(text, encoding="utf-8")
    sys.stdout.write("".join(f"{line}\n" for line in _told(target, data, val, model, phase)))
    return 0


def _parser() -> OneLineArguments:
    parser = OneLineArguments(
        "python train.py new", description=DESCRIPTION, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("dir", metavar="DIR", help="folder of the config; its name is that of the runs")
    add(
        "--data", required=True, metavar="PATH", help="a file, or a folder with train.jsonl, train-*.parquet, meta.json"
    )
    add("--model", required=True, metavar="PATH_OR_NAME", help="a folder in Hugging Face format, or a name on the hub")
    add("--phase", choices=("grpo", "mpo"), help="default: mpo where the rows hold chosen and rejected, else grpo")
    add("--val", metavar="PATH", help="validation rows; default: those beside the training rows")
    add("--force", action="store_true", help="replace a config that is already there")
    return parser


def _target(folder: str, *, force: bool) -> Path:
    place = Path(folder).expanduser()
    target = place / FILE
    if not folder.strip() or place.is_file():
        raise ConfigError(f"DIR must be a folder, got {folder!r}{', which is a file' if folder.strip() else ''}.")
    if target.is_dir():
        raise ConfigError(f"{target} is a folder: give another DIR.")
    if target.exists() and not force:
        raise ConfigError(f"{target} is already there: give another DIR, or --force to replace it.")
    return target


def _name(target: Path) -> str:
    return target.absolute().parent.name or "own"


def _data(options: argparse.Namespace) -> tuple[DataLook, DataLook | None, str]:
    """Return training and validation data, and the phase."""
    place = Path(options.data).expanduser()
    meta = place / "meta.json" if place.is_dir() else place
    # MMPR's layout is recognised by its file and holds pairs only.
    if meta.name == "meta.json" and meta.is_file():
        if options.phase == "grpo" or options.val is not None:
            raise ConfigError(f"--data is {options.data!r}, pairs in MMPR's layout: leave out --phase grpo and --val.")
        return look_at_mmpr(DataFiles(str(meta.parent), meta.name, [meta])), None, "mpo"
    files = training_files(options.data)
    phase = options.phase or ("mpo" if has_pairs(files) else "grpo")
    if phase == "grpo" and has_pairs(files):
        raise ConfigError(
            f"--phase is grpo, but {files.files[0]} holds pairs (chosen and rejected), which only mpo learns from."
        )
    val_files = validation_files(options.val, files)
    if phase == "grpo":
        return look_at_prompts(files), look_at_prompts(val_files) if val_files else None, phase
    if val_files is not None and val_files.folder != files.folder:
        raise ConfigError(
            f"--val is {options.val!r}: pairs for validation must lie in {files.folder}, beside the others."
        )
    return look_at_pairs(files), look_at_pairs(val_files) if val_files else None, phase


def _head(target: Path, options: argparse.Namespace, phase: str) -> str:
    line = " ".join(map(shlex.quote, ["new", options.dir, "--data", options.data, "--model", options.model]))
    what = {"grpo": "GRPO with the Selective Sample Buffer", "mpo": "Mixed Preference Optimization"}[phase]
    lines = [
        f"{what}, written by: {program()} {line}",
        *_commands(target, phase),
        "Numbers have their unit and source beside them, or in configs/qwen2_5_vl. Every key: add --print_config.",
    ]
    return "".join(f"# {' '.join(text.splitlines())}\n" for text in lines)


def _commands(target: Path, phase: str) -> list[str]:
    place = shlex.quote(str(target))
    looks = [f"{program()} inspect --config {place}"] if phase == "grpo" else []
    return [*looks, f"{program()} fit --config {place}"]


def _told(target: Path, data: DataLook, val: DataLook | None, model: ModelLook, phase: str) -> list[str]:
    keys = ", ".join(f"{key} = {value}" for key, value in data.guess.keys.items() if value is not None)
    num_usable = len(data.pairs or data.prompts)
    seen = f"{data.num_looked_at} of {data.num_rows} rows looked at, {num_usable} usable"
    lines = [f"data:      {data.files.files[0]}: {seen}"]
    if data.preset:
        lines.append(f"layout:    that of {data.preset}")
    lines.append(f"columns:   {keys}")
    if data.guess.unread:
        lines.append(f"           without a meaning here, left to rewards: {', '.join(data.guess.unread)}")
    if phase == "grpo":
        lines.append(f"answers:   {doubts.answer_forms(data.prompts)}")
    given = f"validation {val.files.files[0]}, {val.num_rows} rows" if val else ""
    lines += [f"           {given}"] if given else []
    kind = "reads images" if model.reads_images else "language model, text only"
    lines.append(f"model:     {model.model_type} ({kind}), context {model.context or 'unknown'} tokens")
    lines.append(f"lengths:   {min(data.lengths)} to {max(data.lengths)} tokens in {len(data.lengths)} rows")
    found = [*doubts.doubts_of_data(data), *doubts.doubts_of_model(data, model)]
    if val is not None:
        found += doubts.doubts_of_validation(val)
    if phase == "grpo":
        found += [*doubts.doubts_of_answers(data), *doubts.doubts_of_rollouts(data, model)]
        if val is None:
            found.append("there are no validation rows: nothing is measured apart from training; --val PATH names some")
    lines += [f"doubtful:  {' '.join(doubt.splitlines())}" for doubt in found]
    return [*lines, f"written:   {target}", *(f"next:      {command}" for command in _commands(target, phase))]
