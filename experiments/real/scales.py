"""How long the stages of the real chain run, and on what they are measured: SCALES has every choice of ``--scale``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from datamodules.photographs.questions import QUESTION_KINDS, QuestionKind
from experiments.real.measures import MAX_TOKENS
from experiments.real.stages import STAGES


@dataclass(frozen=True)
class Scale:
    """How long each stage runs, and on what it is measured."""

    name: str
    """Its key in ``SCALES``."""

    shows: str
    """What its numbers show, and what not; a sentence for the page."""

    flags: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """Further flags by stage."""

    num_prompts: int = 512
    """Test questions for each measured policy."""

    max_tokens: int = MAX_TOKENS
    """Longest completion that is measured."""

    large_share: float = 0.25
    """Share of test questions about mosaics of 3 x 3; requests to list a picture have a quarter of them always."""

    kinds: Sequence[QuestionKind] = QUESTION_KINDS
    """Kinds of the test questions."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the weights while they are measured."""

    stages: Sequence[str] = tuple(STAGES)
    """What is run where nothing else is asked for."""


def _steps(number: int, *more: str) -> list[str]:
    # One validation, at the end.
    return [f"--trainer.max_steps={number}", f"--trainer.val_check_interval={number}", *more]


_SHOWN = "--data.init_args.source.init_args.num_train"
_SHOWN_VAL = "--data.init_args.source.init_args.num_val"
_PAIRS_SHOWN = "--data.init_args.pairs.init_args.num_train"
_PAIRS_VAL = "--data.init_args.pairs.init_args.num_val"
_BATCH = "--data.init_args.reading.batch_size"
_PAIR_BATCH = "--data.init_args.pairs_per_batch"
_ROLLOUT = "--data.init_args.prompts_per_rollout"
_SHORT = "--model.init_args.sampling.max_new_tokens=16"
# Of a reward model that has learnt little.
_ANY_MARGIN = "--data.init_args.selection.threshold=0"
# Of so few completions there may be none whose scores differ.
_ANY_KIND = "--data.init_args.selection.kinds=[correctness,format,reward_model,dropout_ntp]"
_NO_VALIDATION = "--trainer.limit_val_batches=0"
_16 = "--trainer.precision=bf16-mixed"
_FROZEN_16 = "--model.init_args.policy.init_args.dtype=bfloat16"
_LARGE = "--data.init_args.source.init_args.large_share"
_PAIRS_LARGE = "--data.init_args.pairs.init_args.large_share"
_WARMUP = "--model.init_args.learning.optimizer.warmup_steps"
_COMPLETION_48 = "--model.init_args.sampling.max_new_tokens=48"
_EASY = "--data.init_args.source.init_args.kinds=[presence,place]"
_SMALL_ROLLOUTS = (f"{_LARGE}=0", _EASY, f"{_ROLLOUT}=8", _COMPLETION_48, _16, _NO_VALIDATION)
_SMALL_PAIRS = (f"{_LARGE}=0", _EASY, f"{_PAIR_BATCH}=8", _COMPLETION_48, _ANY_MARGIN, _16, _NO_VALIDATION)
# Of 64 completions in place of 128: at the config's 4e-5 all samples of a group are alike after five rollouts.
_SLOW = "--model.init_args.learning.optimizer.learning_rate=1e-5"
_GRPO_LAPTOP = _steps(28, f"{_SHOWN}=512", *_SMALL_ROLLOUTS, _SLOW)
_MPO_LAPTOP = _steps(16, f"{_SHOWN}=48", *_SMALL_PAIRS)
_SCALES = (
    Scale(
        "full",
        "The configs as they are: mosaics of 3 x 3 and questions that ask for counts among them.",
        num_prompts=256,
    ),
    # About 20 minutes on one core.
    Scale(
        "fast",
        "About a third to a half of the steps of scale `laptop` and a third of its test questions: it shows that the "
        "chain runs, sees and begins to learn, and is too short to tell one policy from another.",
        {
            "tower": _steps(
                1000, f"{_SHOWN}=24576", f"{_BATCH}=32", "--model.init_args.optimizer.warmup_steps=100", _16
            ),
            "words": _steps(150, f"{_SHOWN}=4096", _16),
            "align": _steps(40, f"{_SHOWN}=640", f"{_SHOWN_VAL}=64", f"{_LARGE}=0", f"{_WARMUP}=8", _FROZEN_16, _16),
            "answers": _steps(20, f"{_SHOWN}=320", f"{_SHOWN_VAL}=64", f"{_LARGE}=0", _16),
            "grpo": _steps(12, f"{_SHOWN}=128", *_SMALL_ROLLOUTS, _SLOW),
            "reward_model": _steps(12, f"{_PAIRS_SHOWN}=256", f"{_PAIRS_VAL}=16", f"{_PAIRS_LARGE}=0", _16),
            "pairs": [f"{_SHOWN}=16", f"{_LARGE}=0", _EASY, _COMPLETION_48, _16],
            "mpo": _steps(8, f"{_SHOWN}=16", *_SMALL_PAIRS),
        },
        num_prompts=32,
        large_share=0.0,
        kinds=("presence", "place"),
        dtype="bfloat16",
        stages=("tower", "words", "align", "answers", "grpo", "reward_model", "pairs", "mpo"),
    ),
    Scale(
        "smoke",
        "A few steps of every stage: it shows that all of them run, and nothing else.",
        {
            "tower": _steps(2, f"{_SHOWN}=64", f"{_SHOWN_VAL}=32", f"{_BATCH}=32"),
            "words": _steps(2, f"{_SHOWN}=16", f"{_SHOWN_VAL}=4", f"{_BATCH}=4"),
            "align": _steps(2, f"{_SHOWN}=16", f"{_SHOWN_VAL}=4", f"{_BATCH}=4"),
            "answers": _steps(2, f"{_SHOWN}=16", f"{_SHOWN_VAL}=4", f"{_BATCH}=4"),
            "grpo": _steps(2, f"{_SHOWN}=16", f"{_ROLLOUT}=2", _SHORT, _NO_VALIDATION),
            "no_ssb": _steps(2, f"{_SHOWN}=16", f"{_ROLLOUT}=2", _SHORT, _NO_VALIDATION),
            "reward_model": _steps(2, f"{_PAIRS_SHOWN}=16", f"{_PAIRS_VAL}=8", f"{_PAIR_BATCH}=4"),
            "pairs": [f"{_SHOWN}=4", _SHORT],
            "sft": _steps(2, f"{_SHOWN}=4", f"{_PAIR_BATCH}=1", _ANY_MARGIN, _ANY_KIND, _NO_VALIDATION),
            "mpo": _steps(2, f"{_SHOWN}=4", f"{_PAIR_BATCH}=1", _ANY_MARGIN, _ANY_KIND, _NO_VALIDATION),
        },
        num_prompts=4,
        max_tokens=16,
    ),
    # One seed in 40 to 50 minutes on one core that multiplies bfloat16.
    Scale(
        "laptop",
        "From alignment on mosaics of 2 x 2 alone, and from GRPO on questions that need no counting.",
        {
            "tower": _steps(
                2600, f"{_SHOWN}=61440", f"{_BATCH}=32", "--model.init_args.optimizer.warmup_steps=100", _16
            ),
            "words": _steps(300, _16),
            "align": _steps(70, f"{_SHOWN}=1120", f"{_SHOWN_VAL}=64", f"{_LARGE}=0", f"{_WARMUP}=8", _FROZEN_16, _16),
            "answers": _steps(40, f"{_SHOWN}=640", f"{_SHOWN_VAL}=64", f"{_LARGE}=0", _16),
            "grpo": _GRPO_LAPTOP,
            "no_ssb": _GRPO_LAPTOP,
            "reward_model": _steps(24, f"{_PAIRS_SHOWN}=256", f"{_PAIRS_VAL}=64", f"{_PAIRS_LARGE}=0", _16),
            "pairs": [f"{_SHOWN}=48", f"{_LARGE}=0", _EASY, _COMPLETION_48, _16],
            "sft": _MPO_LAPTOP,
            "mpo": _MPO_LAPTOP,
        },
        num_prompts=96,
        large_share=0.0,
        kinds=("presence", "place"),
        dtype="bfloat16",
    ),
    Scale(
        "gpu",
        "For one GPU: larger batches and rollouts, and more steps.",
        {
            "tower": _steps(1280),
            "words": _steps(1000, f"{_SHOWN}=16384"),
            "align": _steps(1280, f"{_SHOWN}=20480", f"{_BATCH}=64"),
            "answers": _steps(120, f"{_SHOWN}=7680", f"{_BATCH}=64"),
            "grpo": _steps(120, f"{_ROLLOUT}=64", _NO_VALIDATION),
            "no_ssb": _steps(120, f"{_ROLLOUT}=64", _NO_VALIDATION),
            "reward_model": _steps(256, f"{_PAIR_BATCH}=32", f"{_PAIRS_SHOWN}=8192"),
            "pairs": [f"{_SHOWN}=1024", f"{_BATCH}=128"],
            "sft": _steps(120, f"{_SHOWN}=1024", f"{_PAIR_BATCH}=32", _NO_VALIDATION),
            "mpo": _steps(120, f"{_SHOWN}=1024", f"{_PAIR_BATCH}=32", _NO_VALIDATION),
        },
    ),
)
SCALES = {scale.name: scale for scale in _SCALES}
