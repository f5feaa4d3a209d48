"""Claims of completions about their images, judges of these claims, and scores made of the judgements."""

from hallucination.amber import AmberMetric
from hallucination.blindness import BlindnessRate
from hallucination.chair import HallucinationRate
from hallucination.claims import Claim, ClaimGrammar, find_claims
from hallucination.hallusion_bench import HallusionBenchMetric
from hallucination.judges import ClaimJudge, GrammarJudge, ObjectJudge, YesNoJudge
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
    "ObjectJudge",
    "PopeMetric",
    "YesNoJudge",
    "find_claims",
]
