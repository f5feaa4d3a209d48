"""The instruction after a question: the paper's, which replaces evalscope's.

R1V1's report and InternVL's code (INSTRUCTION_BOXED_EN) ask for a last line ``Answer: \\boxed{$LETTER}``, or
``\\boxed{$FINAL_ANSWER}`` where there are no choices; R1V2 says that it uses one prompt for multiple choice and one for
open questions, with the answer in a box, and does not print them. evalscope reads a letter from that line as well.
Benchmarks with an instruction of their own keep it: POPE, HallusionBench, LiveCodeBench, IFEval, BFCL, and
OlympiadBench, which names the kind of answer.
"""

_HOW = (
    "If you are uncertain or the problem is too complex, make a reasoned guess based on the information provided. "
    "Avoid repeating steps indefinitely; provide your best guess even if unsure. Think step by step logically, "
    "considering all relevant information before answering."
)
OPEN = (
    "{question}\nAnswer the preceding question. The last line of your response should follow this format: "
    "'Answer: \\boxed{{$FINAL_ANSWER}}' (without quotes), where 'FINAL_ANSWER' is your conclusion based on the "
    f"reasoning provided. {_HOW}"
)
CHOICE = (
    "{question}\n{choices}\nAnswer the preceding multiple choice question. The last line of your response should "
    "follow this format: 'Answer: \\boxed{{$LETTER}}' (without quotes), where LETTER is one of {letters}. " + _HOW
)

_MODULE = "evalscope.benchmarks"
PAPER_TEXTS: dict[str, dict[str, str]] = {
    "mmmu": {
        f"{_MODULE}.mmmu.mmmu_adapter:OPEN_PROMPT": OPEN,
        f"{_MODULE}.mmmu.mmmu_adapter:MULT_CHOICE_PROMPT": CHOICE,
    },
    "mmmu_pro": {f"{_MODULE}.mmmu_pro.mmmu_pro_adapter:MULT_CHOICE_PROMPT": CHOICE},
    "math_vista": {
        f"{_MODULE}.math_vista.math_vista_adapter:OPEN_PROMPT": OPEN,
        f"{_MODULE}.math_vista.math_vista_adapter:MULT_CHOICE_PROMPT": CHOICE,
    },
    "math_vision": {
        f"{_MODULE}.math_vision.math_vision_adapter:OPEN_PROMPT": OPEN,
        f"{_MODULE}.math_vision.math_vision_adapter:MULT_CHOICE_PROMPT": CHOICE,
    },
}
PAPER_TEMPLATES: dict[str, str] = {"aime24": OPEN}
"""Prompt templates with the paper's instruction, for benchmarks with a setting for the template."""
