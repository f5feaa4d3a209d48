"""MPO before GRPO against GRPO alone, with as many completions of the policy."""

from experiments.claims.arms import ABLATIONS, PAIRS, SSB, TINY, grpo
from experiments.claims.measures import COVERAGE, GREEDY, HALLUCINATION, SAMPLED
from experiments.claims.records import Claim, Expectation

# 32 steps x 128 completions and the 16,384 of MPO's pairs are as many as GRPO alone samples in 160 steps.
CHAIN = grpo(
    "mpo_then_grpo_equal_completions",
    f"{TINY}/hybrid.yaml",
    f"{ABLATIONS}/reward/no_preference_reward.yaml",
    steps=32,
    completions_before=PAIRS,
    says="MPO, then GRPO, with as many completions in all as GRPO alone",
)

CLAIM = Claim(
    name="chain",
    rank=2,
    title="MPO before GRPO",
    paper_says=(
        "MPO first, then GRPO: together they balance reasoning and general abilities better than either alone. No run "
        "of GRPO without MPO is reported."
    ),
    source="R1V2 v3, sections 3.2 and 3.3",
    question="With as many completions of the policy in all, is it better to spend some of them on MPO's pairs first?",
    arms=(SSB, CHAIN),
    measures=(GREEDY, SAMPLED, HALLUCINATION, COVERAGE),
    expectations=(
        Expectation("MPO first answers better", SAMPLED, "higher", CHAIN.name, SSB.name),
        Expectation("MPO first hallucinates less", HALLUCINATION, "lower", CHAIN.name, SSB.name),
    ),
    curves=("val/sampled_accuracy", "val/hallucination_rate"),
    why=(
        "With the completions of its pairs MPO learns once, from what the aligned policy says; GRPO alone spends as "
        "many on 128 further updates, each on what a policy says that has become better. That this is the reason is a "
        "guess. The chain still rises when its completions are used up. What else MPO is for in the paper, such as "
        "questions without an answer to check, is not measured here."
    ),
    limits=(
        "Both learn from accuracy and format. MPO's pairs also need a reward model, which was trained on 12,800 pairs "
        "drawn by rule: no completions of the policy, but knowledge that GRPO alone does not have. Seconds of the "
        "runs leave out the building of pairs, reward model and MPO."
    ),
    over="completions",
)
