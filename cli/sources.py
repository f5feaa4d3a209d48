"""Finds the project's source files that a class depends on, from import statements alone.

No module is imported, so this takes milliseconds. An import of one name from a package is followed to the file that
defines the name: ``from models import Policy`` leads to ``models/policy.py`` and to no other file of ``models``. A text
in a source file that names another source, such as a class path or a module for a new process, is followed like an
import.
"""

import ast
import hashlib
import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

_FILE = re.compile(r"\w+\.py")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


@dataclass(frozen=True)
class _Module:
    """One source file: its path, and the dotted names that it imports or mentions."""

    path: Path
    text: str
    is_package: bool
    bindings: dict[str, str]
    """Local name to the dotted name it was imported from."""
    imports: tuple[str, ...]
    """Every dotted name that is imported, at the top of the file or inside of functions."""
    mentions: tuple[str, ...]
    """Every text that may be the dotted name of a source file or of an object in it."""


class SourceTree:
    """The source files below one folder. Each file is read once, because a process runs the code that it has loaded."""

    def __init__(self, root: Path) -> None:
        """Remember the folder; files are read when a class needs them.

        Args:
            root: the folder that holds the packages.
        """
        self.root = root
        self._modules: dict[str, _Module | None] = {}
        self._digests: dict[frozenset[str], str] = {}

    def digest(self, names: frozenset[str]) -> str:
        """Return a digest of names and texts of all files that the named classes depend on."""
        if names not in self._digests:
            digest = hashlib.sha256()
            for module in self._behind(names):
                digest.update(f"{module.path.relative_to(self.root)}\0{module.text}\0".encode())
            self._digests[names] = digest.hexdigest()
        return self._digests[names]

    def behind(self, names: Collection[str]) -> list[Path]:
        """Return the files that define the named classes and all files that these import, directly or not, sorted.

        Args:
            names: import paths such as ``models.PretrainedPolicy``, or short names such as ``PretrainedPolicy``.
                Classes of other projects, and texts that name no class, are left out.
        """
        return [module.path for module in self._behind(names)]

    def libraries(self, names: Collection[str]) -> set[str]:
        """Return the packages of other projects that these files import, Python's own left out.

        Args:
            names: names as for ``behind``.
        """
        tops = {imported.partition(".")[0] for module in self._behind(names) for imported in module.imports}
        return {top for top in tops if top and top not in sys.stdlib_module_names and self._module(top) is None}

    def _behind(self, names: Collection[str]) -> list[_Module]:
        modules: dict[Path, _Module] = {}
        waiting = [full for name in names for full in self._full_names(name)]
        while waiting:
            module = self._defining_module(waiting.pop())
            if module is not None and module.path not in modules:
                modules[module.path] = module
                waiting += [*module.imports, *module.mentions]
        return [modules[path] for path in sorted(modules)]

    def _full_names(self, name: str) -> list[str]:
        """Return the possible import paths of a name; a short name is looked up in every package."""
        if "." in name:
            return [name]
        packages = sorted(path.parent.name for path in self.root.glob("*/__init__.py"))
        return [f"{package}.{name}" for package in packages if name in self._bindings(package)]

    def _bindings(self, package: str) -> dict[str, str]:
        module = self._module(package)
        return module.bindings if module else {}

    def _defining_module(self, dotted: str) -> _Module | None:
        """Return the module that defines a dotted name; None when it belongs to another project."""
        parts = dotted.split(".")
        # The longest beginning that is a module; the rest names an object in this module.
        for length in range(len(parts), 0, -1):
            module = self._module(".".join(parts[:length]))
            if module is None:
                continue
            origin = module.bindings.get(parts[length]) if module.is_package and length < len(parts) else None
            if origin is None or origin == ".".join(parts[: length + 1]):
                return module
            # A package that only re-exports a name does not define it.
            return self._defining_module(".".join([origin, *parts[length + 1 :]]))
        return None

    def _module(self, dotted: str) -> _Module | None:
        if dotted not in self._modules:
            base = self.root.joinpath(*dotted.split("."))
            found = [path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()]
            self._modules[dotted] = _read(found[0], dotted) if found else None
        return self._modules[dotted]


def _read(path: Path, dotted: str) -> _Module:
    """Return what a file imports."""
    text = path.read_text(encoding="utf-8")
    is_package = path.name == "__init__.py"
    bindings: dict[str, str] = {}
    imports: list[str] = []
    try:
        tree = ast.parse(text)
    except SyntaxError:
        # The parser reports it, when it imports the class.
        return _Module(path, text, is_package, {}, (), ())
    package = dotted if is_package else dotted.rpartition(".")[0]
    mentions: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, dotted, is_package=is_package)
            for alias in node.names:
                # A star import may give any name, so the whole package counts as imported.
                full = origin if alias.name == "*" else f"{origin}.{alias.name}"
                imports.append(full)
                bindings[alias.asname or alias.name] = full
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if _FILE.fullmatch(node.value):
                mentions.append(f"{package}.{node.value.removesuffix('.py')}")
            elif _DOTTED.fullmatch(node.value):
                mentions.append(node.value)
    return _Module(path, text, is_package, bindings, tuple(imports), tuple(mentions))


def _origin(node: ast.ImportFrom, dotted: str, *, is_package: bool) -> str:
    """Return the full name of the module in ``from MODULE import``; leading dots count from the file's own package."""
    if not node.level:
        return node.module or ""
    parts = dotted.split(".")
    # One dot is the package itself, which is the file's own name where the file is an __init__.py.
    package = parts[: len(parts) - node.level + is_package]
    return ".".join([*package, node.module] if node.module else package)
