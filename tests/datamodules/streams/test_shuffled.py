from itertools import islice

from datamodules.streams.shuffled import CountedLoader, ShuffledRows


def order(*, rank: int = 0, world_size: int = 1, purpose: str = "prompt order") -> ShuffledRows:
    return ShuffledRows(12, per_batch=2, seed=3, rank=rank, world_size=world_size, purpose=purpose)


def test_a_pass_over_the_data_shows_every_row_once_across_ranks() -> None:
    streams = [order(rank=rank, world_size=2) for rank in (0, 1)]
    shown = [row for number in range(3) for stream in streams for row in stream.rows(number)]
    assert sorted(shown) == list(range(12))


def test_the_rows_of_a_batch_do_not_depend_on_what_was_asked_before() -> None:
    in_order = [order().rows(number) for number in range(20)]
    stream = order()
    assert [stream.rows(number) for number in (19, 0, 7)] == [in_order[19], in_order[0], in_order[7]]


def test_passes_and_purposes_have_orders_of_their_own() -> None:
    first, second = ([row for n in range(p * 6, p * 6 + 6) for row in order().rows(n)] for p in (0, 1))
    other = [row for n in range(6) for row in order(purpose="pairs").rows(n)]
    assert sorted(first) == sorted(second) == sorted(other)
    assert first != second
    assert first != other


def test_a_batch_larger_than_the_data_goes_on_with_the_next_pass() -> None:
    rows = ShuffledRows(3, per_batch=7, seed=0, rank=0, world_size=1).rows(0)
    assert sorted(rows[:3]) == sorted(rows[3:6]) == [0, 1, 2]


def test_a_loader_resumes_at_the_batch_after_the_last_handed_out() -> None:
    straight = CountedLoader(str)
    assert list(islice(straight, 4)) == ["0", "1", "2", "3"]
    resumed = CountedLoader(str)
    resumed.load_state_dict(straight.state_dict())
    assert next(iter(resumed)) == "4"
