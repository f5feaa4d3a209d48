"""The README and the pages of docs/, with what they tell users to type."""

import re
from pathlib import Path

PAGES = [Path("README.md"), Path("CONTRIBUTING.md"), Path("configs/README.md"), *sorted(Path("docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def block_with(page: str, word: str, language: str) -> str:
    """The one block of a page that holds a word."""
    (block,) = (block for block in blocks(Path("docs", page), language) if word in block)
    return block


def commands(page: Path) -> list[str]:
    """The lines of the shell blocks, without comments, continued ones joined; then whatever is code in a sentence."""
    shell = "\n".join(blocks(page, "bash")).replace("\\\n", " ")
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in shell.splitlines()]
    outside = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return [line for line in lines if line] + re.findall(r"`([^`\n]+)`", outside)


def directives(page: Path) -> list[str]:
    """What a page of the API shows, by import path, the members of classes included."""
    found: list[str] = []
    for path, options in re.findall(r"^::: ([\w.]+)\n((?:    .*\n)*)", page.read_text(), re.MULTILINE):
        members = re.findall(r"members: \[(.*)\]", options)
        found += [path, *(f"{path}.{name}" for names in members for name in names.split(", "))]
    return found
