"""The preference reward model: a vision-language model with one number in place of words (Skywork-VL-Reward).

    s(prompt, completion) = w . h_last + b      arXiv:2505.07263, section 3: h_last is the final hidden state at the
                                                last token of [user(images + question), assistant(completion)]

Scores are unbounded, and only differences between completions of one prompt mean anything.

Two details decide whether a published head gives its published scores: the conversation is closed by the chat
template, without generation prompt, and rows are padded on the right, so that "last" is each row's own last token.

Shapes: U different prompts, B rows, L tokens of a conversation, H hidden size.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from algorithms import Prompt
from models.export import save_pretrained
from models.parts import set_trainable_parts
from models.policy import Policy, different_prompts
from models.reading.prompt_encoder import interleave, right_pad
from models.reward_model.value_head import save_head
from models.sharding import largest_over_ranks

# Names in a model's config; not every model has both.
_IMAGE_TOKENS = ("image_token_id", "video_token_id")


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
            DataError: for images given to a backbone without vision tower.
        """
        inputs, lengths = self._inputs(prompts, [self.token_ids(p, t) for p, t in zip(prompts, texts, strict=True)])
        has_images = any(prompt.images for prompt in prompts)
        # Ranks that share weights must all run the tower, or none of them.
        (any_rank_has_images,) = largest_over_ranks(self, has_images)
        zero = self.policy.zero_from_blank_image() if any_rank_has_images and not has_images else 0.0
        hidden = self.policy.model.base_model(**inputs, use_cache=False).last_hidden_state + zero  # (B, L, H)
        last = hidden[torch.arange(len(lengths), device=lengths.device), lengths - 1]  # (B, H)
        # The margin between two good completions is lost in the rounding of 16-bit floats.
        with torch.autocast(last.device.type, enabled=False):
            return linear(last.float(), self.head.weight.float(), self.head.bias.float())[:, 0]

    def token_ids(self, prompt: Prompt, text: str) -> Int[Tensor, " L"]:
        """Return the tokens of the conversation that ends with this completion, images expanded.

        The question is taken from the encoded prompt, in which images are expanded already; only the tokens behind it
        are new, so that an image is not processed again for each completion.
        """
        encoder = self.policy.encoder
        expanded = encoder.encode(prompt).token_ids
        asked = self._tokenize(encoder.chat_text(prompt))
        answered = self._tokenize(self.chat_text(prompt, text))
        # In both an image is one token, not expanded yet.
        common = _common_length(asked, answered)
        # Tokens of the generation prompt that a closed conversation lacks, such as an opening <think>.
        num_continued = len(asked) - common
        if not torch.equal(expanded[len(expanded) - num_continued :], asked[common:]):
            raise ValueError(f"prompt {prompt.key}: the chat template changes the question once it has been answered.")
        # A completion may contain the image mark, but there is no image for it.
        tail = answered[common:]
        tail = tail[~torch.isin(tail, self._image_tokens())]
        return torch.cat([expanded[: len(expanded) - num_continued], tail])

    def chat_text(self, prompt: Prompt, text: str) -> str:
        """Return the conversation in the chat template, one image mark per image, its last turn closed."""
        turn = prompt.prefill + text
        has_vision = self.policy.encoder.has_vision
        conversation = [
            {"role": "user", "content": interleave(prompt) if has_vision else prompt.question},
            {"role": "assistant", "content": [{"type": "text", "text": turn}] if has_vision else turn},
        ]
        return self.policy.processor.apply_chat_template(conversation, add_generation_prompt=False, tokenize=False)

    def set_trainable(self, parts: Sequence[str]) -> None:
        """Let the head learn, and these parts of the backbone; without parts the result is a linear probe."""
        model = self.policy.model
        if parts:
            set_trainable_parts(model, parts)
        else:
            model.requires_grad_(False)
        head = model.get_output_embeddings()
        if head is not None and head.weight is not model.get_input_embeddings().weight:
            # No score depends on it: it gets no gradient, for which DistributedDataParallel would block.
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

    def _tokenize(self, text: str) -> Int[Tensor, " L"]:
        return self.policy.encoder.tokenizer(text, return_tensors="pt")["input_ids"][0]

    def _image_tokens(self) -> Int[Tensor, " N"]:
        config = self.policy.model.config
        tokens = [getattr(config, name, None) for name in _IMAGE_TOKENS]
        return torch.tensor([token for token in tokens if token is not None], dtype=torch.long)

    def _inputs(self, prompts: Sequence[Prompt], token_ids: Sequence[Tensor]) -> tuple[dict[str, Any], Tensor]:
        """Return model inputs, right-padded, and the length of each row (B,)."""
        policy = self.policy
        ids, is_token = right_pad(token_ids, policy.pad_token_id)
        ids, is_token = ids.to(policy.device), is_token.to(policy.device)
        inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": is_token.long()}
        different, rows = different_prompts(prompts)
        encoded = [policy.encoder.encode(prompt) for prompt in different]
        return inputs | policy.image_inputs(encoded, rows, ids), is_token.sum(1)


def _common_length(one: Tensor, other: Tensor) -> int:
    """Return how many tokens two rows have in common at their start."""
    shortest = min(len(one), len(other))
    differs = (one[:shortest] != other[:shortest]).nonzero()
    return int(differs[0]) if len(differs) else shortest
