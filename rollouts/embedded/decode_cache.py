"""A key-value cache with spare room: a new token is written into the room that is left.

``transformers``' own cache copies all keys and values for every token.

Shapes: U prompts, A rows in the batch, S tokens read so far, D width of a head.
"""

from typing import Any

from jaxtyping import Float
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicLayer, LinearAttentionCacheLayerMixin

# Least number of spare tokens; few, because attention reads a cache with gaps more slowly (measured: 24, 192 tokens).
_MIN_ROOM = 8

Layer = CacheLayerMixin | LinearAttentionCacheLayerMixin


def make_roomy(cache: Cache, group_size: int) -> None:
    """Repeat the rows of a cache ``group_size`` times, in place, and make room in layers that grow without limit."""
    cache.batch_repeat_interleave(group_size)
    cache.layers = [_roomy(layer) for layer in cache.layers]


class RoomyLayer(DynamicLayer):
    """Keys and values that are views of larger tensors."""

    def __init__(self, keys: Float[Tensor, "A heads S D"], values: Float[Tensor, "A heads S D"]) -> None:
        """Copy the keys and values of the tokens read so far."""
        super().__init__()
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._make_room(keys, values)

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write the keys and values of N new tokens (A, heads, N, D) behind the others, and return all of them."""
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if end > self._key_room.shape[-2]:
            self._make_room(*self._filled(start), num_new=end - start)
        self._key_room[..., start:end, :] = key_states
        self._value_room[..., start:end, :] = value_states
        # ``get_seq_length`` of the base class reads the length of ``keys``.
        self.keys, self.values = self._filled(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows."""
        keys, values = self._filled(self.get_seq_length())
        self._make_room(keys[indices], values[indices])

    def _make_room(self, keys: Tensor, values: Tensor, num_new: int = 0) -> None:
        """Move keys and values into tensors that are a quarter longer, or as long as the new tokens need."""
        length = keys.shape[-2]
        room = length + max(_MIN_ROOM, length // 4, num_new)
        self._key_room, self._value_room = _with_room(keys, room), _with_room(values, room)
        self.keys, self.values = self._filled(length)

    def _filled(self, length: int) -> tuple[Tensor, Tensor]:
        return self._key_room[..., :length, :], self._value_room[..., :length, :]


def _roomy(layer: Layer) -> Layer:
    """Return a layer with room; layers with a sliding window, a recurrent state or no tokens are returned unchanged."""
    # ``isinstance`` would be wrong: a layer with a sliding window is a subclass of this class.
    if type(layer) is not DynamicLayer or layer.keys is None or layer.values is None:
        return layer
    return RoomyLayer(layer.keys, layer.values)


def _with_room(states: Tensor, room: int) -> Tensor:
    """Return a copy with ``room`` tokens, the last of which are not set."""
    rows, heads, length, width = states.shape
    larger = states.new_empty(rows, heads, room, width)
    larger[..., :length, :] = states
    return larger
