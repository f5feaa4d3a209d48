import pytest

from datamodules.photographs.mosaic import Mosaic, spread

FOUR = Mosaic(("bag", "shirt", "boot", "coat"), (0, 1, 2, 3))
NINE = Mosaic(("bag", "shirt", "boot", "coat", "dress", "bag", "bag", "bag", "sandal"), tuple(range(9)))


def test_every_row_of_patches_reads_like_a_sentence_about_its_cells() -> None:
    said = FOUR.patch_words(6)
    assert said[:6] == said[12:18] == ["top", "left", "bag", "top", "right", "shirt"]
    assert said[18:24] == said[30:] == ["bottom", "left", "boot", "bottom", "right", "coat"]
    said = NINE.patch_words(6)
    assert said[:6] == said[6:12] == ["top left", "bag", "top middle", "shirt", "top right", "boot"]
    assert said[12:16] == ["middle left", "coat", "center", "dress"]


def test_patches_say_what_they_show() -> None:
    for mosaic in (FOUR, NINE):
        said, shown = mosaic.patch_words(6), mosaic.patches(6)
        assert len(said) == len(shown) == 36
        assert all(name in mosaic.places or name in " ".join(mosaic.places) or name == kind
                   for name, kind in zip(said, shown, strict=True))  # fmt: skip


@pytest.mark.parametrize(
    ("place", "number", "said"),
    [
        ("top left", 1, ["top left bag"]),
        ("top left", 2, ["top left", "bag"]),
        ("top left", 3, ["top", "left", "bag"]),
        ("center", 3, ["center", "center", "bag"]),
        ("top left", 4, ["top left", "top left", "top left", "bag"]),
    ],
)
def test_a_place_and_a_name_are_spread_over_any_number_of_patches(place: str, number: int, said: list[str]) -> None:
    assert spread(place, "bag", number) == said
