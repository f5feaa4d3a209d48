"""What the documents say against what the code does."""

import re
from pathlib import Path

import pytest

FOLDERS = ("algorithms", "models", "rollouts", "rewards", "datamodules", "lightning_modules", "callbacks", "cli")
FILES = [path for folder in FOLDERS for path in sorted(Path(folder).glob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_fits_on_a_few_screens(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300, f"{path} is too long: split it by the nouns in it"


def test_every_logged_metric_is_explained() -> None:
    logged = {
        key for path in FILES for key in re.findall(r'"((?:train|rollout|buffer|time|val)/[a-z_]+)"', path.read_text())
    }
    documented = Path("docs/metrics.md").read_text()
    assert logged
    assert sorted(key for key in logged if f"`{key}`" not in documented) == []


def test_every_top_folder_is_in_the_readme() -> None:
    readme = Path("README.md").read_text()
    assert [folder for folder in FOLDERS if f"{folder}/" not in readme] == []
