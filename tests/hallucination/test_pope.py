"""Which objects POPE asks about."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.errors import ConfigError
from hallucination.pope import POPE_SPLITS, PopeSplit, Probe, build_probes, check_template, probe_question

# Images with each object: cat 3, dog 3, bus 2, tie 1, cup 1.
IMAGES = [["cat", "dog", "cat"], ["cat", "dog", "bus"], ["cat", "tie"], ["dog", "bus"], ["cup"]]
ANNOTATED = st.lists(st.lists(st.sampled_from("abcdefg"), max_size=6), max_size=6)


def absent(probes: list[Probe], image: int) -> list[str]:
    return [probe.name for probe in probes if probe.image == image and not probe.is_there]


def test_popular_probes_ask_for_the_most_frequent_absent_objects() -> None:
    probes = build_probes(IMAGES, "popular")
    assert absent(probes, 0) == ["bus", "cup"]  # cup and tie are as frequent: the alphabet decides
    assert absent(probes, 1) == ["cup", "tie"]  # a third true object finds no further object
    assert absent(probes, 2) == ["dog", "bus"]
    assert absent(probes, 4) == ["cat"]


def test_adversarial_probes_ask_for_what_usually_stands_beside_the_true_object() -> None:
    # Beside the knife stands the fork twice, the cup once, the cat never, though cup and cat are more frequent.
    images = [
        ["knife"],
        ["knife", "fork"],
        ["knife", "fork", "cup"],
        ["cup"],
        ["cup"],
        ["cat"],
        ["cat"],
        ["cat"],
        ["cat"],
    ]
    asked = [absent(build_probes(images, "adversarial", seed=seed), 0) for seed in range(5)]
    assert asked == [["fork"]] * 5
    assert absent(build_probes(images, "popular"), 0) == ["cat"]


def test_adversarial_probes_of_an_object_that_stands_alone_are_random() -> None:
    asked = {absent(build_probes(IMAGES, "adversarial", seed=seed), 4)[0] for seed in range(40)}
    assert asked == {"cat", "dog", "bus", "tie"}


def test_random_probes_ask_for_any_absent_object_alike() -> None:
    counts: Counter[str] = Counter()
    for seed in range(300):
        counts.update(absent(build_probes(IMAGES, "random", num_pairs=1, seed=seed), 4))
    assert set(counts) == {"cat", "dog", "bus", "tie"}
    assert min(counts.values()) > 45


@settings(max_examples=80, deadline=None, derandomize=True)
@given(ANNOTATED, st.sampled_from(POPE_SPLITS), st.integers(1, 4), st.integers(0, 3))
def test_half_of_the_right_answers_are_yes_and_all_are_right(
    images: list[list[str]], split: PopeSplit, num_pairs: int, seed: int
) -> None:
    probes = build_probes(images, split, num_pairs=num_pairs, seed=seed)
    assert all(probe.is_there == (probe.name in images[probe.image]) for probe in probes)
    assert [probe.is_there for probe in probes] == [True, False] * (len(probes) // 2)
    asked = [(probe.image, probe.name) for probe in probes]
    assert len(set(asked)) == len(asked)
    everything = {name for shown in images for name in shown}
    for image, shown in enumerate(images):
        num_true, num_false = len(set(shown)), len(everything - set(shown))
        assert len([p for p in probes if p.image == image]) == 2 * min(num_pairs, num_true, num_false)


def test_the_splits_differ_in_absent_objects_only() -> None:
    true_objects = [
        [p.name for p in build_probes(IMAGES, split, num_pairs=1, seed=3) if p.is_there] for split in POPE_SPLITS
    ]
    assert true_objects[0] == true_objects[1] == true_objects[2]


def test_probes_are_a_function_of_the_seed() -> None:
    many = [list("abcdefgh"[i : i + 4]) for i in range(5)] * 4
    assert build_probes(many, "random", seed=1) == build_probes(many, "random", seed=1)
    assert build_probes(many, "random", seed=1) != build_probes(many, "random", seed=2)


def test_true_objects_are_drawn_and_not_the_first_of_the_annotation() -> None:
    images = [list("abcdef"), ["g"]]
    drawn = {build_probes(images, "popular", num_pairs=1, seed=seed)[0].name for seed in range(40)}
    assert len(drawn) > 3


def test_an_image_that_shows_everything_is_not_asked_about() -> None:
    assert build_probes([["a", "b"], ["a", "b"]], "random") == []
    assert build_probes([], "popular") == []


def test_the_article_fits_the_object_and_leaves_the_template_alone() -> None:
    assert probe_question("umbrella") == "Is there an umbrella in the image?"
    assert probe_question("dog") == "Is there a dog in the image?"
    assert probe_question("red-star", "any {object} ?") == "any red-star ?"


@pytest.mark.parametrize("template", ["Is there one?", "Is there {a} thing?", "{object} {color}", "{object} {", "{}"])
def test_a_template_that_asks_about_no_object_is_refused(template: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.source\.template"):
        check_template(template, "data.source.template")


def test_less_than_one_pair_is_refused() -> None:
    with pytest.raises(ConfigError, match="num_pairs must be at least 1, got 0"):
        build_probes(IMAGES, "random", num_pairs=0)
