"""The preference reward model: a vision-language model that returns one number (Skywork-VL-Reward).

    s(prompt, completion) = w . h_last + b      arXiv:2505.07263, section 3: h_last is the final hidden state at the
                                                last token of [user(images + question), assistant(completion)]

Scores are unbounded, and only differences between completions of one prompt mean anything.

Three details decide whether a published head gives its published scores: the conversation is closed by the chat
template, without generation prompt; it has the tokens of ``apply_chat_template``; and rows are padded on the right, so
that "last" is each row's own last token.

Shapes: U different prompts, B rows, L tokens of a conversation, H hidden size.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from algorithms import ConfigError, Prompt, PromptError
from models.export import save_pretrained
from models.parts import set_trainable_parts
from models.policy import Policy, different_prompts
from models.reading.chat_frame import content
from models.reading.plain_text import without_cuts
from models.reading.prompt_encoder import right_pad
from models.reward_model.value_head import save_head
from models.sharding import largest_over_ranks

# Every chat template keeps this text.
_SHORT_ANSWER = "ANSWER"


class RewardModel(nn.Module):
    """A backbone with its processor, and a linear head that computes one score from the last token."""

    def __init__(self, policy: Policy, head: nn.Linear) -> None:
        """Put a head on a backbone.

        Args:
            policy: the backbone; its language-model head is never used.
            head: linear, from the text model's hidden size to 1.
        """
        super().__init__()
        self.policy = policy
        self.head = head

    def scores(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> Float[Tensor, " B"]:
        """Return the 32-bit score of each completion, with its gradient.

        Args:
            prompts: the prompt of each completion. Where the same object repeats, as for chosen and rejected, its
                images go through the tower once.
            texts: the completions, without end-of-turn token; a prompt's prefill is put before them.

        Raises:
            PromptError: for a prompt that the backbone cannot read.
        """
        inputs, lengths = self._inputs(prompts, [self.token_ids(p, t) for p, t in zip(prompts, texts, strict=True)])
        has_images = any(prompt.images for prompt in prompts)
        # With sharded weights either all ranks run the tower, or none does.
        (any_rank_has_images,) = largest_over_ranks(self, has_images)
        zero = self.policy.zero_from_blank_image() if any_rank_has_images and not has_images else 0.0
        hidden = self.policy.model.base_model(**inputs, use_cache=False).last_hidden_state + zero  # (B, L, H)
        last = hidden[torch.arange(len(lengths), device=lengths.device), lengths - 1]  # (B, H)
        # In 32 bits, because rounding to 16 bits would lose the margin between two good completions.
        with torch.autocast(last.device.type, enabled=False):
            return linear(last.float(), self.head.weight.float(), self.head.bias.float())[:, 0]

    def token_ids(self, prompt: Prompt, text: str) -> Int[Tensor, " L"]:
        """Return the tokens of the conversation that ends with this completion, images expanded.

        The question is taken from the encoded prompt, in which images are expanded already; only the tokens behind it
        are new, so that an image is not processed again for each completion.

        Raises:
            PromptError: for a prompt that the backbone cannot read, or that the template writes differently once it is
                answered.
        """
        encoder = self.policy.encoder
        expanded = encoder.encode(prompt).token_ids
        asked = encoder.chat_ids(prompt)
        answered = encoder.tokenize(self._conversation(prompt, text))
        encoder.check_controls(prompt, answered, is_answered=True)
        # In both an image is one token, not expanded yet.
        common = _common_length(asked, answered)
        # Tokens of the generation prompt that a closed conversation lacks, such as an opening <think>.
        num_continued = len(asked) - common
        if expanded[len(expanded) - num_continued :].tolist() != asked[common:]:
            raise PromptError(prompt.key, "question that changes", "the chat template changes it once it is answered")
        tail = torch.tensor(answered[common:], dtype=torch.long)
        return torch.cat([expanded[: len(expanded) - num_continued], tail])

    def chat_text(self, prompt: Prompt, text: str) -> str:
        """Return the conversation in the chat template, one image mark per image, its last turn closed."""
        return without_cuts(self._conversation(prompt, text))

    def _conversation(self, prompt: Prompt, text: str) -> str:
        """Return ``chat_text``, cut within control tokens.

        Some templates keep only the part of an answer after ``</think>`` (QwQ, R1-Distill). The score must be that of
        the whole completion, so a short answer is rendered first, and the completion then replaces it.
        """
        turn = self.policy.encoder.cut_completion(prompt.prefill + text)
        rendered = self._answered(prompt, turn)
        # Compared without white space, which templates trim at the ends of a turn.
        if _spelled(turn) in _spelled(rendered):
            return rendered
        before, answer, after = self._answered(prompt, _SHORT_ANSWER).rpartition(_SHORT_ANSWER)
        if not answer:
            raise ConfigError(
                "model.reward: the chat template of the reward model does not write what an assistant says, so that "
                "all completions would have the same score: give it one that does."
            )
        return before + turn + after

    def _answered(self, prompt: Prompt, turn: str) -> str:
        encoder = self.policy.encoder
        answer = {"role": "assistant", "content": content(turn, has_vision=encoder.has_vision)}
        return encoder.render([*encoder.conversation(prompt), answer], add_generation_prompt=False)

    def set_trainable(self, parts: Sequence[str]) -> None:
        """Let the head learn, and these parts of the backbone; without parts the result is a linear probe."""
        model = self.policy.model
        if parts:
            set_trainable_parts(model, parts)
        else:
            model.requires_grad_(False)
        head = model.get_output_embeddings()
        if head is not None and head.weight is not model.get_input_embeddings().weight:
            # No score depends on the language-model head. It gets no gradient, and DistributedDataParallel would wait
            # for one.
            head.requires_grad_(False)
        self.head.requires_grad_(True)
        self.train(self.training)

    def save_pretrained(self, folder: str, *, is_writer: bool = True) -> None:
        """Write the backbone in Hugging Face format, its processor, and the head beside them.

        Args:
            folder: where to write.
            is_writer: whether this rank writes; where weights are sharded, all ranks must call this.
        """
        save_pretrained(self.policy, folder, is_writer=is_writer)
        save_head(self.head, folder, is_writer=is_writer)

    def _inputs(self, prompts: Sequence[Prompt], token_ids: Sequence[Tensor]) -> tuple[dict[str, Any], Tensor]:
        """Return model inputs, right-padded, and the length of each row (B,)."""
        policy = self.policy
        ids, is_token = right_pad(token_ids, policy.pad_token_id)
        ids, is_token = ids.to(policy.device), is_token.to(policy.device)
        inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": is_token.long()}
        different, rows = different_prompts(prompts)
        encoded = [policy.encoder.encode(prompt) for prompt in different]
        return inputs | policy.image_inputs(encoded, rows, ids), is_token.sum(1)


def _common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two rows have in common at their start."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _spelled(text: str) -> str:
    """Return a text without white space, which templates trim."""
    return "".join(text.split())
