"""Turns sampled tokens into completions, in the same way for every engine."""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from algorithms import Completion
from rollouts.policy_view import SampledPolicy


def completions_of_tokens(
    policy: SampledPolicy, token_ids: Sequence[Int[Tensor, " T"]], logps: Sequence[Float[Tensor, " T"]]
) -> list[Completion]:
    """Return a completion for each row of tokens.

    Args:
        policy: decodes the tokens.
        token_ids: sampled tokens of each row, each up to and including its end-of-turn token if it has one.
        logps: their log-probabilities in nats, as sampled.
    """
    rows = [ids.tolist() for ids in token_ids]
    # Only the last token decides, so that all engines agree on which completions have ended.
    ended = [bool(row) and row[-1] in policy.end_token_ids for row in rows]
    texts = policy.encoder.tokenizer.batch_decode(
        [row[:-1] if has_ended else row for row, has_ended in zip(rows, ended, strict=True)]
    )
    return [
        Completion(token_ids=ids, behavior_logps=row_logps, text=text, finish_reason="stop" if has_ended else "length")
        for ids, row_logps, text, has_ended in zip(token_ids, logps, texts, ended, strict=True)
    ]
