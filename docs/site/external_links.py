"""Lists the links that leave the site in ``site/external_links.txt``, for whoever checks them; a hook of mkdocs.

They are not fetched: whether another site answers today says nothing about these pages.
"""

import logging
import re
from collections import defaultdict
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

logger = logging.getLogger("mkdocs.external_links")
_pages: dict[str, set[str]] = defaultdict(set)


def on_pre_build(config: MkDocsConfig) -> None:
    """Forget the build before, when pages are served while they are written."""
    _pages.clear()


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Remember the links of a page."""
    for url in re.findall(r'href="(https?://[^"]+)"', content):
        _pages[url].add(page.file.src_uri)


def on_post_build(config: MkDocsConfig) -> None:
    """Write each link with the pages that have it."""
    lines = [f"{url}  {' '.join(sorted(pages))}\n" for url, pages in sorted(_pages.items())]
    Path(config.site_dir, "external_links.txt").write_text("".join(lines))
    logger.info("%d links leave the site, listed in %s/external_links.txt and not fetched", len(lines), config.site_dir)
