"""Runs one evaluation, benchmark by benchmark; finished benchmarks are not repeated.

    OUT/NAME/BENCHMARK/IDENTITY/evalscope/    what evalscope wrote
                                result.json   the benchmark's numbers, with their identity
                                samples.jsonl its judged samples; pictures/ beside them
    OUT/NAME/table.md, table.json, table.html samples.jsonl of all benchmarks, samples.html to look through them

IDENTITY is a digest of everything that determines a score: the policy's files, sampling, prompts, the data's files, the
harness, the judge. Each identity has a folder of its own, so that no table mixes two.
"""

import json
import logging
import time
from dataclasses import asdict
from pathlib import Path

from algorithms import ConfigError
from evaluation.benchmarks import BENCHMARKS
from evaluation.config import EvaluationConfig
from evaluation.driving.harness import check_harness, run_harness, task_settings
from evaluation.identity import folder_digest, settings_digest
from evaluation.imported import read_imported
from evaluation.judging.model_judge import Judge, key_of
from evaluation.outcome import Outcome, join_samples, outcome_of, read_outcome, write_outcome
from evaluation.samples import read_samples
from evaluation.samples_page import write_page
from evaluation.samples_page.page import Run
from evaluation.scores import read_measured
from evaluation.serving.policy import exported_policy
from evaluation.serving.server import ModelServer, RunningEndpoint, VLLMServer, check_vllm
from evaluation.table import write_tables
from storage import folder_lock

logger = logging.getLogger(__name__)

PAGE = "samples.html"


def evaluate(config: EvaluationConfig) -> list[Outcome]:
    """Run an evaluation and write its tables.

    Returns:
        One outcome for each benchmark, in the order of the config; imported outcomes last.

    Raises:
        ConfigError: wrong settings, missing data, or no harness.
        EvaluationError: the harness fails, or the server cannot be kept up.
    """
    root = Path(config.out) / config.title
    root.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    # Two evaluations of one policy would mix their files.
    with folder_lock(root):
        # All checks come before the model is exported and loaded, which takes minutes.
        if config.benchmarks:
            check_data(config)
            check_harness(config.harness.python)
            if config.endpoint is None:
                check_vllm(config.server)
            outcomes += _measured(config, root)
        outcomes += [read_imported(result) for result in config.imported]
        write_tables(root, config, outcomes)
        samples = join_samples(root, outcomes)
        write_page(root / PAGE, [Run(config.title, root, read_samples(samples))])
    return outcomes


def check_data(config: EvaluationConfig) -> None:
    """Refuse benchmarks whose data are missing, before a model loads.

    Raises:
        ConfigError: names all missing data, and how to get them.
    """
    missing = [
        f"{name}: {config.data_folder(name)} (the data set {BENCHMARKS[name].data_set}, cloned whole)"
        for name in config.benchmarks
        if not config.data_folder(name).is_dir()
    ]
    if missing:
        listed = "; ".join(missing)
        raise ConfigError(f"there are no data of {listed}. Another folder: --data.NAME=FOLDER. See docs/evaluation.md.")


def _measured(config: EvaluationConfig, root: Path) -> list[Outcome]:
    outcomes: list[Outcome] = []
    server, identity_of_model = _server(config, root)
    try:
        for number, name in enumerate(config.benchmarks, start=1):
            logger.info("%s (%d of %d)", BENCHMARKS[name].title, number, len(config.benchmarks))
            outcomes.append(_one(config, name, server, identity_of_model, root))
    finally:
        server.stop()
    return outcomes


def _server(config: EvaluationConfig, root: Path) -> tuple[ModelServer, str]:
    if config.endpoint is not None:
        endpoint = config.endpoint
        # The weights of a running server are unknown, so its address and name stand for them.
        return RunningEndpoint(endpoint, key_of(endpoint, "endpoint")), f"{endpoint.url} {endpoint.model}"
    assert config.policy is not None
    folder = exported_policy(config.policy, root / "exports")
    return VLLMServer(folder, config.title, config.server, root / "server.log"), folder_digest(folder)


def _one(config: EvaluationConfig, name: str, server: ModelServer, model: str, root: Path) -> Outcome:
    model_name = config.endpoint.model if config.endpoint else config.title
    settings = task_settings(config, name, model_name)
    # All settings that can change a score: other settings get another folder, never old samples.
    identity = {
        "model": model, **settings, "data": folder_digest(config.data_folder(name)),
        "pass_at": config.generation.pass_at, "server": config.server.flags, "needs_reasoning": config.needs_reasoning,
        "judge": asdict(config.judge) if config.judge else None,
    }  # fmt: skip
    folder = root / name / settings_digest(identity)
    finished = read_outcome(folder)
    if finished is not None:
        logger.info("%s was finished before: %s", BENCHMARKS[name].title, folder)
        return finished
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "identity.json").write_text(json.dumps(identity, indent=2, default=str))
    started = time.monotonic()
    run_harness(settings, config, server, folder / "evalscope")
    judge = Judge(config.judge, root / "judge.jsonl", config.harness.concurrency) if config.judge else None
    measured = read_measured(folder / "evalscope")
    if not measured.samples and not measured.num_failed:
        raise ConfigError(f"{name}: evalscope found no question in {config.data_folder(name)}.")
    outcome, samples = outcome_of(name, measured, config, judge=judge, seconds=time.monotonic() - started)
    return write_outcome(folder, outcome, samples)
