"""Every notebook runs from scratch, in Jupyter's kernel and as a script, and is what its source says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.notebooks.test_notebooks import SOURCES, cells

pytestmark = pytest.mark.notebooks


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_committed_notebook_is_made_from_its_source(source: Path) -> None:
    from notebooks.run_all import read

    committed = [(cell["cell_type"], "".join(cell["source"])) for cell in cells(source)]
    assert committed == [(cell.cell_type, cell.source) for cell in read(source).cells], "run make notebooks"


# One test for both: notebooks write to runs/notebooks.
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_notebook_runs_in_jupyter_and_as_a_script_without_a_warning(source: Path) -> None:
    from notebooks.run_all import executed

    shown = [output for cell in executed(source).cells for output in cell.get("outputs", [])]
    assert [output.text for output in shown if output.get("name") == "stderr"] == []
    assert any("image/png" in output.get("data", {}) for output in shown)
    script = subprocess.run(
        [sys.executable, str(source)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path.cwd()) + os.pathsep + os.environ.get("PYTHONPATH", "")},
    )
    assert (script.returncode, script.stderr) == (0, "")
    assert len(script.stdout.splitlines()) > 3
