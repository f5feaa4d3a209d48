"""Excessive reward and hallucination, and the loop that holds it."""

from experiments.claims.arms import SSB, TINY, grpo
from experiments.claims.measures import GREEDY, HALLUCINATION, MOVED, PREFERENCE, PREFERENCE_EARLY, SAMPLED
from experiments.claims.records import Claim, Expectation

RAW = grpo(
    "grpo_biased_raw",
    f"{TINY}/grpo_biased.yaml",
    says="GRPO, the score of a faulty preference model added to the reward",
)
CALIBRATED = (f"{TINY}/grpo_biased.yaml", f"{TINY}/grpo_calibrated.yaml")
EARNED = grpo(
    "grpo_biased_calibrated", *CALIBRATED, says="GRPO, the weight of the faulty score moved by the loop, from 0 up"
)
# From the weight of the raw runs down, in steps of a quarter, and up again by a sixteenth while the rate is below 14 %.
HELD = grpo(
    "grpo_biased_calibrated_from_1",
    *CALIBRATED,
    flags=(
        "--model.reward.parts.preference.weight=1.0",
        "--callbacks.calibrator.strategy.target=0.15",
        "--callbacks.calibrator.strategy.step=0.25",
    ),
    says="GRPO, the weight of the faulty score moved by the loop, from 1 down",
)

CLAIM = Claim(
    name="excess",
    rank=5,
    title="Excessive reward, hallucination, and the loop",
    paper_says=(
        "Excessive reinforcement signals induce visual hallucination; monitoring it and calibrating reward thresholds "
        "while training mitigates it. No numbers are given for this."
    ),
    source="R1V2 v3, abstract and section 4",
    question="Does a policy that follows a faulty preference score too far invent things, and does the loop hold it?",
    arms=(SSB, RAW, EARNED, HELD),
    measures=(GREEDY, SAMPLED, HALLUCINATION, PREFERENCE_EARLY, PREFERENCE, MOVED),
    expectations=(
        Expectation("the faulty score brings hallucination", HALLUCINATION, "higher", RAW.name, SSB.name),
        Expectation("while the score itself rises", PREFERENCE, "higher", RAW.name, RAW.name, PREFERENCE_EARLY),
        Expectation("and accuracy falls behind", SAMPLED, "lower", RAW.name, SSB.name),
        Expectation("the loop keeps hallucination below that", HALLUCINATION, "lower", HELD.name, RAW.name),
        Expectation("and keeps accuracy above it", SAMPLED, "higher", HELD.name, RAW.name),
    ),
    curves=("val/hallucination_rate", "val/sampled_accuracy", "rollout/preference", "calibration/threshold"),
    why=(
        "The raw score pays about as much for one claim more as the rules pay for a right answer, and the policy "
        "follows it. Runs with the loop that start at the same weight lose it early, because the monitored rate is "
        "above its target, and then learn from the rules alone: the weight, 1 at the start, is "
        '{{ mean("grpo_biased_calibrated_from_1", MOVED) }} as a mean over a run, and at its end '
        '{{ span("grpo_biased_calibrated_from_1", MOVED_AT_END) }}. '
        "The loop reads the rate and not its cause: the aligned policy starts above the target too, so "
        "that a good preference model would lose its weight as well. Whether the loop gives it back to a good one is "
        "not shown. Runs that start at weight 0 (`grpo_biased_calibrated`) never left it "
        '({{ span("grpo_biased_calibrated", MOVED) }}).'
    ),
    limits=(
        "The preference model was made faulty on purpose: half of its training pairs prefer more claims to true ones. "
        "Targets, 12 % from weight 0 and 15 % from weight 1, were chosen before these runs; no others were tried."
    ),
)
