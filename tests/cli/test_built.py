"""What is built on first use is built anew when anything that made it has changed."""

import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

import cli.built
from algorithms import ConfigError
from cli.built import built_folder, referred_folder
from cli.given.settings import read_config, texts
from cli.sources import SourceTree

ADAPTER = "configs/tiny/stages/adapter.yaml"
# Of each part of the project that makes the aligned policy, also of those that build what it is made from.
BEHIND = {
    "callbacks/export.py",
    "datamodules/demonstrations.py",
    "lightning_modules/alignment_module.py",
    "models/assembly/image_tokens.py",
    "models/sources.py",
}
NOT_BEHIND = {"rollouts/vllm/engine.py", "lightning_modules/grpo_module.py", "callbacks/loop/monitor.py", "cli/app.py"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the sources."""
    for package in {path.parent for path in Path.cwd().glob("*/__init__.py")}:
        shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def name(root: Path, config: str = ADAPTER) -> str:
    return built_folder(config, 0, SourceTree(root)).name


def sources(root: Path, config: str = ADAPTER) -> set[str]:
    names = set(texts(read_config(config).content))
    return {str(path.relative_to(root)) for path in SourceTree(root).behind(names)}


@pytest.mark.long
def test_editing_any_source_that_a_build_imports_changes_its_name(root: Path) -> None:
    before = name(root)
    assert name(root) == before
    found = sources(root)
    assert found >= BEHIND
    for file in sorted(found):
        text = (root / file).read_text()
        (root / file).write_text(text + "\n")
        assert name(root) != before, file
        (root / file).write_text(text)
    assert name(root) == before


def test_a_program_that_a_reward_starts_by_its_path_is_behind_the_pairs(root: Path) -> None:
    pairs = "configs/tiny/stages/pairs.yaml"
    assert "rewards/answers/symbols/worker_program.py" in sources(root, pairs)


def test_editing_any_other_source_does_not(root: Path) -> None:
    before, behind = name(root), sources(root)
    for upstream in ("vision_tower", "language_model"):
        behind |= sources(root, f"configs/tiny/stages/{upstream}.yaml")
    unrelated = {str(path.relative_to(root)) for path in root.rglob("*.py")} - behind
    assert unrelated >= NOT_BEHIND
    for file in unrelated:
        if not file.endswith("__init__.py"):
            (root / file).write_text("changed = True\n")
    assert name(root) == before


def test_editing_a_source_of_what_a_config_is_built_from_changes_its_name(root: Path) -> None:
    before = name(root)
    with (root / "lightning_modules/vision/vision_tower_module.py").open("a") as file:
        file.write("\n")
    assert name(root) != before


def test_the_name_follows_text_seed_and_library_versions(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "own.yaml").write_text(Path(ADAPTER).read_text())
    own = str(root / "own.yaml")
    before = name(root, own)
    assert built_folder(own, 1, SourceTree(root)).name != before
    for changed in ("torch", "numpy", "pillow", "lightning", "tokenizers"):
        versions = lambda project, changed=changed: "0" if project == changed else version(project)  # noqa: E731
        monkeypatch.setattr(cli.built, "version", versions)
        assert name(root, own) != before, changed
        monkeypatch.undo()
    (root / "own.yaml").write_text(f"# changed\n{Path(ADAPTER).read_text()}")
    assert name(root, own) != before


def test_a_moved_config_is_named_where_it_is_now() -> None:
    with pytest.raises(ConfigError, match=r"built_by:configs/tiny/adapter.yaml.*configs/tiny/stages/adapter.yaml"):
        built_folder("configs/tiny/adapter.yaml", 0)


def test_a_reference_in_a_config_stands_for_the_folder_of_its_seed_or_of_the_runs() -> None:
    assert referred_folder(f"${{built_by:{ADAPTER},${{seed_everything}}}}", 4) == built_folder(ADAPTER, 4)
    assert referred_folder(f"${{built_by:{ADAPTER},2}}", 4) == built_folder(ADAPTER, 2)
    assert referred_folder("runs/mine/export", 4) is None
