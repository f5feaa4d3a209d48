"""The settings of an evaluation, which are the keys of ``configs/evaluation/*.yaml``."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from algorithms import ConfigError, check_at_least
from evaluation.benchmarks import BENCHMARKS, known_names


@dataclass(frozen=True, kw_only=True)
class GenerationConfig:
    """How completions are sampled. ``configs/evaluation/paper.yaml`` has the paper's values."""

    max_tokens: int = 64_000
    """Longest completion in tokens."""

    temperature: float = 0.6
    """Sampling temperature; 0 is greedy."""

    top_p: float = 0.95
    """Share of probability that is sampled from, above 0 and at most 1."""

    repetition_penalty: float = 1.05
    """Repetition penalty; 1 is none."""

    num_runs: int = 5
    """Completions of each question; pass@1 is the mean over them."""

    pass_at: tuple[int, ...] = (5,)
    """The k for which pass@k is reported; at most ``num_runs``."""

    def __post_init__(self) -> None:
        check_at_least("generation.max_tokens", self.max_tokens, 1)
        check_at_least("generation.temperature", self.temperature, 0)
        check_at_least("generation.num_runs", self.num_runs, 1)
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"generation.top_p must lie above 0 and at most at 1, got {self.top_p}.")
        if not 0 < self.repetition_penalty < math.inf:
            raise ConfigError(f"generation.repetition_penalty must be above 0, got {self.repetition_penalty}.")
        if any(not 1 <= k <= self.num_runs for k in self.pass_at):
            raise ConfigError(
                f"generation.pass_at must lie between 1 and generation.num_runs = {self.num_runs}, got "
                f"{list(self.pass_at)}: k of that many completions are drawn."
            )
        if self.temperature == 0 and self.num_runs > 1:
            raise ConfigError(
                f"generation.num_runs must be 1 with generation.temperature=0, got {self.num_runs}: greedy completions "
                "of one question are all the same."
            )


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """vLLM's OpenAI server, started for the evaluation."""

    python: str | None = None
    """Python interpreter with vLLM; null: the interpreter that runs the evaluation."""

    flags: dict[str, Any] = field(default_factory=dict[str, Any])
    """Flags of ``vllm serve``, such as ``max-model-len: 256``; true is a flag without a value."""

    environment: dict[str, str] = field(default_factory=dict[str, str])
    """Environment variables in addition to those of this process, such as ``CUDA_VISIBLE_DEVICES``."""

    start_seconds: float = 1800.0
    """Longest wait for the server to answer."""

    max_restarts: int = 3
    """How often a dead server is started again, for all benchmarks together."""

    def __post_init__(self) -> None:
        check_at_least("server.start_seconds", self.start_seconds, 1)
        check_at_least("server.max_restarts", self.max_restarts, 0)
        taken = sorted(set(self.flags) & {"model", "host", "port", "served-model-name"})
        if taken:
            raise ConfigError(f"server.flags must not hold {', '.join(taken)}: the evaluation sets these itself.")


@dataclass(frozen=True, kw_only=True)
class EndpointConfig:
    """A running server with OpenAI's protocol."""

    url: str
    """Address, such as ``http://127.0.0.1:8000/v1``."""

    model: str
    """Name of the model on this server."""

    key_variable: str | None = None
    """Environment variable with the server's key; null: the server needs no key."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"endpoint.url and judge.url must begin with http:// or https://, got {self.url!r}.")


@dataclass(frozen=True, kw_only=True)
class HarnessConfig:
    """evalscope, in an environment of its own (``make setup-evaluation``)."""

    python: str = ".venv-evaluation/bin/python"
    """Python interpreter with evalscope."""

    concurrency: int = 8
    """Requests at a time."""

    request_seconds: float = 7200.0
    """Longest wait for one completion in seconds; then the request is repeated."""

    retries: int = 2
    """How often a failed request is repeated before its sample is lost."""

    def __post_init__(self) -> None:
        check_at_least("harness.concurrency", self.concurrency, 1)
        check_at_least("harness.request_seconds", self.request_seconds, 1)
        check_at_least("harness.retries", self.retries, 0)


@dataclass(frozen=True, kw_only=True)
class ImportedResult:
    """A result of another harness, shown in the table beside the others."""

    harness: Literal["vlmevalkit", "lm-eval", "lmms-eval"]
    benchmark: str
    """Name of the benchmark, as in docs/evaluation.md."""

    path: str
    """File with the scores."""


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """An evaluation."""

    policy: str | None = None
    """A folder in Hugging Face format, the folder of a run, or a checkpoint; null with ``endpoint``."""

    benchmarks: tuple[str, ...] = ()
    """Names of benchmarks, as in docs/evaluation.md."""

    out: str = "runs/evaluation"
    """Folder for tables, samples and files of the harness, with a folder for each policy."""

    name: str | None = None
    """Name of the policy in tables and of its folder in ``out``; null: name of the policy's folder or run."""

    data: dict[str, str] = field(default_factory=dict[str, str])
    """Benchmark -> folder of its data; the default folders ``data/...`` are in docs/evaluation.md."""

    subsets: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Benchmark -> subsets; the default subsets are in docs/evaluation.md."""

    limit: int | None = None
    """Number of questions of each subset; null: all. The table notes a limit."""

    made_up: bool = False
    """Whether the data are invented; then the table has no scores of the paper."""

    prompt: Literal["paper", "harness"] = "paper"
    """The instruction after a question: the paper's (answer in a box in the last line), or evalscope's own."""

    system: str = ""
    """System turn; empty: none, or the one of the chat template."""

    needs_reasoning: bool = False
    """Whether this project's verifier requires ``</think>`` before the box; false when a server strips reasoning."""

    generation: GenerationConfig = GenerationConfig()
    server: ServerConfig = field(default_factory=ServerConfig)
    endpoint: EndpointConfig | None = None
    """A running server, used instead of a new one; its weights are not checked when an evaluation continues."""

    harness: HarnessConfig = HarnessConfig()
    judge: EndpointConfig | None = None
    """A model that judges completions too; null: none. Its verdicts are shown beside the score and never change it."""

    imported: tuple[ImportedResult, ...] = ()
    """Results of other harnesses."""

    def __post_init__(self) -> None:
        if not self.benchmarks and not self.imported:
            raise ConfigError(f"benchmarks must name at least one of {known_names()}.")
        named = [*self.benchmarks, *self.data, *self.subsets, *(result.benchmark for result in self.imported)]
        for name in named:
            if name not in BENCHMARKS:
                raise ConfigError(f"there is no benchmark {name!r}: there are {known_names()}.")
        if len(set(self.benchmarks)) < len(self.benchmarks):
            raise ConfigError(f"benchmarks must name each one once, got {', '.join(self.benchmarks)}.")
        if self.benchmarks and (self.policy is None) == (self.endpoint is None):
            given = "both" if self.policy else "neither"
            raise ConfigError(f"policy names what is evaluated, or endpoint a server that runs already; got {given}.")
        if self.limit is not None:
            check_at_least("limit", self.limit, 1)

    @property
    def title(self) -> str:
        """Name of the evaluated policy."""
        if self.name:
            return self.name
        if self.policy is None:
            return self.endpoint.model.replace("/", "-") if self.endpoint else "imported"
        path = Path(self.policy).expanduser().absolute()
        # "export" and "last.ckpt" occur in every run, so they name no policy.
        if path.suffix == ".ckpt":
            return f"{path.parent.parent.name}-{path.stem}"
        return path.parent.name if path.name == "export" else path.name

    def data_folder(self, benchmark: str) -> Path:
        """Return the folder of a benchmark's data."""
        return Path(self.data.get(benchmark, BENCHMARKS[benchmark].folder)).expanduser()
