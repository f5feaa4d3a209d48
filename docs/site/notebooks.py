"""The notebooks as pages, with the outputs that are stored in them; a hook of mkdocs. Nothing is run."""

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

_AFTER = "Results"
"""The entry of the menu that they follow."""


def _notebooks(config: MkDocsConfig) -> list[Path]:
    return sorted(Path(config.config_file_path).parent.glob("notebooks/*.ipynb"))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the notebooks that are there into the menu, so that a new one needs no line."""
    pages = [f"notebooks/{path.stem}.md" for path in _notebooks(config)]
    menu: Any = config.nav
    if pages:
        place = next(place for place, entry in enumerate(menu) if _AFTER in entry)
        menu.insert(place + 1, {"Notebooks": ["notebooks/index.md", *pages]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook, and the pictures in its outputs as files beside it."""
    for path in _notebooks(config):
        text, resources = MarkdownExporter().from_filename(
            str(path), resources={"unique_key": path.stem, "output_files_dir": f"{path.stem}_files"}
        )
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
        for name, content in resources["outputs"].items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    return files
