"""Iterative MPO with a faulty preference model: a threshold that is too low, a good one, and one that a loop moves."""

from experiments.claims.arms import ABLATIONS, MPO_CONFIG, TINY
from experiments.claims.measures import HALLUCINATION, MOVED, SAMPLED
from experiments.claims.records import Arm, Claim, Expectation


def _online(name: str, *overlays: str, says: str) -> Arm:
    shared = (f"{TINY}/mpo_online.yaml", f"{TINY}/mpo_biased.yaml")
    return Arm(name, MPO_CONFIG, (*shared, *overlays), steps=160, says=says)


LOW = _online(
    "mpo_online_biased_tau_too_low",
    f"{ABLATIONS}/loop/low_threshold.yaml",
    says="MPO on pairs that a faulty preference model chooses anew while it trains, threshold too low",
)
CHOSEN = _online("mpo_online_biased_tau_chosen", says="MPO on such pairs, threshold chosen by hand")
HELD = _online(
    "mpo_online_biased_tau_calibrated",
    f"{TINY}/mpo_calibrated.yaml",
    says="MPO on such pairs, threshold moved by the loop",
)

CLAIM = Claim(
    name="threshold_loop",
    rank=10,
    title="The loop that moves MPO's threshold",
    paper_says="Reward thresholds are calibrated while training, which mitigates hallucination. No numbers are given.",
    source="R1V2 v3, abstract and the analysis of MPO's threshold",
    question="Where the preference model is faulty, does a threshold that starts too low get where a good one is?",
    arms=(LOW, CHOSEN, HELD),
    measures=(SAMPLED, HALLUCINATION, MOVED),
    expectations=(
        Expectation("a threshold too low hallucinates more", HALLUCINATION, "higher", LOW.name, CHOSEN.name),
        Expectation("the loop keeps hallucination below that", HALLUCINATION, "lower", HELD.name, LOW.name),
        Expectation("and answers better", SAMPLED, "higher", HELD.name, LOW.name),
    ),
    curves=("val/hallucination_rate", "val/sampled_accuracy", "rollout/preference", "calibration/threshold"),
    why=(
        "With a threshold that is too low, pairs that differ by next to nothing in the faulty score are learnt from, "
        "and the policy learns what this score likes. The loop raises the threshold while the monitored rate is above "
        'its target of 15 %. It ends at {{ span("mpo_online_biased_tau_calibrated", MOVED_AT_END) }}, above the 8 '
        "that was chosen by hand and up to its upper bound of 16, and answers about as well: there the pairs of a "
        "right against a wrong answer are most of what is left. So it shuts a faulty model out; whether it would find "
        "a good threshold for a good model is not shown. That right against wrong is what then teaches is a guess."
    ),
    limits=(
        "Pairs are built anew every ten steps from the policy's own completions: 512 each time, 8,192 in a run, the "
        "same for all three. The threshold that is called well chosen, 8, is the only other one that was tried."
    ),
)
