"""A key-value cache with room for the tokens to come: a new token is written into it, not joined to a copy of it.

``transformers``' own cache copies all keys and values for every token.
"""

from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicLayer

# Little room at a time: attention reads a cache with gaps more slowly. Measured with 24 and with 192 tokens.
_MIN_ROOM = 8


def make_roomy(cache: Any, group_size: int) -> None:
    """Repeat a cache just filled for every group, in place, and make room in the layers that grow without limit."""
    cache.layers = [_roomy(layer, group_size) for layer in cache.layers]


class RoomyLayer(DynamicLayer):
    """Keys and values that are views of larger tensors."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        """Copy what has been read, (A, heads, S, D) each."""
        super().__init__()
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._make_room(keys, values)

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write new keys and values behind the others and return them all."""
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if end > self._key_room.shape[-2]:
            self._make_room(*self._filled(start), num_new=end - start)
        self._key_room[..., start:end, :] = key_states
        self._value_room[..., start:end, :] = value_states
        self.keys, self.values = self._filled(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows."""
        keys, values = self._filled(self.get_seq_length())
        self._make_room(keys[indices], values[indices])

    def _make_room(self, keys: Tensor, values: Tensor, num_new: int = 0) -> None:
        """Move into tensors a quarter longer, or as long as the new tokens need."""
        length = keys.shape[-2]
        room = length + max(_MIN_ROOM, length // 4, num_new)
        self._key_room, self._value_room = _with_room(keys, room), _with_room(values, room)
        self.keys, self.values = self._filled(length)

    def _filled(self, length: int) -> tuple[Tensor, Tensor]:
        return self._key_room[..., :length, :], self._value_room[..., :length, :]


def _roomy(layer: Any, group_size: int) -> Any:
    layer.batch_repeat_interleave(group_size)
    # Sliding windows and states of other kinds keep their own way.
    if type(layer) is not DynamicLayer or layer.keys is None or layer.values is None:
        return layer
    return RoomyLayer(layer.keys, layer.values)


def _with_room(part: Tensor, room: int) -> Tensor:
    rows, heads, length, width = part.shape
    larger = part.new_empty(rows, heads, room, width)
    larger[..., :length, :] = part
    return larger
