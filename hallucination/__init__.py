"""Claims of completions about their images, judges of these claims, and scores made of the judgements."""

from algorithms.records import Claim
from hallucination.amber import AmberMetric
from hallucination.blindness import BlindnessRate
from hallucination.chair import HallucinationRate
from hallucination.claims import ClaimGrammar, find_claims
from hallucination.hallusion_bench import HallusionBenchMetric
from hallucination.judged import JudgedCompletion, claim_counts, judged_completions
from hallucination.judges import ClaimJudge, GrammarJudge, ObjectJudge, YesNoJudge, judge_groups
from hallucination.pope_metric import PopeMetric

__all__ = [
    "AmberMetric",
    "BlindnessRate",
    "Claim",
    "ClaimGrammar",
    "ClaimJudge",
    "GrammarJudge",
    "HallucinationRate",
    "HallusionBenchMetric",
    "JudgedCompletion",
    "ObjectJudge",
    "PopeMetric",
    "YesNoJudge",
    "claim_counts",
    "find_claims",
    "judge_groups",
    "judged_completions",
]
