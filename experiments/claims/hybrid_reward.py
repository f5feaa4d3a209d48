"""Rule reward only, preference reward only, both."""

from experiments.claims.arms import ABLATIONS, SSB, TINY, grpo
from experiments.claims.measures import COVERAGE, GREEDY, HALLUCINATION, SAMPLED
from experiments.claims.records import Claim, Expectation

BOTH = grpo(
    "grpo_rule_and_preference",
    f"{TINY}/hybrid.yaml",
    f"{TINY}/from_aligned.yaml",
    says="GRPO with rules and the score of a preference model",
)
PREFERENCE = grpo(
    "grpo_preference_only",
    f"{TINY}/hybrid.yaml",
    f"{TINY}/from_aligned.yaml",
    f"{ABLATIONS}/reward/preference_only.yaml",
    says="GRPO with the score of a preference model alone",
)

CLAIM = Claim(
    name="reward",
    rank=6,
    title="Rule reward, preference reward, both",
    paper_says=(
        "The reward is r = r_rule + r_preference + r_format: rules alone are said to miss what a preference model "
        "sees, and the other way round. No ablation of the parts is reported."
    ),
    source="R1V2 v3, section 3.3 and equation 7",
    question="Is the sum better than either part alone?",
    arms=(SSB, PREFERENCE, BOTH),
    measures=(GREEDY, SAMPLED, HALLUCINATION, COVERAGE),
    expectations=(
        Expectation("both answer better than rules alone", SAMPLED, "higher", BOTH.name, SSB.name),
        Expectation("both answer better than preference alone", SAMPLED, "higher", BOTH.name, PREFERENCE.name),
        Expectation("both hallucinate less than rules alone", HALLUCINATION, "lower", BOTH.name, SSB.name),
    ),
    curves=("val/sampled_accuracy", "val/hallucination_rate"),
    why=(
        "Here the rules already say all that counts: every answer can be checked, so that a preference score can add "
        "little, and it is gated to right answers. Alone it is learnt as something to please: true things are hardly "
        "mentioned any more."
    ),
    limits=(
        "All start from the aligned policy, without MPO. Both: the preference score counts 0.2, squashed, and only "
        "where the answer is right. Preference only: the squashed score itself, for right and wrong answers."
    ),
)
