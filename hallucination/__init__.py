"""Claims of completions about their images, judges of the claims, and scores of the verdicts."""

from algorithms.records import Claim
from hallucination.amber import AmberMetric
from hallucination.benchmarks import AmberBenchmark, Benchmark, ChairBenchmark, HallusionBench, PopeBenchmark
from hallucination.chair import HallucinationRate
from hallucination.claims import ClaimGrammar, find_claims
from hallucination.hallusion_bench import HallusionBenchMetric
from hallucination.judged import JudgedCompletion, claim_counts, judged_completions
from hallucination.judges import AmberJudge, ClaimJudge, GrammarJudge, ObjectJudge, YesNoJudge, judge_groups
from hallucination.pope_metric import PopeMetric

__all__ = [
    "AmberBenchmark",
    "AmberJudge",
    "AmberMetric",
    "Benchmark",
    "ChairBenchmark",
    "Claim",
    "ClaimGrammar",
    "ClaimJudge",
    "GrammarJudge",
    "HallucinationRate",
    "HallusionBench",
    "HallusionBenchMetric",
    "JudgedCompletion",
    "ObjectJudge",
    "PopeBenchmark",
    "PopeMetric",
    "YesNoJudge",
    "claim_counts",
    "find_claims",
    "judge_groups",
    "judged_completions",
]
