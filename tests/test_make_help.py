"""``make help`` leads to every target."""

import os
import re
import subprocess
from pathlib import Path


def test_make_help_lists_every_target_with_what_it_is_for() -> None:
    targets = re.findall(r"^([a-z-]+):", Path("Makefile").read_text(), re.MULTILINE)
    # Under an outer make that announces its folders, its flags would make this one announce them too.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    }
    printed = subprocess.run(["make", "help"], capture_output=True, text=True, check=True, env=environment).stdout
    listed = printed.splitlines()
    assert {line.split()[1] for line in listed} == set(targets)
    assert [line for line in listed if len(line.split()) < 4] == []
