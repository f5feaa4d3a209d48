"""What an evaluation is made of: the keys of ``configs/evaluation/*.yaml``."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from algorithms import ConfigError, check_at_least
from evaluation.benchmarks import BENCHMARKS, known_names


@dataclass(frozen=True, kw_only=True)
class GenerationConfig:
    """How completions are sampled. What an evaluation of the paper uses is in ``configs/evaluation/paper.yaml``."""

    max_tokens: int = 64_000
    """Longest completion in tokens."""

    temperature: float = 0.6
    """0 is greedy."""

    top_p: float = 0.95
    """Share of probability that is sampled from, above 0 and at most 1."""

    repetition_penalty: float = 1.05
    """1 is none."""

    num_runs: int = 5
    """Completions of each question; pass@1 is the mean over them."""

    pass_at: tuple[int, ...] = (5,)
    """For each k in it pass@k is reported; at most ``num_runs``."""

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
    """Interpreter that has vLLM; null: the one that runs the evaluation."""

    flags: dict[str, Any] = field(default_factory=dict[str, Any])
    """Flags of ``vllm serve``, such as ``max-model-len: 256``; true is a flag without a value."""

    environment: dict[str, str] = field(default_factory=dict[str, str])
    """Variables besides this process's own, such as ``CUDA_VISIBLE_DEVICES``."""

    start_seconds: float = 1800.0
    """Longest wait for the server to answer."""

    max_restarts: int = 3
    """How often a server that died is started again, for all benchmarks together."""

    def __post_init__(self) -> None:
        check_at_least("server.start_seconds", self.start_seconds, 1)
        check_at_least("server.max_restarts", self.max_restarts, 0)
        taken = sorted(set(self.flags) & {"model", "host", "port", "served-model-name"})
        if taken:
            raise ConfigError(f"server.flags must not hold {', '.join(taken)}: the evaluation sets these itself.")


@dataclass(frozen=True, kw_only=True)
class EndpointConfig:
    """A server that runs already and speaks OpenAI's protocol."""

    url: str
    """Such as ``http://127.0.0.1:8000/v1``."""

    model: str
    """Name of the model there."""

    key_variable: str | None = None
    """Environment variable that holds the key; null: the server asks for none."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"endpoint.url and judge.url must begin with http:// or https://, got {self.url!r}.")


@dataclass(frozen=True, kw_only=True)
class HarnessConfig:
    """evalscope, in an environment of its own (``make setup-evaluation``)."""

    python: str = ".venv-evaluation/bin/python"
    """Interpreter that has evalscope."""

    concurrency: int = 8
    """Requests at a time."""

    request_seconds: float = 7200.0
    """Longest wait for one completion; then it is asked for again."""

    retries: int = 2
    """How often a request that failed is sent again, before it costs its sample."""

    def __post_init__(self) -> None:
        check_at_least("harness.concurrency", self.concurrency, 1)
        check_at_least("harness.request_seconds", self.request_seconds, 1)
        check_at_least("harness.retries", self.retries, 0)


@dataclass(frozen=True, kw_only=True)
class ImportedResult:
    """A result of another harness, shown in the table beside the others."""

    harness: Literal["vlmevalkit", "lm-eval", "lmms-eval"]
    benchmark: str
    """One of the names in docs/evaluation.md."""

    path: str
    """Its file of scores."""


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """An evaluation."""

    policy: str | None = None
    """A folder in Hugging Face format, the folder of a run, or a checkpoint; null with ``endpoint``."""

    benchmarks: tuple[str, ...] = ()
    """Names of docs/evaluation.md."""

    out: str = "runs/evaluation"
    """Folder of tables, samples and what the harness wrote; one folder for each policy in it."""

    name: str | None = None
    """Name of the policy in tables and of its folder in ``out``; null: that of the policy's folder or run."""

    data: dict[str, str] = field(default_factory=dict[str, str])
    """Folder of a benchmark's data by its name; left out: ``data/...`` as docs/evaluation.md says."""

    subsets: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Subsets of a benchmark by its name; left out: those of the table in docs/evaluation.md."""

    limit: int | None = None
    """Questions of each subset; null: all. A table with a limit says so."""

    made_up: bool = False
    """Whether the data are made up; then no figure of the paper stands beside the scores."""

    prompt: Literal["paper", "harness"] = "paper"
    """Whose instruction stands behind a question: the paper's last line in a box, or evalscope's own."""

    system: str = ""
    """System turn; empty: none, or the one of the chat template."""

    needs_reasoning: bool = False
    """Whether this project's verifier asks for ``</think>`` before the box. False where a server strips reasoning."""

    generation: GenerationConfig = GenerationConfig()
    server: ServerConfig = field(default_factory=ServerConfig)
    endpoint: EndpointConfig | None = None
    """A running server in place of one that is started; its weights are not checked when an evaluation goes on."""

    harness: HarnessConfig = HarnessConfig()
    judge: EndpointConfig | None = None
    """A model that judges too; null: none. Its verdicts stand beside the score and never change it."""

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
        """Name of what is evaluated."""
        if self.name:
            return self.name
        if self.policy is None:
            return self.endpoint.model.replace("/", "-") if self.endpoint else "imported"
        path = Path(self.policy).expanduser().absolute()
        # Every run has an "export" and a "last.ckpt".
        if path.suffix == ".ckpt":
            return f"{path.parent.parent.name}-{path.stem}"
        return path.parent.name if path.name == "export" else path.name

    def data_folder(self, benchmark: str) -> Path:
        """Return where a benchmark's data lie."""
        return Path(self.data.get(benchmark, BENCHMARKS[benchmark].folder)).expanduser()
