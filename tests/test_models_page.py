"""The page about models names what is tried, and the test that tries it."""

import re
from pathlib import Path

from models.families import FAMILIES, TRIED_LANGUAGE_MODELS

ROWS = dict(re.findall(r"^\| `(\w+)` \|.*\| `([\w/.]+)` \|$", Path("docs/models.md").read_text(), re.MULTILINE))


def test_the_table_names_exactly_the_types_that_are_tried() -> None:
    assert set(ROWS) == {*FAMILIES, *TRIED_LANGUAGE_MODELS}


def test_the_test_of_each_type_is_there_and_holds_a_model_of_it() -> None:
    from tests.models.families import FAMILIES as MODELS
    from tests.models.families import family
    from tests.models.test_language_models import CONFIGS

    held = {
        "tests/models/test_families.py": {family(name).model.config.model_type for name in MODELS},
        "tests/models/test_language_models.py": set(CONFIGS),
    }
    assert all(kind in held[test] for kind, test in ROWS.items())
