"""Pages of the site that lie elsewhere in the repository, and links between them and ``docs/``; a hook of mkdocs."""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "configs/README.md": "configs.md",
    "notebooks/README.md": "notebooks/index.md",
}
"""What is shown, by its path in the repository, and the path of its page."""

_LINK = re.compile(r"\[([^\[\]]*)\]\((?!https?:|data:|#)([^)#\s]+)(#[^)\s]*)?\)")
_PAGE = re.compile(r"\bdocs/([\w-]+)\.md\b")
_PAPER = re.compile(r"\barXiv:(\d{4}\.\d{5})\b")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    root = Path(config.config_file_path).parent
    for path, page in PAGES.items():
        if (root / path).exists():
            files.append(File.generated(config, page, abs_src_path=str(root / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to pages of the site, and write what they say where they lead to a file that is no page."""
    here = page.file.src_uri
    if here == "index.md":
        page.meta["hide"] = ["navigation", "toc"]
    root = Path(config.config_file_path).parent
    folder = _folder(here)

    def in_site(link: re.Match[str]) -> str:
        text, anchor = link[1], link[3] or ""
        target = normpath(folder / link[2])
        if shown := _shown(target):
            return f"[{text}]({relpath(shown, PurePosixPath(here).parent)}{anchor})"
        # A file that is not there stays a link, which mkdocs then finds dead.
        return text if (root / target).exists() else link[0]

    return _LINK.sub(in_site, markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links of the pages and papers that docstrings name."""
    if not page.file.src_uri.startswith("api/"):
        return content
    # Pieces of text and tags by turns; the sources that can be unfolded stay as they are.
    pieces = re.split(r"(<pre.*?</pre>|<[^>]+>)", content, flags=re.DOTALL)
    return "".join(piece if piece.startswith("<") else _linked(piece) for piece in pieces)


def _linked(text: str) -> str:
    text = _PAPER.sub(r'<a href="https://arxiv.org/abs/\1">arXiv:\1</a>', text)
    return _PAGE.sub(r'<a href="../\1.html">docs/\1.md</a>', text)


def _folder(page: str) -> PurePosixPath:
    """Return the folder of the repository in which the source of a page lies."""
    sources = {shown: path for path, shown in PAGES.items()}
    source = sources.get(page, page if page.startswith("notebooks/") else f"docs/{page}")
    return PurePosixPath(source).parent


def _shown(target: str) -> str | None:
    """Return the path in the site of a file of the repository; None where the site does not show it."""
    if target == "README.md":
        # The first page of the repository is that of the site.
        return "index.md"
    if target in PAGES:
        return PAGES[target]
    if target.startswith("notebooks/"):
        return re.sub(r"\.ipynb$", ".md", target) if not target.endswith(".py") else None
    return target.removeprefix("docs/") if target.startswith("docs/") else None
