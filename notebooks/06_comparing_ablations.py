# %% [markdown]
# # Comparing ablations: runs into a table with seeds and intervals
#
# One run of each of two methods says little: another seed may turn the order around. This notebook reads any number
# of runs, groups them by what was run, and says which differences the seeds support.
#
# Pages: [docs/ablations.md](../docs/ablations.md), [docs/tracking.md](../docs/tracking.md). Paper: [arXiv
# 2504.16656](https://arxiv.org/abs/2504.16656), tables 2 to 4, which give no intervals.
#
# No model is needed. The runs in `notebooks/data/finished/` are small: 150 steps of `configs/tiny/grpo.yaml` and of
# overlays, made by `make notebook-runs`. The notebook takes a few seconds.

# %%
from cli.notebook import stand_in_project

stand_in_project()

# %% [markdown]
# **Your own runs:** `python train.py sweep --config configs/tiny/grpo.yaml --baseline --seeds 0 1 2 --overlays
# configs/ablations/objective/dapo.yaml configs/ablations/objective/dr_grpo.yaml` makes some; then change the next
# line to `RUNS = ["runs/tiny"]`. It is a list of runs, or of folders that hold some.

# %%
from pathlib import Path

# The runs of notebook 7, whose names begin with grpo-grpo, have one seed each and are left out.
RUNS = sorted(Path("notebooks/data/finished").glob("grpo-[!g]*"))
BASELINE = "grpo"

# %%
import itertools

import matplotlib.pyplot as plt

from run_records import compare, difference, draw_on, mean_interval
from run_records.report import curve_panels

plt.style.use("tableau-colorblind10")
METRICS = ["val/greedy_accuracy", "val/sampled_accuracy", "val/hallucination_rate"]
comparison = compare(RUNS, baseline=BASELINE, metrics=METRICS)

# %% [markdown]
# ## What was run
#
# A run's title is its config, its overlays and its flags; runs with one title differ in their seeds. Each folder's
# `run.json` has the command line, the commit and the versions.

# %%
for title, by_seed in comparison.runs.items():
    print(f"{title}: seeds {', '.join(map(str, by_seed))}")
first = comparison.runs[BASELINE][0][0]
print("\none of them:", "train.py", " ".join(first.arguments))
print(f"{first.status}, {first.step} steps, {first.seconds:.0f} s, commit {first.git['commit'][:10]}")

# %% [markdown]
# ## The table
#
# `train.py compare` prints the same. Above: means with 95 % intervals over seeds (Student's t). Below: differences to
# the baseline, taken seed by seed where both have the same seeds, because runs of one seed start from the same model
# and see the same prompts.

# %%
print(comparison.markdown())

# %% [markdown]
# ## The same as a picture
#
# Small marks are seeds, large ones means. An interval that crosses 0 says that *these seeds* do not tell the two methods
# apart. It does not say that they are equal. And each further metric or method is one more occasion for chance: where
# there is no difference at all, one of twenty such intervals misses 0 on average.

# %%
others = [title for title in comparison.runs if title != BASELINE]
figure, grid = plt.subplots(1, len(METRICS), figsize=(12, 1.4 + 0.5 * len(others)), layout="constrained", sharey=True)
for axes, metric in zip(grid, METRICS, strict=True):
    baseline = comparison.values(BASELINE, metric)
    for row, title in enumerate(others):
        change = comparison.difference(title, metric)
        values = comparison.values(title, metric)
        seeds = [100 * (values[seed] - baseline[seed]) for seed in values if seed in baseline]
        axes.plot(seeds, [row] * len(seeds), "|", color="C1", markersize=14)
        error = (
            None if change.low is None else [[100 * (change.mean - change.low)], [100 * (change.high - change.mean)]]
        )
        axes.errorbar(100 * change.mean, row, xerr=error, fmt="o", color="C0", capsize=5)
    axes.axvline(0, color="0.4", linestyle="--", linewidth=1)
    axes.set(xlabel=f"difference to {BASELINE} (points)", title=metric, ylim=(len(others) - 0.5, -0.5))
    axes.set_yticks(range(len(others)), others)
plt.show()

# %% [markdown]
# ## Over the whole run, not only at its end
#
# A method that is ahead at the last step may have been behind all the way. The band is the 95 % interval over seeds at
# each step; one seed alone has none. Bands that overlap are no contradiction to a clear difference above: they hold what
# the seeds have in common, which the difference seed by seed leaves out.

# %%
draw_on(plt.figure(), curve_panels(comparison))
plt.show()

# %% [markdown]
# ## Paired or not
#
# Taking differences seed by seed removes what the seeds have in common: the starting model and the prompts. Below the
# same values, once paired and once as if their seeds had nothing to do with each other (Welch). If the paired
# interval is narrower, the seeds did have much in common. With three seeds either may happen by chance.

# %%
for title in others:
    for metric in METRICS[:2]:
        ours, theirs = comparison.values(title, metric), comparison.values(BASELINE, metric)
        paired = difference(ours, theirs)
        apart = difference({-1 - seed: value for seed, value in ours.items()}, theirs)
        if set(ours) == set(theirs) and paired.low is not None:
            widths = [50 * (each.high - each.low) for each in (paired, apart)]
            print(f"{title}, {metric}: +-{widths[0]:.1f} points paired, +-{widths[1]:.1f} not paired")

# %% [markdown]
# ## How many seeds would be enough?
#
# The half width of the interval, if further seeds scatter as these do. With three seeds Student's t is 2.5 standard
# deviations wide; that is the price of not knowing the deviation either. Below: the interval of the baseline's
# accuracy if there were more seeds with the same values, again and again.

# %%
values = list(comparison.values(BASELINE, METRICS[1]).values())
for number in (3, 5, 10, 20):
    repeated = list(itertools.islice(itertools.cycle(values), number))
    interval = mean_interval(repeated)
    print(f"{number:2} seeds: +-{50 * (interval.high - interval.low):.1f} points")

# %% [markdown]
# ## What to change
#
# | to see | change |
# |---|---|
# | your runs, or some of them | `RUNS` and `BASELINE` at the top |
# | other metrics | `METRICS`: any logged key of [docs/metrics.md](../docs/metrics.md) |
# | the files that `train.py sweep` writes | `run_records.write_report(comparison, Path("runs/mine"))` |
# | runs that failed or were stopped | `comparison.left_out`; `read_record(folder).told` says what happened |
