"""Which files a class depends on, read from import statements."""

from pathlib import Path

import pytest

from cli.sources import SourceTree

FILES = {
    "shop/__init__.py": "from shop.fruit import Apple\nfrom shop.tools import *\n",
    "shop/fruit.py": "import torch\nfrom soil import Earth as E\n\nclass Apple: ...\n",
    "shop/tools.py": "class Knife: ...\n",
    "soil/__init__.py": "from .deep import Earth\nfrom .deep.stones import Stone\n",
    "soil/deep/__init__.py": "from .ground import Earth\n",
    "soil/deep/ground.py": "def later():\n    from ..water import Drop\n",
    "soil/deep/stones.py": "import soil.deep.ground\n",
    "soil/water.py": "",
    "mine.py": "import shop.fruit\nclass Own: ...\n",
    "broken.py": "class (",
    "worker/__init__.py": "from worker.pool import Pool\n",
    "worker/pool.py": "import PIL.Image, os\nPROGRAM = os.path.join('x', 'program.py')\nclass Pool: ...\n",
    "worker/program.py": "import sympy\n",
    "starter.py": "COMMAND = ['-m', 'soil.deep.stones']\nDEFAULT = 'shop.Apple'\nclass Starter: ...\n",
}
APPLE = ["shop/fruit.py", "soil/deep/ground.py", "soil/water.py"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["shop.Apple"], APPLE),
        (["Apple"], APPLE),
        (["shop.fruit.Apple"], APPLE),
        (["soil.Stone"], ["soil/deep/ground.py", "soil/deep/stones.py", "soil/water.py"]),
        (["mine.Own"], ["mine.py", *APPLE]),
        (["worker.Pool"], ["worker/pool.py", "worker/program.py"]),
        (
            ["starter.Starter"],
            [*APPLE[:1], "soil/deep/ground.py", "soil/deep/stones.py", "soil/water.py", "starter.py"],
        ),
        (["torch.nn.Linear", "nowhere.Thing", "meta.json", "Unknown", "broken.Thing"], ["broken.py"]),
    ],
)
def test_a_class_leads_to_its_file_and_to_all_that_this_file_imports(root: Path, names, files) -> None:
    assert [str(path.relative_to(root)) for path in SourceTree(root).behind(names)] == files


def test_a_name_that_a_package_passes_on_unnamed_leads_to_all_of_the_package(root: Path) -> None:
    found = {str(path.relative_to(root)) for path in SourceTree(root).behind(["shop.Knife"])}
    assert found == {"shop/__init__.py", "shop/tools.py", *APPLE}


def test_the_digest_follows_the_sources_behind_the_names_and_no_others(root: Path) -> None:
    names = frozenset(["shop.Apple"])
    before = SourceTree(root).digest(names)
    assert SourceTree(root).digest(names) == before
    (root / "shop/tools.py").write_text("x = 1\n")
    assert SourceTree(root).digest(names) == before
    for name in APPLE:
        (root / name).write_text(FILES[name] + "\n")
        assert SourceTree(root).digest(names) != before
        (root / name).write_text(FILES[name])


def test_libraries_are_what_the_sources_behind_a_class_import_of_others(root: Path) -> None:
    tree = SourceTree(root)
    assert tree.libraries(["worker.Pool"]) == {"PIL", "sympy"}
    assert tree.libraries(["shop.Apple"]) == {"torch"}
    assert tree.libraries(["soil.Stone"]) == set()
