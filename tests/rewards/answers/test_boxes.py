r"""Finding \boxed{...} with matched braces."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.answers.boxes import find_boxes


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("no box at all", []),
        (r"\boxed{3}", ["3"]),
        (r"so \boxed{ 3 } or \boxed{4}.", [" 3 ", "4"]),
        (r"\boxed{\frac{1}{2}}", [r"\frac{1}{2}"]),
        (r"\boxed{\boxed{3}}", [r"\boxed{3}"]),
        (r"\boxed {3}", ["3"]),
        (r"\boxed{}", [""]),
        (r"\boxed{\{1, 2\}} }", [r"\{1, 2\}"]),
        (r"\boxed{\{} and \boxed{2}", [r"\{", "2"]),
        (r"} { \boxed{3} {", ["3"]),
        (r"\boxed{12", [None]),
        (r"\boxed{1} \boxed{12", ["1", None]),
        (r"boxed{3} \boxes{3} \boxedx{3}", []),
        (r"so \fbox{3} it is", ["3"]),
        (r"\boxed 5", ["5"]),
        (r"\boxed 12.5.", ["12.5"]),
        (r"\boxed -3 or \boxed B", ["-3", "B"]),
        (r"\boxed \frac{1}{2}", []),
        ("\\boxed{1\n2}", ["1\n2"]),
    ],
)
def test_boxes_are_found_by_their_braces(text: str, boxes: list[str | None]) -> None:
    assert find_boxes(text) == boxes


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.recursive(st.sampled_from(["1", "x", r"\{", r"\frac"]), lambda inner: st.lists(inner, max_size=3)))
def test_any_balanced_content_comes_back_whole(tree: object) -> None:
    def write(node: object) -> str:
        return "{" + "".join(map(write, node)) + "}" if isinstance(node, list) else str(node)

    assert find_boxes(rf"so \boxed{{{write(tree)}}} it is") == [write(tree)]


@pytest.mark.parametrize(
    "piece", [r"\boxed{", r"\boxed", r"\boxed   ", r"\boxed 1", r"\fbox{", "{", "}", "\\", "a", r"\boxed{1}"]
)
def test_even_a_degenerate_completion_of_64k_tokens_is_read_in_one_pass(piece: str) -> None:
    # A quadratic search would need hours for this.
    assert len(find_boxes(piece * 200_000)) <= 200_000
