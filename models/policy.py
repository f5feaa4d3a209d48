"""The policy: a Hugging Face vision-language model seen as three parts, and its next-token logits.

    answer = language_model(adapter(vision_tower(image)), text)          R1V2, arXiv:2504.16656, eq. 1

Both engine and learner take their logits from here, shaped in the same way: divided by the temperature,
with the tokens that no completion may hold at minus infinity. That is what makes the importance ratio of
a fresh sample 1.

Shapes: U unique prompts, B rows, L prompt tokens, T completion tokens, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from jaxtyping import Bool, Int
from PIL import Image
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from algorithms import Prompt, TokenScores, shape_logits, token_scores
from models.parts import frozen_parts, part_modules, set_trainable_parts
from models.reading.completion_hidden import completion_hidden
from models.reading.grouped_attention import share_keys
from models.reading.image_features import encoder_output, image_features
from models.reading.prompt_encoder import EncodedPrompt, PromptEncoder, left_pad, right_pad
from models.sharding import whole_weights
from models.weight_stream import stream_weights

# Pixels; large enough for every image processor.
_BLANK_SIDE = 224


class Policy(nn.Module):
    """A vision-language model (or a bare language model) with its processor."""

    model: Any  # a PreTrainedModel; transformers' annotations refuse what its models accept

    def __init__(self, model: PreTrainedModel, processor: Any) -> None:
        """Wrap a model and its processor (a tokenizer for a model without vision)."""
        super().__init__()
        self.model = model
        share_keys(model)
        self.encoder = PromptEncoder(processor)
        self.banned_token_ids = banned_tokens(model, self.encoder.tokenizer)

    @property
    def processor(self) -> Any:
        """The Hugging Face processor or tokenizer."""
        return self.encoder.processor

    @property
    def end_token_id(self) -> int:
        """The token with which the policy ends its turn."""
        return self.encoder.tokenizer.eos_token_id

    @property
    def pad_token_id(self) -> int:
        """The token that fills rows; never attended to."""
        pad = self.encoder.tokenizer.pad_token_id
        return self.end_token_id if pad is None else pad

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    def forward(self) -> None:
        """Do nothing but have hooks run: sharding sets itself up when the policy is first called."""

    def whole_weights(self) -> AbstractContextManager[None]:
        """Give a time in which this rank may read the model without the others; see ``models.sharding``."""
        return whole_weights(self)

    def set_trainable(self, parts: Sequence[str]) -> None:
        """Let just these parts learn: any of ``vision_tower``, ``adapter``, ``language_model``."""
        set_trainable_parts(self.model, parts)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Policy":
        """Switch mode as usual, but leave frozen parts in eval mode, so that their dropout stays off."""
        super().train(mode)
        for name in frozen_parts(self.model):
            for module in part_modules(self.model)[name]:
                module.eval()
        for layer in self.model.modules():
            # transformers asks a layer's own mode whether to compute it again in backward, also of a frozen one; its
            # dropout follows the modules inside.
            if isinstance(layer, GradientCheckpointingLayer) and layer.gradient_checkpointing:
                layer.training = mode
        return self

    def recompute_activations(self) -> None:
        """Keep only what enters each layer and compute the rest again in backward: less memory, a third more time."""
        self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.train(self.training)

    def prompt_inputs(self, prompts: Sequence[Prompt], rows: Tensor | None = None) -> dict[str, Any]:
        """Return model inputs for prompts, left-padded, each image through tower and adapter once.

        Args:
            prompts: U different prompts.
            rows: for each of B rows the prompt it continues; default one row per prompt.
        """
        encoded = self.encoder.encode_all(prompts)
        rows = torch.arange(len(prompts)) if rows is None else rows
        ids, is_prompt = left_pad([encoded[i].token_ids for i in rows.tolist()], self.pad_token_id)
        inputs: dict[str, Any] = {
            "input_ids": ids.to(self.device),
            "attention_mask": is_prompt.long().to(self.device),
        }
        return inputs | self.image_inputs(encoded, rows, inputs["input_ids"])

    def image_inputs(self, encoded: Sequence[EncodedPrompt], rows: Tensor, ids: Tensor) -> dict[str, Any]:
        """Return what the model is told of the images of B rows; nothing when there are none.

        Args:
            encoded: U prompts; the images of each go through tower and adapter once.
            rows: for each of B rows its prompt.
            ids: (B, L) tokens, images expanded.
        """
        features = self.image_features([e.vision for e in encoded])
        per_row = tuple(feature for i in rows.tolist() for feature in features[i])
        if not per_row:
            return {}
        inputs: dict[str, Any] = {"mm_encoder_outputs": {"image": encoder_output(self.model, per_row)}}
        grids = [encoded[i].vision["image_grid_thw"] for i in rows.tolist() if "image_grid_thw" in encoded[i].vision]
        if grids:
            # Without these Qwen-VL reads an image as a line of text.
            inputs["image_grid_thw"] = torch.cat(grids).to(self.device)
            inputs["mm_token_type_ids"] = (ids == self.model.config.image_token_id).long()
        return inputs

    def image_features(self, visions: Sequence[dict[str, Tensor]]) -> list[list[Tensor]]:
        """Return for each prompt the adapted features of its images or tiles; see ``models.reading.image_features``."""
        return image_features(self.model, visions)

    def blank_look(self) -> Tensor:
        """Return 0, computed from a black image: for a rank without images, whom others wait for."""
        image = Image.new("RGB", (_BLANK_SIDE, _BLANK_SIDE))
        vision = dict(self.processor.image_processor(images=[image], return_tensors="pt"))
        (features,) = self.image_features([vision])
        return 0.0 * torch.stack([feature.sum() for feature in features]).sum()

    def next_positions(self, inputs: dict[str, Any]) -> Int[Tensor, "U 1"] | None:
        """Return the position of the first token after each prompt just read; None where the model counts itself.

        Qwen-VL's text positions are behind its number of tokens, because image tokens share positions on a grid.
        """
        base = self.model.base_model
        if not hasattr(base, "rope_deltas"):
            return None
        if "image_grid_thw" not in inputs:
            return torch.full_like(inputs["input_ids"][:, :1], inputs["input_ids"].shape[1])
        return inputs["attention_mask"].sum(1, keepdim=True) + base.rope_deltas

    def position_inputs(self, positions: Int[Tensor, "B T"] | None) -> dict[str, Tensor]:
        """Return positions of text as Qwen-VL takes them, equal in time, height and width; nothing for None."""
        return {} if positions is None else {"position_ids": positions.expand(3, -1, -1)}

    def completion_scores(
        self,
        prompts: Sequence[Prompt],
        rows: Int[Tensor, " B"],
        completion_ids: Int[Tensor, "B T"],
        is_completion: Bool[Tensor, "B T"],
        *,
        temperature: float = 1.0,
    ) -> TokenScores:
        """Return log-probability and entropy (B, T) of each completion token, 0 at padding.

        Args:
            prompts: U different prompts.
            rows: index into ``prompts`` of each row.
            completion_ids: right-padded completions.
            is_completion: False at padding.
            temperature: as at sampling.
        """
        rows, is_completion = rows.to(self.device), is_completion.to(self.device)
        completion_ids = torch.where(is_completion, completion_ids.to(self.device), self.pad_token_id)
        hidden = completion_hidden(self, prompts, rows, completion_ids, is_completion)  # (N, H)
        head = self.model.get_output_embeddings()
        scores = token_scores(
            hidden,
            head.weight,
            getattr(head, "bias", None),
            completion_ids[is_completion],
            banned_ids=self.banned_token_ids,
            temperature=temperature,
        )
        padded = torch.zeros(is_completion.shape, dtype=torch.float32, device=self.device)
        return TokenScores(*(padded.masked_scatter(is_completion, score) for score in scores))

    def text_scores(
        self, prompts: Sequence[Prompt], texts: Sequence[str], ended: Sequence[bool] | None = None
    ) -> tuple[TokenScores, Bool[Tensor, "B T"]]:
        """Return scores (B, T) of completions given as texts, and where their tokens are.

        Args:
            prompts: B prompts; one that repeats as the same object is read once.
            texts: B completions without end-of-turn token.
            ended: for each, whether the end-of-turn token follows; default all.
        """
        unique = {id(prompt): prompt for prompt in prompts}
        index = {key: i for i, key in enumerate(unique)}
        rows = torch.tensor([index[id(prompt)] for prompt in prompts])
        tokens = self.encoder.completion_ids(texts, [True] * len(texts) if ended is None else ended)
        ids, is_completion = right_pad(tokens, self.pad_token_id)
        return self.completion_scores(list(unique.values()), rows, ids, is_completion), is_completion.to(self.device)

    def stream_weights(self, *, only_trainable: bool = False) -> Iterator[tuple[str, Tensor]]:
        """Yield the weights for an engine's copy; see ``models.stream_weights``."""
        return stream_weights(self.model, only_trainable=only_trainable)

    def shape_logits(self, logits: Tensor, temperature: float) -> Tensor:
        """Return logits as they are sampled from; see ``algorithms.shape_logits``."""
        return shape_logits(logits, self.banned_token_ids, temperature)


def banned_tokens(model: PreTrainedModel, tokenizer: Any) -> Int[Tensor, " N"]:
    """Return the tokens no completion may hold: image and structural special tokens, all but end of turn.

    A sampled image token would have no image behind it, and the next forward would fail.
    """
    banned = set(tokenizer.all_special_ids)
    for key in ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id"):
        if (token := getattr(model.config, key, None)) is not None:
            banned.add(token)
    banned.discard(tokenizer.eos_token_id)
    # Rows of the embedding that no token uses, as vocabularies are padded for speed.
    head: Any = model.get_output_embeddings()
    num_rows = head.weight.shape[0]
    banned.update(range(len(tokenizer), num_rows))
    return torch.tensor(sorted(banned))
