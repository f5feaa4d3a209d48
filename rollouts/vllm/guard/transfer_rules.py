"""What the steps of vLLM's weight transfer may contain: numbers, names and an address, but no code."""

from collections.abc import Mapping
from typing import Any, Literal

from algorithms import DataError
from rollouts.vllm.guard.typed import check_values

_INIT: dict[str, Any] = {
    "master_address": str, "master_port": int, "rank_offset": int, "world_size": int, "packed": bool,
    "packed_buffer_size_bytes": int, "packed_num_buffers": int, "tied": dict[str, str],
}  # fmt: skip
_Type = Literal["bfloat16", "float16", "float32", "float64", "int32", "int64", "uint8", "bool"]
_UPDATE: dict[str, Any] = {"names": list[str], "dtype_names": list[_Type], "shapes": list[list[int]]}
_ARGUMENTS: dict[str, dict[str, dict[str, Any]]] = {
    "init_weight_transfer_engine": {"init_info": _INIT},
    "start_weight_update": {},
    "update_weights": {"update_info": _UPDATE},
    "finish_weight_update": {},
}


def check_step(step: str, arguments: Mapping[str, Any], max_bytes: int) -> None:
    """Refuse arguments that vLLM's own trainer would not send.

    Args:
        step: the route of the request, which is vLLM's name of the step.
        arguments: the arguments that came with the step.
        max_bytes: largest size of an update, approximately.

    Raises:
        DataError: names the first such argument.
    """
    wanted = _ARGUMENTS[step]
    check_values(step, arguments, dict.fromkeys(wanted, dict[str, Any]))
    for name, hints in wanted.items():
        if name not in arguments:
            raise DataError(f"{step} needs {name}.")
        check_values(name, arguments[name], hints)
    if step == "update_weights":
        _check_sizes(arguments["update_info"].get("shapes", []), max_bytes)


def _check_sizes(shapes: list[list[int]], max_bytes: int) -> None:
    left = max_bytes
    for shape in shapes:
        size = 1
        for extent in shape:
            if extent < 0:
                raise DataError(f"update_info: a shape must have no negative number, got {shape}.")
            size *= extent
        # No dtype needs less than one byte per number.
        left -= size
        if left < 0:
            raise DataError(f"update_info: the tensors are larger than this server takes, {max_bytes} bytes.")
