"""Runs evalscope: writes its task, runs it in its own environment, and watches the server meanwhile.

A server that dies is reported and started again, and evalscope continues: it stores completions and scores by sample. A
failed request loses its sample, which evalscope counts in its report.
"""

import json
import logging
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from algorithms import ConfigError
from evaluation.benchmarks import BENCHMARKS
from evaluation.config import EvaluationConfig
from evaluation.driving.instructions import PAPER_TEMPLATES, PAPER_TEXTS
from evaluation.serving.processes import KeptProcess, inherited
from evaluation.serving.server import Address, EvaluationError, ModelServer
from storage import whole_file

logger = logging.getLogger(__name__)

VERSION = "1.14.1"
PROGRAM = Path(__file__).with_name("inside.py")
# The shared cache of the datasets library would confuse two folders whose files have the same names.
CACHE = "cache"
_POLL_SECONDS = 0.2
_TOLD_EVERY_SECONDS = 30.0


def check_harness(python: str) -> None:
    """Refuse, before a model loads, an environment without evalscope.

    Raises:
        ConfigError: names the command that creates it.
    """
    asked = "import importlib.metadata as m; print(m.version('evalscope'))"
    try:
        answer = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(
            f"harness.python: {python} does not run ({error}). `make setup-evaluation` makes it."
        ) from None
    version = answer.stdout.strip()
    if version != VERSION:
        raise ConfigError(
            f"harness.python: {python} has {f'evalscope {version}' if version else 'no evalscope'}, and its files are "
            f"read as evalscope {VERSION} writes them. `make setup-evaluation` makes such an environment."
        )


def task_settings(config: EvaluationConfig, benchmark: str, model: str) -> dict[str, Any]:
    """Return everything that determines completions and scores: evalscope's task, and the texts that replace
    evalscope's.

    Args:
        config: the evaluation.
        benchmark: name of the benchmark.
        model: name of the model in requests.
    """
    known, generation = BENCHMARKS[benchmark], config.generation
    sampling: dict[str, Any] = {
        "max_tokens": generation.max_tokens, "temperature": generation.temperature, "top_p": generation.top_p,
    }  # fmt: skip
    # Sent only when it has an effect, because some servers do not know it.
    if generation.repetition_penalty != 1:
        sampling["repetition_penalty"] = generation.repetition_penalty
    arguments: dict[str, Any] = dict(known.arguments)
    subsets = config.subsets.get(benchmark, list(known.subsets))
    if subsets:
        arguments["subset_list"] = subsets
    if known.split:
        arguments["eval_split"] = known.split
    if config.system:
        arguments["system_prompt"] = config.system
    is_paper = config.prompt == "paper"
    if is_paper and benchmark in PAPER_TEMPLATES:
        arguments["prompt_template"] = PAPER_TEMPLATES[benchmark]
    arguments["local_path"] = str(config.data_folder(benchmark).absolute())
    task: dict[str, Any] = {
        "model": model, "model_id": model, "eval_type": "openai_api", "api_url": None, "api_key": None,
        "datasets": [known.harness_name], "dataset_args": {known.harness_name: arguments},
        "generation_config": sampling, "repeats": generation.num_runs, "limit": config.limit,
    }  # fmt: skip
    return {"task": task, "texts": PAPER_TEXTS.get(benchmark, {}) if is_paper else {}, "evalscope": VERSION}


def run_harness(settings: dict[str, Any], config: EvaluationConfig, server: ModelServer, folder: Path) -> None:
    """Run one benchmark to its end, or continue an earlier run in the folder.

    Args:
        settings: settings from ``task_settings``.
        config: the evaluation.
        server: server of the policy, which is started again when it dies.
        folder: evalscope's work folder, used only for this benchmark and these settings.

    Raises:
        EvaluationError: evalscope ends with an error, or the server cannot be kept up.
    """
    while True:
        address = server.address()
        # A further attempt continues in the same folder, where evalscope has stored finished samples.
        status, tail = _attempt(settings, config, server, address, folder)
        # When a server dies at the very end, the report counts its failed requests as lost.
        if not server.is_alive():
            continue
        if status == 0:
            shutil.rmtree(folder / CACHE, ignore_errors=True)
            return
        raise EvaluationError(
            f"evalscope ended with status {status} in {settings['task']['datasets'][0]}. Its log is "
            f"{folder / 'harness.log'}, which ends with:\n{tail}"
        )


def _attempt(
    settings: dict[str, Any], config: EvaluationConfig, server: ModelServer, address: Address, folder: Path
) -> tuple[int, str]:
    """Run evalscope until it ends or the server dies; return its status and the end of its log."""
    # evalscope writes this file at its start: if it exists, an earlier run can be continued.
    kept = folder / "configs" / "task_config.yaml"
    harness = config.harness
    # How requests are sent does not change scores, so it is no part of ``settings`` and of their digest.
    transport = {"timeout": harness.request_seconds, "retries": harness.retries + 1, "retry_interval": 1}
    task = settings["task"] | {
        "model_args": {"max_retries": 0}, "generation_config": settings["task"]["generation_config"] | transport,
        "eval_batch_size": harness.concurrency, "ignore_errors": True, "work_dir": str(folder.absolute()),
        "no_timestamp": True, "use_cache": str(folder.absolute()) if kept.is_file() else None,
    }  # fmt: skip
    with whole_file(folder / "task.json") as draft:
        draft.write_text(json.dumps({"task": task, "texts": settings["texts"]}, indent=2))
    # Address and key do not belong to the identity of evalscope's cache, and the key must not be in a file.
    environment = inherited(
        EVALSCOPE_BASE_URL=address.url, EVALSCOPE_API_KEY=address.key, NO_PROXY="127.0.0.1,localhost",
        HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false",
        HF_DATASETS_CACHE=str(folder.absolute() / CACHE),
    )  # fmt: skip
    process = KeptProcess(
        [harness.python, str(PROGRAM), str(folder / "task.json")], folder / "harness.log", environment
    )
    told = time.monotonic()
    try:
        while process.status is None and server.is_alive():
            time.sleep(_POLL_SECONDS)
            if time.monotonic() - told > _TOLD_EVERY_SECONDS:
                told = time.monotonic()
                logger.info("%s: %d completions", settings["task"]["datasets"][0], num_finished(folder))
    finally:
        process.stop()
    return process.status or 0, process.tail()


def num_finished(folder: Path) -> int:
    """Return the number of completions in a work folder."""
    return sum(file.read_bytes().count(b"\n") for file in folder.glob("predictions/*/*.jsonl"))
