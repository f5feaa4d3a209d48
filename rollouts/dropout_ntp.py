"""DropoutNTP pairs (MPO, arXiv:2411.10442, section 3.2): an answer against one that went on without looking.

    chosen:    the completion
    rejected:  its first half, continued by the same policy with the images taken away

No ground truth is needed: whatever the blind half claims about the image is made up.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from algorithms import PreferencePair, Prompt, RolloutGroup
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
    """Return a pair for the first ended completion of every prompt with images, all with uid 0.

    Args:
        engine: continues the truncated completions; its policy is the one that sampled.
        decode: token ids to text, as the policy's tokenizer does it.
        groups: the completions of each prompt.
        sampling: as at the rollout.
        seed: seed of the continuations.
        kept_share: share of a completion's tokens that is kept; MPO found 0.5 better than 0.25 and 0.75.
    """
    chosen = [
        (group.prompt, completion)
        for group in groups
        if group.prompt.images
        for completion in [c for c in group.completions if c.finish_reason == "stop"][:1]
    ]
    kept = [completion.token_ids[: int(len(completion.token_ids) * kept_share)].tolist() for _, completion in chosen]
    blind = [_blindfolded(prompt, decode(ids)) for (prompt, _), ids in zip(chosen, kept, strict=True)]
    # Also without any: sampling is a collective call.
    continued = engine.generate(blind, group_size=1, sampling=sampling, seed=seed)
    pairs: list[PreferencePair] = []
    for (prompt, completion), ids, (rest,) in zip(chosen, kept, continued, strict=True):
        has_ended = rest.finish_reason == "stop"
        # Decoded together, because spaces between two words belong to either.
        text = decode(ids + rest.token_ids.tolist()[: -1 if has_ended else None])
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


def _blindfolded(prompt: Prompt, start: str) -> Prompt:
    """Return the prompt without its images and with the start of a completion."""
    return replace(prompt, question=prompt.question.replace(_IMAGE_MARK, "").strip(), images=(), prefill=start)
