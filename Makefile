# Everything a user or CI runs. Only Python >= 3.11 and pip are needed: the first target makes .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
SEED ?= 0
export OMP_NUM_THREADS ?= 2

.PHONY: setup quickstart test check bench-mpo bench-grpo bench-memory mpo-table tau-sweep

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

bench-mpo: $(STAMP)  ## pairs per second of MPO against TRL; writes runs/bench/mpo.json
	$(BIN)/python -m benchmarks.mpo $(BENCH_FLAGS)

bench-grpo: $(STAMP)  ## completions per second of GRPO against TRL; writes runs/bench/grpo.json
	$(BIN)/python -m benchmarks.grpo $(BENCH_FLAGS)

bench-memory: $(STAMP)  ## peak memory of log-probabilities at V = 152k; writes runs/bench/logprob_memory.json
	$(BIN)/python -m benchmarks.logprob_memory

mpo-table: $(STAMP)  ## base, SFT and MPO on three seeds; writes runs/experiments/mpo_table.json
	$(BIN)/python -m experiments.mpo_table

tau-sweep: $(STAMP)  ## MPO with several thresholds; writes docs/figures/tau_sweep.png
	$(BIN)/python -m experiments.tau_sweep
