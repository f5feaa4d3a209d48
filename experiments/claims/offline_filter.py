"""The buffer's idea offline: train only on prompts that the starting policy solves sometimes."""

from experiments.claims.arms import ABLATIONS, PAIRS, PLAIN, grpo
from experiments.claims.measures import EFFECTIVE_EARLY, GREEDY, HALLUCINATION, SAMPLED, SAMPLED_EARLY, SAMPLED_OVER_RUN
from experiments.claims.records import Claim, Expectation

FILTERED = grpo(
    "grpo_offline_filter",
    f"{ABLATIONS}/replay/offline_ssb.yaml",
    completions_before=PAIRS,
    says="GRPO without the buffer, on prompts that the aligned policy solves sometimes",
)

CLAIM = Claim(
    name="offline",
    rank=7,
    title="The offline filter of prompts",
    paper_says=(
        "Rolling prompts out in advance and keeping those with mixed outcomes makes the initial optimisation more "
        "than 10 % more efficient."
    ),
    source="R1V2 v3, section 3.3",
    question="Does GRPO without a buffer learn faster on prompts that its starting policy solves sometimes?",
    arms=(PLAIN, FILTERED),
    measures=(EFFECTIVE_EARLY, SAMPLED_EARLY, SAMPLED_OVER_RUN, SAMPLED, GREEDY, HALLUCINATION),
    expectations=(
        Expectation("more of the first groups teach", EFFECTIVE_EARLY, "higher", FILTERED.name, PLAIN.name),
        Expectation("the policy is better early", SAMPLED_EARLY, "higher", FILTERED.name, PLAIN.name),
        Expectation("and over the whole run", SAMPLED_OVER_RUN, "higher", FILTERED.name, PLAIN.name),
    ),
    curves=("val/sampled_accuracy", "rollout/effective_fraction"),
    why=(
        'There is little to filter: {{ mean("grpo_plain", EFFECTIVE_EARLY) }} of the first groups teach something '
        "without it. The paper's gain can only be as large as the share of prompts that are dead at the start."
    ),
    limits="The pool costs 16,384 completions before the first step, which the curves leave out.",
)
