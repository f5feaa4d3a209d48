"""DropoutNTP pairs (MPO, arXiv:2411.10442, section 3.2): a completion is preferred to one continued without images.

    chosen:    the completion
    rejected:  its first half, continued by the same policy with the images taken away

No ground truth is needed: the policy invents whatever the second half of ``rejected`` claims about an image.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from algorithms import Completion, PreferencePair, Prompt, RolloutGroup
from rollouts.engine import RolloutEngine, SamplingConfig

_IMAGE_MARK = "<image>"


def dropout_ntp_pairs(
    engine: RolloutEngine,
    decode: Callable[[list[int]], str],
    groups: Sequence[RolloutGroup],
    *,
    sampling: SamplingConfig,
    seed: int,
    kept_share: float = 0.5,
) -> list[PreferencePair]:
    """Return one pair for each prompt that has images and an ended completion, all with uid 0.

    A continuation that repeats the completion makes no pair.

    Args:
        engine: continues the truncated completions; it has the policy that sampled them.
        decode: token ids to text, as the policy's tokenizer does it.
        groups: the completions of each prompt.
        sampling: as at the rollout; its ``group_size`` is not used, because each completion is continued once.
        seed: seed of the continuations.
        kept_share: share of a completion's tokens that is kept, in [0, 1]; MPO found 0.5 better than 0.25 and 0.75.
    """
    chosen = [
        (group.prompt, completion)
        for group in groups
        if group.prompt.images and (completion := _first_ended(group)) is not None
    ]
    kept = [completion.token_ids[: int(len(completion.token_ids) * kept_share)].tolist() for _, completion in chosen]
    blind = [_without_images(prompt, decode(ids)) for (prompt, _), ids in zip(chosen, kept, strict=True)]
    # Called also without prompts: sampling is a collective call, and other ranks may have prompts.
    continuations = engine.generate(blind, replace(sampling, group_size=1), seed=seed)
    pairs: list[PreferencePair] = []
    for (prompt, completion), ids, (continuation,) in zip(chosen, kept, continuations, strict=True):
        has_ended = continuation.finish_reason == "stop"
        new_ids = continuation.token_ids.tolist()[: -1 if has_ended else None]
        # Both halves are decoded together: the space between two words may belong to the token on either side.
        text = decode(ids + new_ids)
        if text != completion.text:
            pairs.append(
                PreferencePair(
                    uid=0,
                    prompt=prompt,
                    chosen=completion.text,
                    rejected=text,
                    rejected_ended=has_ended,
                    kind="dropout_ntp",
                )
            )
    return pairs


def _first_ended(group: RolloutGroup) -> Completion | None:
    """Return the first completion of a group that ended its turn; None when all were cut at the token limit."""
    ended = (completion for completion in group.completions if completion.finish_reason == "stop")
    return next(ended, None)


def _without_images(prompt: Prompt, start: str) -> Prompt:
    """Return the prompt without its images, and with the start of a completion as its prefill."""
    # A mark without its image would be an image token without features.
    question = prompt.question.replace(_IMAGE_MARK, "").strip()
    return replace(prompt, question=question, images=(), prefill=start)
