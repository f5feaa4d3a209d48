"""Runs this project's own ``test`` command on the same questions, and compares its accuracy with the harness."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.app import run
from evaluation.outcome import Outcome
from evaluation.samples import JudgedSample


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The accuracy of one benchmark by the harness and by the ``test`` command, and the reasons for a difference."""

    benchmark: str
    harness: float
    """evalscope's accuracy on the completions of the server."""

    verifier: float
    """Accuracy of the same completions by this project's verdicts."""

    command: float
    """``test/greedy_accuracy`` of the project's ``test`` command."""

    number: int
    differing: tuple[str, ...]
    """Questions on which the two judges differ, each with the reason."""

    @property
    def is_explained(self) -> bool:
        """Whether the differing questions account for the whole difference."""
        return abs(self.verifier - self.command) < 1e-6

    def sentence(self) -> str:
        """Return the comparison in words."""
        told = f"{self.benchmark}: evalscope {self.harness:.4f}, `test` {self.command:.4f}, {self.number} questions"
        if not self.is_explained:
            moved = round(abs(self.verifier - self.command) * self.number)
            return f"{told}; NOT EXPLAINED: {moved} completions of the server must differ from those of the command"
        if not self.differing:
            return f"{told}; equal"
        return f"{told}; the judges differ on {len(self.differing)}: {'; '.join(self.differing)}"


def greedy_accuracy(policy: Path, questions: Path, *, max_tokens: int, seed: int, runs: Path) -> float:
    """Return the greedy accuracy that the ``test`` command logs for the questions of a folder."""
    tested = run([
        "test", "--config", "configs/tiny/grpo.yaml", "--seed_everything", str(seed),
        "--model.policy=models.PretrainedPolicy", f"--model.policy.path={policy}",
        "--data.source=datamodules.PromptFolder", f"--data.source.path={questions}",
        "--data.source.train=null", "--data.source.val=null", "--data.reading.max_prompt_tokens=160",
        f"--model.sampling.max_new_tokens={max_tokens}", "--model.evaluation.num_samples=2",
        "--model.evaluation.pass_at=[]", f"--trainer.logger.save_dir={runs}",
    ])  # fmt: skip
    return float(tested.trainer.callback_metrics["test/greedy_accuracy"])


def compare(outcome: Outcome, samples: list[JudgedSample], command: float) -> Comparison:
    """Compare one benchmark's samples with the accuracy of the command."""

    def share(judge: str) -> float:
        return sum(bool(sample.verdicts[judge]) for sample in samples) / len(samples)

    differing = tuple(
        f"{sample.uid} ({sample.reason}): {_said(sample.verdicts)}"
        for sample in samples
        if sample.verdicts["evalscope"] != sample.verdicts["project"]
    )
    return Comparison(
        benchmark=outcome.benchmark, harness=share("evalscope"), verifier=share("project"), command=command,
        number=len(samples), differing=differing,
    )  # fmt: skip


def _said(verdicts: Mapping[str, bool | None]) -> str:
    return ", ".join(f"{judge} says {'right' if verdict else 'wrong'}" for judge, verdict in verdicts.items())
