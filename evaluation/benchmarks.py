"""The benchmarks of the paper's tables: their names in evalscope, their requirements, and the paper's scores.

The scores are from R1V2 (arXiv:2504.16656v3), table 1 and section 4. For a score that the paper lacks the table has
"not reported".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

TABLE_1 = "arXiv:2504.16656v3, table 1"
NOT_REPORTED = "not reported"
SECTION_4 = "arXiv:2504.16656v3, section 4"

Judgement = Literal["answer", "polled", "stated"]
"""The rule by which this project judges a completion: the verifier, POPE's rule, or HallusionBench's."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark as this project runs it."""

    title: str
    harness_name: str
    """Name in evalscope."""

    data_set: str
    """Owner and name of the data set."""

    folder: str
    """Default folder of the data, with files as in a clone of ``data_set``; ``data`` sets another folder."""

    licence: str
    """Licence on the data set's card."""

    judge: str = "no"
    """Whether a judge is needed."""

    paper: float | None = None
    """Score of R1V2-38B in percent; None: not reported."""

    source: str = ""
    """Place of the score in the paper."""

    shows: str = ""
    """The part or metric of the benchmark that the paper reports, if it names one."""

    split: str | None = None
    """Split of the data; None: evalscope's default."""

    subsets: tuple[str, ...] = ()
    """Subsets; empty: evalscope's default."""

    judgement: Judgement | None = None
    """Rule of this project for judging completions; None: this project has none for the benchmark."""

    has_pictures: bool = False
    needs: str = ""
    """Software to install besides ``make setup-evaluation``."""

    arguments: Mapping[str, object] = field(default_factory=dict[str, object])
    """Further settings of evalscope for this benchmark."""

    in_paper: bool = True


BENCHMARKS: dict[str, Benchmark] = {
    "mmmu": Benchmark(
        title="MMMU", harness_name="mmmu", data_set="MMMU/MMMU", folder="data/MMMU", licence="Apache-2.0",
        paper=73.6, source=TABLE_1, shows="validation", judgement="answer", has_pictures=True,
    ),
    "mmmu_pro": Benchmark(
        title="MMMU-Pro", harness_name="mmmu_pro", data_set="MMMU/MMMU_Pro", folder="data/MMMU_Pro",
        licence="Apache-2.0", paper=52.0, source=SECTION_4, shows="which form is not reported; here 4 options",
        judgement="answer", has_pictures=True,
    ),
    "math_vista": Benchmark(
        title="MathVista", harness_name="math_vista", data_set="AI4Math/MathVista", folder="data/MathVista",
        licence="CC BY-SA 4.0", paper=74.0, source=TABLE_1, shows="testmini", split="testmini", judgement="answer",
        has_pictures=True,
    ),
    "math_vision": Benchmark(
        title="MathVision", harness_name="math_vision", data_set="MathLLMs/MathVision", folder="data/MathVision",
        licence="MIT", paper=49.0, source=TABLE_1, shows="testmini", split="testmini", judgement="answer",
        has_pictures=True,
    ),
    "olympiad_bench": Benchmark(
        title="OlympiadBench", harness_name="olympiad_bench", data_set="Hothan/OlympiadBench",
        folder="data/OlympiadBench", licence="Apache-2.0", paper=62.6, source=TABLE_1,
        shows="which subsets is not reported; here English, with a final answer",
        subsets=("OE_MM_maths_en_COMP", "OE_MM_physics_en_COMP", "OE_TO_maths_en_COMP", "OE_TO_physics_en_COMP"),
        judgement="answer", has_pictures=True,
    ),
    "aime24": Benchmark(
        title="AIME 2024", harness_name="aime24", data_set="math-ai/aime24", folder="data/aime24",
        licence="none stated", paper=78.9, source=TABLE_1, judgement="answer",
    ),
    "live_code_bench": Benchmark(
        title="LiveCodeBench", harness_name="live_code_bench",
        data_set="marianna13/livecodebench_code_generation_lite_parquet", folder="data/livecodebench",
        licence="cc (which one is not said)", paper=63.6, source=TABLE_1,
        shows="which release is not reported; here release_v5", subsets=("release_v5",),
        needs="it runs the code that the policy writes: docs/security.md",
    ),
    "ifeval": Benchmark(
        title="IFEval", harness_name="ifeval", data_set="google/IFEval", folder="data/IFEval",
        licence="Apache-2.0", paper=82.9, source=TABLE_1,
        shows="which of its four accuracies is not reported; here of prompts, strict", needs="punkt_tab of nltk",
    ),
    "bfcl": Benchmark(
        title="BFCL", harness_name="bfcl_v3", data_set="AI-ModelScope/bfcl_v3", folder="data/bfcl_v3",
        licence="Apache-2.0 (card of its authors, gorilla-llm; this copy not checked)", paper=66.3, source=SECTION_4,
        shows="which version is not reported; here v3",
        needs="make setup-bfcl",
    ),
    "pope": Benchmark(
        title="POPE", harness_name="pope", data_set="lmms-lab/POPE", folder="data/POPE",
        licence="none stated (RUCAIBox/POPE, its authors' repository, not checked)", judgement="polled",
        has_pictures=True,
    ),
    "hallusion_bench": Benchmark(
        title="HallusionBench", harness_name="hallusion_bench", data_set="lmms-lab/HallusionBench",
        folder="data/HallusionBench_parquet", licence="none stated (BSD-3-Clause on the card of its authors, rayguan)",
        judgement="stated", has_pictures=True,
    ),
    # A benchmark with this project's own questions, for the tiny evaluation.
    "choices": Benchmark(
        title="own choices", harness_name="general_vmcq", data_set="own", folder="data/choices", licence="own",
        subsets=("default",), judgement="answer", has_pictures=True, in_paper=False,
    ),
}  # fmt: skip


def known_names() -> str:
    """Return the names of all benchmarks, for messages."""
    return ", ".join(sorted(BENCHMARKS))
