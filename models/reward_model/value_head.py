"""The file of a reward model's head, ``value_head.safetensors``, in the layout of Skywork-VL-Reward.

Shapes: H hidden size of the backbone.
"""

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PretrainedConfig
from transformers.utils.hub import cached_file

from algorithms import ConfigError
from models.loading.hub import offline_where_silent
from models.weight_stream import whole

HEAD_FILE = "value_head.safetensors"
# As in trl's value head, whose layout this is.
_WEIGHT, _BIAS = "summary.weight", "summary.bias"


def save_head(head: nn.Linear, folder: str, *, is_writer: bool) -> None:
    """Write a head in 32 bits; with sharded weights this is a collective call."""
    tensors = {_WEIGHT: whole(head.weight), _BIAS: whole(head.bias)}
    if is_writer:
        save_file({name: t.float().cpu().contiguous() for name, t in tensors.items()}, Path(folder) / HEAD_FILE)


def read_head(file: str, path: str, config: PretrainedConfig) -> dict[str, Tensor]:
    """Return the state of a head in 32 bits: ``weight`` (1, H) and ``bias`` (1,).

    Args:
        file: the head's file, from ``head_file``.
        path: folder or hub name as typed, for errors.
        config: config of the backbone.

    Raises:
        ConfigError: when the file lacks one of the tensors, or they do not fit the backbone.
    """
    weight, bias = _read(file, path)
    hidden_size = config.get_text_config().hidden_size
    # A head with several rows belongs to another kind of reward model, which returns several labels.
    if weight.shape != (1, hidden_size) or bias.shape != (1,):
        raise ConfigError(
            f"path of PretrainedRewardModel is {path!r}, whose {HEAD_FILE} has a weight of shape {list(weight.shape)} "
            f"and a bias of shape {list(bias.shape)}: its backbone has hidden size {hidden_size}, so that "
            f"[1, {hidden_size}] and [1] are needed."
        )
    return {"weight": weight, "bias": bias}


def head_file(path: str) -> str:
    """Return the head's file in a folder or under a hub name.

    Raises:
        ConfigError: when head or config of the backbone are missing.
    """
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
        with offline_where_silent():
            return str(cached_file(path, HEAD_FILE))
    except OSError as error:
        raise ConfigError(
            f"path of PretrainedRewardModel is {path!r}, which is neither a folder nor a hub name under which "
            f"{HEAD_FILE} can be found."
        ) from error


def _read(file: str, path: str) -> tuple[Tensor, Tensor]:
    """Return weight and bias."""
    with safe_open(file, framework="pt") as tensors:
        names = list(tensors.keys())
        # Training programs write different prefixes before these names, such as "v_head.".
        ends = (_WEIGHT, _BIAS)
        found = {end: tensors.get_tensor(name).float() for end in ends for name in names if name.endswith(end)}
    if len(found) == 2:
        return found[_WEIGHT], found[_BIAS]
    raise ConfigError(
        f"path of PretrainedRewardModel is {path!r}, whose {HEAD_FILE} holds {names}: "
        f"it needs one tensor whose name ends in {_WEIGHT} and one in {_BIAS}."
    )
