"""Writes all layouts below the folder that the command line names."""

import sys
from pathlib import Path

from tests.datamodules.public_layouts import LAYOUTS, write_layout

for preset in LAYOUTS:
    sys.stdout.write(f"{write_layout(preset, Path(sys.argv[1]))}\n")
