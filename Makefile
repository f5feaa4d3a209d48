# Everything a user or CI runs. Only Python >= 3.11 and pip are needed: the first target makes .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
SEED ?= 0
export OMP_NUM_THREADS ?= 2

.PHONY: setup quickstart test check

setup: $(STAMP)

# torch first and by itself: an unpinned torch pulled in by another package may be a far larger CUDA build.
$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $(STAMP)

quickstart: $(STAMP)  ## build the tiny policy, train it with GRPO, print before and after
	$(BIN)/python -m cli.quickstart --seed $(SEED) $(QUICKSTART_FLAGS)

test: $(STAMP)  ## the whole default test suite
	$(BIN)/python -m pytest -q

check: $(STAMP)  ## what pre-commit runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
