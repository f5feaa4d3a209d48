"""The policy: a Hugging Face vision-language model seen as three parts, and its next-token logits.

    completion = language_model(adapter(vision_tower(image)), text)          R1V2, arXiv:2504.16656, eq. 1

Both engine and learner take their logits from here, shaped in the same way: divided by the temperature,
with the tokens that no completion may hold at minus infinity. That is what makes the importance ratio of
a fresh sample 1.

Shapes: U unique prompts, B rows, L prompt tokens, T completion tokens, N completion tokens of all rows, H hidden size,
V vocabulary, A axes of positions (3 for M-RoPE).
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from algorithms import Prompt, TokenScores, shape_logits, token_scores
from models.families import Vision, family_of, untried
from models.lora import lora_ranks
from models.parts import frozen_parts, part_modules, set_trainable_parts
from models.reading.attention import set_attention
from models.reading.completion_hidden import completion_hidden
from models.reading.head import complete_head
from models.reading.image_features import encoder_output, image_features, unadapted
from models.reading.kept_images import BLANK, KeptImages
from models.reading.prompt_encoder import EncodedPrompt, Processor, PromptEncoder, left_pad, right_pad
from models.reading.token_kinds import TokenKinds, token_kinds
from models.sharding import whole_weights
from models.weight_stream import stream_weights, tied_names

logger = logging.getLogger(__name__)

# Side of the blank image in pixels; large enough for every image processor.
_BLANK_SIDE = 224


class Policy(nn.Module):
    """A vision-language model (or a bare language model) with its processor."""

    model: PreTrainedModel

    def __init__(self, model: PreTrainedModel, processor: Processor) -> None:
        """Wrap a model and its processor (a tokenizer for a model without vision).

        Raises:
            ConfigError: for a vision-language model of an unknown family, attention that cannot be replaced, a head
                whose logits cannot be computed here, and a chat template with which no turn could end.
        """
        super().__init__()
        self.family = family_of(model)
        if sentence := untried(model.config):
            logger.warning(sentence)
        self.model = model
        set_attention(model)
        self.head_shape = complete_head(model)
        self.kept_images = KeptImages()
        """Outputs of a frozen tower for the images of a rollout; closed and empty unless a module opens it."""

        kinds = token_kinds(processor, model)
        self.encoder = PromptEncoder(processor, kinds)
        self.end_token_ids = kinds.end_ids
        self.banned_token_ids = banned_tokens(model, kinds, len(self.encoder.tokenizer))
        # Programs that load an export then end a completion at the same tokens as this policy.
        ends = list(kinds.end_ids)
        generation: Any = model.generation_config
        generation.eos_token_id = ends if len(ends) > 1 else ends[0]

    @property
    def processor(self) -> Processor:
        """The Hugging Face processor or tokenizer."""
        return self.encoder.processor

    @property
    def end_token_id(self) -> int:
        """The token with which the chat template closes a turn; ``end_token_ids`` has all that end a completion."""
        return self.end_token_ids[0]

    @property
    def pad_token_id(self) -> int:
        """The token at padding; attention never reads it."""
        pad = self.encoder.tokenizer.pad_token_id
        return self.end_token_id if pad is None else pad

    @property
    def context_length(self) -> int | None:
        """Most tokens that the model was made for; None where its config does not say."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)

    @property
    def lora_ranks(self) -> dict[str, int]:
        """Largest rank of LoRA updates in each part that has any."""
        return lora_ranks(self.model)

    @property
    def tied_names(self) -> dict[str, str]:
        """For each further name of a tied tensor its first one."""
        return tied_names(self.model)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    def forward(self) -> None:
        """Compute nothing, so that only hooks run: FSDP2 sets itself up when the policy is first called."""

    def whole_weights(self) -> AbstractContextManager[None]:
        """Return a context in which this rank may read the model without the others; see ``models.sharding``."""
        return whole_weights(self)

    def set_trainable(self, parts: Sequence[str]) -> None:
        """Let these parts learn, and no others: any of ``vision_tower``, ``adapter``, ``language_model``."""
        set_trainable_parts(self.model, parts)
        # Which parts are in training mode depends on which of them learn.
        self.train(self.training)

    def train(self, mode: bool = True) -> "Policy":
        """Switch mode as usual, but leave frozen parts in eval mode, so that their dropout stays off."""
        super().train(mode)
        for name in frozen_parts(self.model):
            for module in part_modules(self.model)[name]:
                module.eval()
        for layer in self.model.modules():
            # transformers reads the layer's own mode to decide whether activations are computed again in backward, also
            # in a frozen layer. Its dropout follows the modules inside, which stay in eval mode.
            if isinstance(layer, GradientCheckpointingLayer) and layer.gradient_checkpointing:
                layer.training = mode
        return self

    def recompute_activations(self) -> None:
        """Keep only the input of each layer and compute the rest again in backward: less memory, a third more time."""
        self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.train(self.training)

    def prompt_inputs(self, prompts: Sequence[Prompt]) -> dict[str, Any]:
        """Return model inputs for U prompts, left-padded, each image through tower and adapter once."""
        encoded = self.encoder.encode_all(prompts)
        # On the left, so that a completion follows its prompt without a gap.
        ids, is_prompt = left_pad([e.token_ids for e in encoded], self.pad_token_id)  # (U, L)
        inputs: dict[str, Any] = {
            "input_ids": ids.to(self.device),
            "attention_mask": is_prompt.long().to(self.device),
        }
        features = self.kept_images.features(self.model, prompts, [e.vision for e in encoded])
        return inputs | self.image_inputs(encoded, torch.arange(len(prompts)), inputs["input_ids"], features)

    def image_inputs(
        self,
        encoded: Sequence[EncodedPrompt],
        rows: Tensor,
        ids: Tensor,
        features: Sequence[Sequence[Tensor]] | None = None,
    ) -> dict[str, Any]:
        """Return the model inputs for the images of B rows; none where no row has an image.

        Args:
            encoded: U prompts; the images of each go through tower and adapter once.
            rows: for each of B rows its prompt.
            ids: (B, L) tokens, images expanded.
            features: features of each prompt's images; None: the images are read now.
        """
        features = self.image_features([e.vision for e in encoded]) if features is None else features
        per_row = tuple(feature for i in rows.tolist() for feature in features[i])
        if not per_row:
            return {}
        inputs = {"mm_encoder_outputs": {"image": encoder_output(self.model, per_row)}}
        return inputs | self.family.token_inputs(self.model, [encoded[i].vision for i in rows.tolist()], ids)

    def image_features(self, visions: Sequence[Vision]) -> list[list[Tensor]]:
        """Return the features of each prompt's images or tiles, after the adapter; see
        ``models.reading.image_features``."""
        return image_features(self.model, visions)

    @torch.no_grad()
    def read_images(self, prompts: Sequence[Prompt]) -> None:
        """Read the images of prompts as ``prompt_inputs`` does, into ``kept_images``."""
        visions = [encoded.vision for encoded in self.encoder.encode_all(prompts)]
        self.kept_images.features(self.model, prompts, visions)

    def zero_from_blank_image(self) -> Float[Tensor, ""]:
        """Return 0, computed from a black image, for a rank without images when weights are sharded.

        So this rank gathers the tower's weights as often, in forward and backward, as ranks with images do.
        """
        (features,) = self.kept_images.features(self.model, [BLANK], [self._blank_vision()])
        return 0.0 * torch.stack([feature.sum() for feature in features]).sum()

    @torch.no_grad()
    def run_tower_on_blank_image(self) -> None:
        """Run the tower on a rank whose images are all kept, when another rank has images that are not."""
        unadapted(self.model, [self._blank_vision()])

    def _blank_vision(self) -> dict[str, Tensor]:
        image = Image.new("RGB", (_BLANK_SIDE, _BLANK_SIDE))
        return dict(self.encoder.image_processor(images=[image], return_tensors="pt"))

    def prompt_positions(self, inputs: dict[str, Any]) -> Int[Tensor, "A U L"]:
        """Return the positions of prompts on each axis, any number at padding; inputs as of ``prompt_inputs``."""
        return self.family.prompt_positions(self.model, inputs)

    def next_positions(self, inputs: dict[str, Any]) -> Int[Tensor, "U 1"] | None:
        """Return the position of the first token after each prompt; None where the model counts positions itself."""
        return self.family.next_positions(self.model, inputs)

    def position_inputs(self, positions: Int[Tensor, "B T"] | None) -> dict[str, Tensor]:
        """Return positions of text in the form that the model's forward takes; nothing for None."""
        return self.family.position_inputs(positions)

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
        # Padding may hold any token id. The id of an image token would be read as an image that does not exist.
        completion_ids = torch.where(is_completion, completion_ids.to(self.device), self.pad_token_id)
        hidden = completion_hidden(self, prompts, rows, completion_ids, is_completion)  # (N, H)
        head: Any = self.model.get_output_embeddings()
        scores = token_scores(
            hidden,
            head.weight,
            getattr(head, "bias", None),
            completion_ids[is_completion],
            banned_ids=self.banned_token_ids,
            temperature=temperature,
            head_shape=self.head_shape,
        )
        padded = torch.zeros(is_completion.shape, dtype=torch.float32, device=self.device)
        return TokenScores(*(padded.masked_scatter(is_completion, score) for score in scores))  # (N,) -> (B, T)

    def text_scores(
        self, prompts: Sequence[Prompt], texts: Sequence[str], ended: Sequence[bool] | None = None
    ) -> tuple[TokenScores, Bool[Tensor, "B T"]]:
        """Return scores (B, T) of completions given as texts, and where their tokens are.

        Args:
            prompts: B prompts; one that repeats as the same object is read once.
            texts: B completions without end-of-turn token.
            ended: for each, whether the end-of-turn token follows; default all.
        """
        different, rows = different_prompts(prompts)
        tokens = self.encoder.completion_ids(texts, [True] * len(texts) if ended is None else ended)
        ids, is_completion = right_pad(tokens, self.pad_token_id)
        return self.completion_scores(different, rows, ids, is_completion), is_completion.to(self.device)

    def stream_weights(self, *, only_trainable: bool = False, merge_lora: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Yield the weights for an engine's copy; see ``models.stream_weights``."""
        return stream_weights(self.model, only_trainable=only_trainable, merge_lora=merge_lora)

    def shape_logits(self, logits: Tensor, temperature: float) -> Tensor:
        """Return logits as they are sampled from; see ``algorithms.shape_logits``."""
        return shape_logits(logits, self.banned_token_ids, temperature)


def different_prompts(prompts: Sequence[Prompt]) -> tuple[list[Prompt], Int[Tensor, " B"]]:
    """Return the U different prompts among B in order of appearance, and the index of each of the B prompts among
    them."""
    # By identity: uids repeat across data sets.
    different = {id(prompt): prompt for prompt in prompts}
    index = {key: i for i, key in enumerate(different)}
    return list(different.values()), torch.tensor([index[id(prompt)] for prompt in prompts])


def banned_tokens(model: PreTrainedModel, kinds: TokenKinds, vocabulary_size: int) -> Int[Tensor, " N"]:
    """Return the tokens that no completion may hold, sorted: images and structure, except those that end a turn.

    A sampled image token would have no image, and the next forward would fail.
    """
    banned = set(kinds.structural_ids - set(kinds.end_ids))
    # Rows of the embedding that no token uses, as vocabularies are padded for speed.
    head: Any = model.get_output_embeddings()
    banned.update(range(vocabulary_size, head.weight.shape[0]))
    return torch.tensor(sorted(banned))
