"""Pages of the site that lie elsewhere in the repository, and links between them and ``docs/``; a hook of mkdocs."""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "configs/README.md": "configs.md"}
"""What is shown, by its path in the repository, and the path of its page."""

_LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")
_NAMED_IN_DOCSTRING = re.compile(r"\bdocs/([\w-]+)\.md\b")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    root = Path(config.config_file_path).parent
    for path, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(root / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to pages of the site instead of files of the repository."""
    here = page.file.src_uri
    if here == "index.md":
        page.meta["hide"] = ["navigation", "toc"]
    places = {shown: PurePosixPath(path).parent for path, shown in PAGES.items()}
    folder = places.get(here, PurePosixPath("docs", here).parent)
    return _LINK.sub(lambda link: _in_site(here, normpath(folder / link[1])), markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links of the pages that docstrings name."""
    if not page.file.src_uri.startswith("api/"):
        return content
    # Pieces of text and tags by turns; the sources that can be unfolded stay as they are.
    pieces = re.split(r"(<pre.*?</pre>|<[^>]+>)", content, flags=re.DOTALL)
    return "".join(
        piece if piece.startswith("<") else _NAMED_IN_DOCSTRING.sub(r'<a href="../\1.html">docs/\1.md</a>', piece)
        for piece in pieces
    )


def _in_site(page: str, target: str) -> str:
    """Return the link from a page of the site to a file of the repository.

    Args:
        page: path of the page below the folder of pages.
        target: path of the file in the repository.
    """
    # The first page of the repository is that of the site.
    shown = "index.md" if target == "README.md" else PAGES.get(target, target.removeprefix("docs/"))
    return relpath(shown, PurePosixPath(page).parent)
