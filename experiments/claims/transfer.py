"""Transfer from text to vision, and back."""

from experiments.claims.arms import BASE, NOTHING_LEARNT, SSB, TINY, grpo
from experiments.claims.measures import GREEDY, HALLUCINATION, SAMPLED
from experiments.claims.records import Claim, Expectation

TEXT = grpo(
    "grpo_trained_in_words", f"{TINY}/trained_in_words.yaml", says="GRPO on scenes told in words, measured on pictures"
)
BASE_IN_WORDS = grpo(
    "base_measured_in_words",
    f"{TINY}/measured_in_words.yaml",
    flags=NOTHING_LEARNT,
    steps=1,
    says="the aligned policy, measured on scenes told in words",
)
VISION = grpo(
    "grpo_measured_in_words",
    f"{TINY}/measured_in_words.yaml",
    says="GRPO on pictures, measured on scenes told in words",
)

CLAIM = Claim(
    name="transfer",
    rank=9,
    title="Transfer from text to vision and back",
    paper_says="Abilities in text and vision transfer: what is learnt in one directly helps the other.",
    source="R1V2 v3, section 3.1 (text only)",
    question="Does GRPO on scenes told in words help with pictures, and GRPO on pictures with scenes in words?",
    arms=(BASE, TEXT, SSB, BASE_IN_WORDS, VISION),
    measures=(GREEDY, SAMPLED, HALLUCINATION),
    expectations=(
        Expectation("training in words helps with pictures", SAMPLED, "higher", TEXT.name, BASE.name),
        Expectation("training on pictures helps in words", SAMPLED, "higher", VISION.name, BASE_IN_WORDS.name),
    ),
    curves=("val/sampled_accuracy", "val/hallucination_rate"),
    why=(
        "Both carry over almost whole: `grpo_trained_in_words` saw no picture in GRPO and ends close to `grpo_ssb`, "
        "which saw nothing else. What is learnt is to look before answering instead of guessing, and that is the same "
        "habit in words and in pictures: the adapter gives the language model a picture in place of the words. That it "
        "is this habit which carries over is a guess; these questions hold nothing that only pictures could teach."
    ),
    limits=(
        "The questions and scenes are the same in words and pictures, and so are the policy's language model and "
        "adapter, which both learn."
    ),
)
