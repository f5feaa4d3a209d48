"""The preference reward model: a vision-language model with one number in place of words (Skywork-VL-Reward).

    s(prompt, answer) = w . h_last + b          arXiv:2505.07263, section 3: h_last is the final hidden state at the
                                                last token of [user(images + question), assistant(answer)]

Scores are unbounded, and only differences between answers to one prompt mean anything.

Two details decide whether a published head gives its published scores: the conversation is closed by the chat
template, without generation prompt, and rows are padded on the right, so that "last" is each row's own last token.

Shapes: U different prompts, B rows, L tokens of a conversation, H hidden size.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
from transformers.utils.hub import cached_file

from algorithms import ConfigError, Prompt
from models.export import save_pretrained
from models.parts import set_trainable_parts
from models.policy import Policy
from models.reading.prompt_encoder import interleave, right_pad
from models.sharding import largest_over_ranks
from models.sources import PolicySource
from models.weight_stream import whole

HEAD_FILE = "value_head.safetensors"
_IMAGE_TOKENS = ("image_token_id", "video_token_id")


class RewardModel(nn.Module):
    """A backbone with its processor, and a linear head that reads one score off the last token."""

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
        """Return the 32-bit score of each answer, with its gradient.

        Args:
            prompts: the prompt of each answer. Where the same object repeats, as for chosen and rejected, its images
                go through the tower once.
            texts: the answers, without end-of-turn token; a prompt's prefill is put before them.

        Raises:
            DataError: for images given to a backbone without vision tower.
        """
        inputs, lengths = self._inputs(prompts, [self.token_ids(p, t) for p, t in zip(prompts, texts, strict=True)])
        has_images = any(prompt.images for prompt in prompts)
        (looks,) = largest_over_ranks(self, has_images)
        nothing = self.policy.blank_look() if looks and not has_images else 0.0
        hidden = self.policy.model.base_model(**inputs, use_cache=False).last_hidden_state + nothing  # (B, L, H)
        last = hidden[torch.arange(len(lengths), device=lengths.device), lengths - 1]  # (B, H)
        # The margin between two good answers is lost in the rounding of 16-bit floats.
        with torch.autocast(last.device.type, enabled=False):
            return linear(last.float(), self.head.weight.float(), self.head.bias.float())[:, 0]

    def token_ids(self, prompt: Prompt, text: str) -> Int[Tensor, " L"]:
        """Return the answered conversation as the model reads it, images expanded to their tokens.

        The question is taken from the encoded prompt, in which images are expanded already; only what follows it is
        tokenized, so that an image is not processed again for each answer.
        """
        encoder = self.policy.encoder
        expanded = encoder.encode(prompt).token_ids
        asked = self._tokenize(encoder.chat_text(prompt))
        answered = self._tokenize(self.chat_text(prompt, text))
        common = _common_length(asked, answered)
        num_continued = len(asked) - common
        if not torch.equal(expanded[len(expanded) - num_continued :], asked[common:]):
            raise ValueError(f"prompt {prompt.key}: the chat template changes the question once it has been answered.")
        # An answer may write the image mark, but there is no image behind it.
        tail = answered[common:]
        tail = tail[~torch.isin(tail, self._image_tokens())]
        return torch.cat([expanded[: len(expanded) - num_continued], tail])

    def chat_text(self, prompt: Prompt, text: str) -> str:
        """Return the answered conversation in the chat template, one image mark per image, closed."""
        answer = prompt.prefill + text
        has_vision = self.policy.encoder.has_vision
        conversation = [
            {"role": "user", "content": interleave(prompt) if has_vision else prompt.question},
            {"role": "assistant", "content": [{"type": "text", "text": answer}] if has_vision else answer},
        ]
        return self.policy.processor.apply_chat_template(conversation, add_generation_prompt=False, tokenize=False)

    def set_trainable(self, parts: Sequence[str]) -> None:
        """Let the head learn, and these parts of the backbone; none of them leaves a linear probe."""
        model = self.policy.model
        if parts:
            set_trainable_parts(model, parts)
        else:
            model.requires_grad_(False)
        head = model.get_output_embeddings()
        if head is not None and head.weight is not model.get_input_embeddings().weight:
            # No score depends on it: distributed training would wait for its gradient for ever.
            head.requires_grad_(False)
        self.head.requires_grad_(True)
        self.train(self.training)

    def save_pretrained(self, folder: str, *, is_writer: bool = True) -> None:
        """Write the backbone in Hugging Face format, its processor, and the head beside them.

        Args:
            folder: where to write.
            is_writer: whether this rank writes; where weights are sharded, all ranks must come here.
        """
        save_pretrained(self.policy, folder, is_writer=is_writer)
        head = {"summary.weight": whole(self.head.weight), "summary.bias": whole(self.head.bias)}
        if is_writer:
            tensors = {name: tensor.float().cpu().contiguous() for name, tensor in head.items()}
            save_file(tensors, Path(folder) / HEAD_FILE)

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
        # By identity: uids repeat across data sets.
        different = {id(prompt): prompt for prompt in prompts}
        place = {key: number for number, key in enumerate(different)}
        rows = torch.tensor([place[id(prompt)] for prompt in prompts])
        encoded = [policy.encoder.encode(prompt) for prompt in different.values()]
        return inputs | policy.image_inputs(encoded, rows, ids), is_token.sum(1)


def _common_length(one: Tensor, other: Tensor) -> int:
    """Return how many tokens two rows have in common at their start."""
    shortest = min(len(one), len(other))
    differs = (one[:shortest] != other[:shortest]).nonzero()
    return int(differs[0]) if len(differs) else shortest


class RewardModelSource:
    """Something that can build a reward model; cheap to create, loads on ``build()``."""

    def build(self) -> RewardModel:
        """Return the reward model, loaded or made, on the CPU."""
        raise TypeError(f"{type(self).__name__} must define build()")


class PretrainedRewardModel(RewardModelSource):
    """A folder (or hub name) with a backbone, its processor and ``value_head.safetensors``."""

    def __init__(self, path: str, dtype: Literal["float32", "bfloat16"] = "float32") -> None:
        """Remember where the model is.

        Args:
            path: folder in the layout of Skywork-VL-Reward, as ``save_pretrained`` writes it, or a hub name.
            dtype: of the backbone; ``bfloat16`` halves its memory, for scoring. The head is always 32-bit.
        """
        self.path, self.dtype = path, dtype

    def build(self) -> RewardModel:
        """Load head, backbone and processor.

        Raises:
            ConfigError: for a folder without config or head, and for a head that does not fit the backbone.
        """
        tensors = _read_head(_head_file(self.path), self.path)
        # Before the backbone is loaded, which may take minutes.
        _check_size(tensors["summary.weight"], tensors["summary.bias"], self.path)
        model = AutoModelForImageTextToText.from_pretrained(self.path, dtype=self.dtype, use_safetensors=True)
        policy = Policy(model, AutoProcessor.from_pretrained(self.path))
        head = nn.Linear(tensors["summary.weight"].shape[1], 1)
        head.load_state_dict({name.removeprefix("summary."): tensor for name, tensor in tensors.items()})
        return RewardModel(policy, head).eval()


class FreshRewardModel(RewardModelSource):
    """A policy's weights under a fresh head: where the training of a reward model starts."""

    def __init__(self, policy: PolicySource) -> None:
        """Remember the backbone.

        Args:
            policy: where the backbone comes from.
        """
        self.policy = policy

    def build(self) -> RewardModel:
        """Return the backbone under a head with zero bias and small weights from torch's global generator."""
        policy = self.policy.build()
        head = nn.Linear(policy.model.config.get_text_config().hidden_size, 1)
        # A final hidden state has entries of order 1: first scores are of order 1 whatever the hidden size.
        nn.init.normal_(head.weight, std=head.in_features**-0.5)
        nn.init.zeros_(head.bias)
        return RewardModel(policy, head)


def _head_file(path: str) -> str:
    """Return where the head lies, or say what is missing."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        missing = [name for name in ("config.json", HEAD_FILE) if not (folder / name).is_file()]
        if not missing:
            return str(folder / HEAD_FILE)
        raise ConfigError(
            f"path of PretrainedRewardModel is {path!r}, but there is no {' and no '.join(missing)} in that folder: a "
            f"reward model is a backbone in Hugging Face format with its head in {HEAD_FILE}."
        )
    try:
        return str(cached_file(path, HEAD_FILE))
    except OSError as error:
        raise ConfigError(
            f"path of PretrainedRewardModel is {path!r}, which is neither a folder nor a hub name under which "
            f"{HEAD_FILE} can be found."
        ) from error


def _read_head(file: str, path: str) -> dict[str, Tensor]:
    """Return the head's tensors under the names that every head has in common, whatever stands before them."""
    wanted = ("summary.weight", "summary.bias")
    with safe_open(file, framework="pt") as tensors:
        names = list(tensors.keys())
        found = {end: tensors.get_tensor(name).float() for end in wanted for name in names if name.endswith(end)}
    if len(found) == len(wanted):
        return found
    raise ConfigError(
        f"path of PretrainedRewardModel is {path!r}, whose {HEAD_FILE} holds {names}: "
        f"it needs one tensor whose name ends in {wanted[0]} and one in {wanted[1]}."
    )


def _check_size(weight: Tensor, bias: Tensor, path: str) -> None:
    hidden_size = AutoConfig.from_pretrained(path).get_text_config().hidden_size
    if weight.shape != (1, hidden_size) or bias.shape != (1,):
        raise ConfigError(
            f"path of PretrainedRewardModel is {path!r}, whose {HEAD_FILE} has a weight of shape {list(weight.shape)} "
            f"and a bias of shape {list(bias.shape)}: its backbone has hidden size {hidden_size}, so that "
            f"[1, {hidden_size}] and [1] are needed."
        )
