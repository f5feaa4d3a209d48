"""Warnings that a user should read before the first step, one sentence each."""

import re
from collections import Counter
from collections.abc import Sequence

from algorithms import Prompt
from cli.new_run.look import DataLook
from cli.new_run.model import ModelLook
from cli.new_run.settings import MAX_FACTS, mention_of, prompt_lengths, template_of
from datamodules.rows.cells import IMAGE_MARK
from datamodules.streams.findings import MAX_UNKNOWN
from rewards import gold_problem

_LONG_ANSWER = 100  # characters
_MARKED_END = re.compile(r"####|[Tt]he (?:final )?answer is|<answer>")
_NUMBER = re.compile(r"[-+$]*\d[\d,.]*\s*%?")


def answer_forms(prompts: Sequence[Prompt]) -> str:
    """Return in words how many answers have each form."""
    counts = Counter(_form(prompt) for prompt in prompts)
    return ", ".join(f"{count} {form}" for form, count in counts.most_common())


def _form(prompt: Prompt) -> str:
    answer = (prompt.answer or "").strip()
    if not answer:
        return "without an answer"
    if prompt.choices:
        return "choices"
    if _NUMBER.fullmatch(answer):
        return "numbers"
    if len(answer) > _LONG_ANSWER:
        return "long texts"
    return "mathematics" if re.search(r"[\\=^]|\d", answer) else "words"


def has_answers(data: DataLook) -> bool:
    """Return whether any row has an answer."""
    return any((prompt.answer or "").strip() for prompt in data.prompts)


def doubts_of_data(data: DataLook) -> list[str]:
    """Return warnings about rows of any kind."""
    found = list(data.guess.doubts)
    if data.rejections:
        first = data.rejections[0]
        found.append(
            f"{len(data.rejections)} of {data.num_looked_at} rows cannot be used: {data.rejected}; "
            f"such as {first.key}: {first.detail}"
        )
    num_images = sum(bool(prompt.images) for prompt in data.prompts)
    if not num_images:
        found.append(
            "no images were found, so this is training on text only; if there are images, name their column in "
            "columns.images"
        )
    elif num_images < len(data.prompts):
        found.append(f"{len(data.prompts) - num_images} of {len(data.prompts)} prompts have no image")
    return found


def doubts_of_validation(val: DataLook) -> list[str]:
    """Return warnings about validation rows that cannot be used or have no answer."""
    found: list[str] = []
    if val.rejections:
        found.append(f"{len(val.rejections)} of {val.num_looked_at} validation rows cannot be used: {val.rejected}")
    missing = sum(not (prompt.answer or "").strip() for prompt in val.prompts)
    if missing and not val.pairs:
        found.append(f"{missing} of {len(val.prompts)} validation rows have no answer; their accuracy is unknown")
    return found


def doubts_of_answers(data: DataLook) -> list[str]:
    """Return warnings about answers that are missing or that the verifier may not read."""
    missing = sum(not (prompt.answer or "").strip() for prompt in data.prompts)
    # The further warnings are about single answers, so they do not apply.
    if missing == len(data.prompts):
        return [
            "no row has an answer, so accuracy has weight 0 and only the form of completions is rewarded: name the "
            "column in columns.answer, or add a reward of your own (docs/bring_your_own.md)"
        ]
    found = [f"{missing} of {len(data.prompts)} rows have no answer; their accuracy is unknown"] if missing else []
    answered = [prompt for prompt in data.prompts if (prompt.answer or "").strip()]
    bad = [(p, problem) for p in answered if (problem := gold_problem(str(p.answer), p.choices))]
    if bad:
        found.append(
            f"{len(bad)} of {len(answered)} answers cannot be compared with any completion, as that of "
            f"{bad[0][0].key}, which {bad[0][1]}"
        )
    # Such as "#### 42" at the end of a solution, as in GSM8K.
    unlike = [p for p in answered if len(str(p.answer)) > _LONG_ANSWER or _MARKED_END.search(str(p.answer))]
    if unlike:
        found.append(
            f"{len(unlike)} of {len(answered)} answers are texts with reasoning or long texts, such as "
            f"{str(unlike[0].answer)[:60]!r}: the verifier compares the content of \\boxed{{}} with the whole answer: "
            "give a column with the short result alone"
        )
    return found


def doubts_of_model(data: DataLook, model: ModelLook) -> list[str]:
    """Return warnings about texts that the model cannot read or write."""
    found = [model.untried] if model.untried else []
    if any(prompt.images for prompt in data.prompts) and not model.reads_images:
        found.append(f"the rows have images, which a {model.model_type} model cannot read: these rows are left out")
    elif data.unreadable:
        found.append(f"the model cannot read some rows: {data.unreadable}")
    # The mark is replaced by an image, so the tokenizer never reads it.
    texts = [prompt.question.replace(IMAGE_MARK, " ") for prompt in data.prompts[:64]]
    if (share := model.unknown_share(texts)) > MAX_UNKNOWN:
        found.append(
            f"the tokenizer does not know {share:.0%} of the words of the questions, such as those of "
            f"{texts[0][:60]!r}: it was made for another language"
        )
    return found


def doubts_of_rollouts(data: DataLook, model: ModelLook) -> list[str]:
    """Return warnings about obstacles to learning from rollouts."""
    found: list[str] = []
    template = template_of(data, model)
    if model.unknown_share([template.hint, "\\boxed{ 1 }"]) > 0:
        found.append(
            "the tokenizer has no token for words of the hint or for \\boxed{}: a model that cannot read or write them "
            "learns nothing from these rewards"
        )
    lengths = prompt_lengths(data, model)
    if max(data.lengths) > lengths.prompt:
        number = sum(length > lengths.prompt for length in data.lengths)
        found.append(f"{number} of {len(data.lengths)} measured prompts are longer than {lengths.prompt} and left out")
    if lengths.completion < 256:
        found.append(
            f"completions have {lengths.completion} tokens, little for reasoning: the context of the model is "
            f"{model.context}"
        )
    if any(prompt.facts for prompt in data.prompts) and mention_of(data) is None:
        found.append(f"facts are of more than {MAX_FACTS} kinds, so no claims are judged: name a judge in model.judge")
    if len(data.prompts) < 8:
        found.append(f"{len(data.prompts)} prompts are few to learn from")
    return found
