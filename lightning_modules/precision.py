"""The dtypes of weights and buffers during training.

    weights that learn   float32, whatever ``model.policy.dtype`` says; their gradients and Adam's moments follow them
    frozen weights       ``model.policy.dtype``, or ``frozen_dtype`` of FSDP2Strategy
    buffers              as the model made them

Adam moves a weight by about the learning rate, and bfloat16 rounds away changes smaller than 2^-9 of the weight. At a
learning rate of 1e-6 it drops nearly every update, while loss and norm of the gradient look as usual. Rotary
frequencies in bfloat16 are wrong by 1.2 rad at distance 1,024, while engines and exports have them in 32 bits.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import lightning.pytorch as L
from lightning.pytorch.trainer.states import TrainerFn
from torch import nn

from algorithms import ConfigError

_LOW = ("bf16-true", "16-true")
# Text in the name of each parameter that peft adds.
_LORA = ".lora_"


def check_precision(trainer: L.Trainer | None, *, may_insist: bool = False) -> None:
    """Refuse a trainer that would convert weights that learn to 16 bits.

    Args:
        trainer: the trainer; without a trainer, or when it does not train, nothing is checked.
        may_insist: whether the message may offer the key ``model.learning.allow_low_precision``.

    Raises:
        ConfigError: names the setting and what to write instead.
    """
    if trainer is None or trainer.state.fn != TrainerFn.FITTING or trainer.precision not in _LOW:
        return
    insist = "; model.learning.allow_low_precision: true insists" if may_insist else ""
    raise ConfigError(
        f"trainer.precision is {trainer.precision}, which keeps weights that learn in 16 bits, where most updates are "
        "rounded away: write trainer.precision: bf16-mixed, and model.policy.dtype: bfloat16 for the frozen "
        f"parts{insist}."
    )


def learn_in_32_bits(module: nn.Module) -> None:
    """Convert the parameters that learn to 32 bits, in place; they may be on the meta device.

    When whole parts learn, frozen LayerNorms get 32 bits too, which are few numbers. The reason: the output of a tower
    that learns has 32 bits, and torch's LayerNorm on CPUs refuses 32-bit input with 16-bit parameters.
    """
    _to_32_bits(parameter for parameter in module.parameters() if parameter.requires_grad)
    # When only LoRA learns, training may run without autocast, and a LayerNorm then needs the dtype of its input.
    if any(p.requires_grad and _LORA not in name for name, p in module.named_parameters()):
        norms = [submodule for submodule in module.modules() if isinstance(submodule, nn.LayerNorm)]
        _to_32_bits(parameter for norm in norms for parameter in norm.parameters())


def _to_32_bits(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        if parameter.element_size() < 4:
            parameter.data = parameter.data.float()


def check_types(model: nn.Module, trainer: L.Trainer | None) -> None:
    """Refuse training without autocast in a model whose parts have different dtypes.

    Args:
        model: model whose learning weights have 32 bits.
        trainer: the trainer; without a trainer nothing is checked.

    Raises:
        ConfigError: names both settings that solve it.
    """
    # Other precisions compute in one dtype, and so does a strategy that gathers weights.
    if trainer is None or trainer.precision != "32-true":
        return
    # LoRA layers convert their input and their output, so parts with LoRA fit together.
    types = {p.dtype for name, p in model.named_parameters() if p.is_floating_point() and _LORA not in name}
    if len(types) > 1:
        names = " and ".join(sorted(str(dtype).removeprefix("torch.") for dtype in types))
        raise ConfigError(
            f"trainer.precision is 32-true and the policy's parts are {names}: what learns has 32 bits, and layers of "
            "different types cannot read each other. Write trainer.precision: bf16-mixed, or model.policy.dtype: "
            "float32."
        )


def same_types(module: nn.Module, like: nn.Module) -> None:
    """Convert parameters to the dtypes of the parameters with the same names in another module."""
    types = {name: parameter.dtype for name, parameter in like.named_parameters()}
    for name, parameter in module.named_parameters():
        # A layer inside of a LoRA layer has another name there; it is frozen, and keeps the dtype in which it was
        # loaded.
        parameter.data = parameter.data.to(types.get(name, parameter.dtype))


def converter(trainer: L.Trainer) -> Callable[[nn.Module], nn.Module]:
    """Return a function that converts a module to the trainer's precision, except for its buffers."""

    def convert(module: nn.Module) -> nn.Module:
        with buffers_kept(module):
            return trainer.precision_plugin.convert_module(module)

    return convert


@contextmanager
def buffers_kept(module: nn.Module) -> Iterator[None]:
    """Restore the dtype and the values of all buffers when the context ends, on their device at that time."""
    before = {name: buffer for name, buffer in module.named_buffers() if buffer.is_floating_point()}
    yield
    for name, buffer in module.named_buffers():
        if name in before and buffer.dtype != before[name].dtype:
            parent, _, leaf = name.rpartition(".")
            setattr(module.get_submodule(parent), leaf, before[name].to(buffer.device))
