import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from rollouts.embedded.decode_cache import RoomyLayer, make_roomy


def tokens(rows: int, length: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 2, length, 4, generator=generator), torch.randn(rows, 2, length, 4, generator=generator)


def test_a_roomy_layer_holds_what_transformers_own_layer_holds_also_after_rows_leave() -> None:
    ours, theirs = RoomyLayer(*tokens(3, 5, 0)), DynamicLayer()
    theirs.update(*tokens(3, 5, 0))
    rows = 3
    for step in range(40):
        if step == 15:
            keep = torch.tensor([0, 2])
            ours.batch_select_indices(keep)
            theirs.batch_select_indices(keep)
            rows = 2
        new = tokens(rows, 1, step + 1)
        for mine, other in zip(ours.update(*new), theirs.update(*new), strict=True):
            assert torch.equal(mine, other)
        assert ours.get_seq_length() == theirs.get_seq_length()


def test_more_tokens_at_once_than_there_is_room_for_are_kept() -> None:
    layer = RoomyLayer(*tokens(1, 5, 0))
    new = tokens(1, 200, 1)
    keys, _ = layer.update(*new)
    assert torch.equal(keys[..., 5:, :], new[0])


def test_most_tokens_are_written_without_copying_the_others() -> None:
    layer = RoomyLayer(*tokens(1, 100, 0))
    places = [layer.update(*tokens(1, 1, step))[0].data_ptr() for step in range(20)]
    assert len(set(places)) == 1


def test_the_cache_of_a_prompt_is_repeated_for_its_group() -> None:
    cache = DynamicCache()
    keys, values = tokens(2, 5, 0)
    cache.update(keys, values, 0)
    make_roomy(cache, 3)
    assert torch.equal(cache.layers[0].keys, keys.repeat_interleave(3, dim=0))
    assert torch.equal(cache.layers[0].values, values.repeat_interleave(3, dim=0))
