# %% [markdown]
# # Vanishing advantages, and what the buffer does about them
#
# GRPO learns from groups whose completions differ in their reward. As the policy gets better, more groups are all
# right, and the batch empties. The Selective Sample Buffer fills it again with samples of earlier rollouts. This
# notebook reads finished runs and looks at both.
#
# Paper: [arXiv 2504.16656](https://arxiv.org/abs/2504.16656), section 3.3 and table 2. Pages:
# [docs/grpo.md](../docs/grpo.md#how-to-read-a-run), [docs/metrics.md](../docs/metrics.md).
#
# No model is needed. The runs in `notebooks/data/finished/` are `configs/tiny/grpo.yaml`, 150 steps, with replay and with
# `configs/ablations/replay/no_ssb.yaml`; `make notebook-runs` made them and kept a few curves of each. The notebook
# takes a few seconds.

# %%
from cli.notebook import stand_in_project

stand_in_project()

# %% [markdown]
# **Your own runs:** change the next line to `RUNS = "runs/tiny"`, and the two names below it.

# %%
RUNS = "notebooks/data/finished"
WITH, WITHOUT = "grpo", "grpo-no_ssb"

# %%
import matplotlib.pyplot as plt
import numpy as np

from algorithms import BufferConfig
from run_records import compare, draw_on, read_curves

plt.style.use("tableau-colorblind10")

comparison = compare([RUNS])
runs = {
    title: [record for found in comparison.runs[title].values() for record in found if record.command == "fit"]
    for title in (WITH, WITHOUT)
}
for title, records in runs.items():
    seeds = ", ".join(str(record.seed) for record in records)
    print(f"{title}: seeds {seeds}; {records[0].step} steps, {records[0].seconds:.0f} s each or so")


# %%
def curves(metric, *, smooth=1):
    """Return a metric of every run by title, as (step, value), each a mean over ``smooth`` points."""
    found = {}
    for title, records in runs.items():
        logged = [read_curves(record.folder, [metric]).get(metric, []) for record in records]
        window = np.ones(smooth) / smooth
        found[title] = [
            list(
                zip(
                    [point.step for point in curve][smooth - 1 :],
                    np.convolve([point.value for point in curve], window, "valid"),
                    strict=True,
                )
            )
            for curve in logged
            if len(curve) >= smooth
        ]
    return found


# %% [markdown]
# ## The signal vanishes, because the policy learns
#
# Left: the share of groups with an advantage that is not 0, over the steps of the run. Right: the accuracy of the
# same rollouts. Thin lines are seeds, thick ones their mean, bands the 95 % interval over seeds. One rollout has 32
# prompts and is noisy, so each point is a mean over ten rollouts: change `smooth`.
#
# Both methods lose their signal alike. The buffer does not stop that. It is what success looks like.

# %%
draw_on(
    plt.figure(),
    {
        "share of effective groups": curves("rollout/effective_fraction", smooth=10),
        "accuracy of rollouts": curves("rollout/accuracy", smooth=10),
    },
    x_label="optimizer steps",
)
plt.show()

# %% [markdown]
# ## What the learner gets
#
# Without the buffer the batch shrinks with the signal. With it the batch stays full, and the share that is replayed
# grows. Replayed samples are a few steps old, at most `max_age`.

# %%
draw_on(
    plt.figure(),
    {
        "samples in the batch of a rollout (full: 256)": curves("buffer/batch_samples", smooth=5),
        "share of the batch that is replayed": curves("buffer/replay_fraction", smooth=5),
    },
    x_label="optimizer steps",
)
plt.show()

# %% [markdown]
# ## Is what is replayed still good?
#
# The policy has moved since a replayed sample was drawn. The log-ratio says how far: 0 is not at all, clearly below 0
# means that the policy would hardly say this any more, and `max_age` is too large.

# %%
draw_on(
    plt.figure(),
    {
        "age of replayed samples (optimizer steps)": {WITH: curves("buffer/replay_age", smooth=5)[WITH]},
        "mean log-ratio to the policy that sampled (nats per token)": {
            "fresh": curves("train/log_ratio_fresh", smooth=5)[WITH],
            "replayed": curves("train/log_ratio_replay", smooth=5)[WITH],
        },
    },
    x_label="optimizer steps",
)
plt.show()

# %% [markdown]
# ## Does it help?
#
# On held-out pictures, from the same starting policy and the same prompts for each seed. The difference is taken seed
# by seed, so it may be clear where the bands of the two methods overlap: these show how much the seeds differ. An
# interval that holds 0 says that *these runs* do not tell the two apart. Runs are short and seeds few here;
# `docs/experiments.md` has longer ones, and notebook 6 more about reading such a table.

# %%
metrics = ["val/greedy_accuracy", "val/sampled_accuracy", "val/hallucination_rate"]
comparison = compare(
    [record.folder for records in runs.values() for record in records], baseline=WITHOUT, metrics=metrics
)
for metric in metrics:
    change = comparison.difference(WITH, metric)
    verdict = "not told apart" if change.low is None or change.low <= 0 <= change.high else "differ"
    interval = "" if change.low is None else f" [{100 * change.low:+.1f}, {100 * change.high:+.1f}]"
    print(f"{metric}: with the buffer {100 * change.mean:+.1f} points{interval}, {change.n} seeds: {verdict}")

draw_on(
    plt.figure(),
    {metric: curves(metric) for metric in ("val/sampled_accuracy", "val/greedy_accuracy")},
    x_label="optimizer steps",
)
plt.show()

# %% [markdown]
# ## How much would be replayed?
#
# The rule behind the curves, for a rollout of 256 samples: replay fills what is missing. With `replay_share` a fixed
# share of the batch is replayed instead (RePO, ExGRPO).

# %%
for effective in (256, 192, 128, 64):
    fills = BufferConfig().num_replay(num_fresh=256, num_effective=effective)
    share = BufferConfig(replay_share=0.25).num_replay(num_fresh=256, num_effective=effective)
    print(f"{effective:3} effective samples: {fills:3} replayed to fill the gap; {share:3} with replay_share=0.25")

# %% [markdown]
# ## What to change
#
# | to see | change |
# |---|---|
# | your runs | `RUNS`, `WITH` and `WITHOUT` at the top |
# | other curves | any key of [docs/metrics.md](../docs/metrics.md) in `curves(...)`; the stored runs have only some |
# | a run without preference for large advantages | `--config configs/ablations/replay/uniform_replay.yaml` |
# | DAPO's answer to the same problem | `--config configs/ablations/replay/dynamic_sampling.yaml` |
