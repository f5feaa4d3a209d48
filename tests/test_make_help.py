"""``make help`` leads to every target."""

import re
import subprocess
from pathlib import Path


def test_make_help_lists_every_target_with_what_it_is_for() -> None:
    makefile = Path("Makefile").read_text().replace("\\\n", " ")
    targets = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split()
    listed = subprocess.run(["make", "help"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert {line.split()[1] for line in listed} == set(targets)
    assert [line for line in listed if len(line.split()) < 4] == []
