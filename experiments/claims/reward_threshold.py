"""The threshold tau of the preference pairs: low, middle, high, over time."""

from experiments.claims.arms import mpo
from experiments.claims.measures import HALLUCINATION, SAMPLED, SAMPLED_EARLY, SAMPLED_OVER_RUN
from experiments.claims.records import Arm, Claim, Expectation


def _tau(name: str, share: float, says: str) -> Arm:
    # A share and no number: the scale of the scores differs from one training of the reward model to the next.
    return mpo(
        f"mpo_tau_{name}",
        flags=(
            "--data.selection.kinds=[reward_model]",
            "--data.selection.threshold=null",
            f"--data.selection.top_share={share}",
            "--model.learning.optimizer.cosine=false",
        ),
        says=says,
    )


LOW = _tau("low", 1.0, "MPO on all pairs of the reward model")
MIDDLE = _tau("middle", 0.5, "MPO on the half of the pairs whose scores differ most")
HIGH = _tau("high", 0.1, "MPO on the tenth of the pairs whose scores differ most")

CLAIM = Claim(
    name="threshold",
    rank=4,
    title="The threshold of the preference pairs",
    paper_says=(
        "Threshold 15: MathVista 73.3 after 420 iterations. Threshold 10: MMMU peaks at 73.6 after 750 and falls to "
        "68.9 after 2,420. Threshold 7: 70.4 and 67.8 after 2,420. Low thresholds rise, then fall."
    ),
    source=(
        "R1V2 v3, the analysis of MPO's threshold (text only; what is thresholded is not defined, here it is the "
        "margin)"
    ),
    question="Do low thresholds rise and then fall, and does a high one end better?",
    arms=(LOW, MIDDLE, HIGH),
    measures=(SAMPLED_EARLY, SAMPLED_OVER_RUN, SAMPLED, HALLUCINATION),
    expectations=(
        Expectation("a low threshold rises and then falls", SAMPLED, "lower", LOW.name, LOW.name, SAMPLED_EARLY),
        Expectation("a high threshold ends better than a low one", SAMPLED, "higher", HIGH.name, LOW.name),
        Expectation("a high threshold ends better than a middle one", SAMPLED, "higher", HIGH.name, MIDDLE.name),
        Expectation("a high threshold hallucinates less than a low one", HALLUCINATION, "lower", HIGH.name, LOW.name),
    ),
    curves=("val/sampled_accuracy", "val/hallucination_rate"),
    why=(
        "Nothing is decided: the seeds of the high threshold end further apart than the thresholds do. A threshold "
        "leaves out pairs, and 240 steps see each pair that is left more often; whether a low one wears off later "
        "needs longer runs and more seeds."
    ),
    limits=(
        "Pairs of the reward model only, constant learning rate, 240 steps. The scale of a threshold is that of its "
        "reward model, so 15 there says nothing here: low keeps all pairs, middle the half with the largest margins, "
        "high a tenth. The paper builds pairs anew while it trains; these are fixed."
    ),
)
