# %% [markdown]
# # Hallucination, reward hacking, and the loop that holds it
#
# A preference model with a fault (it likes many claims, true or not) is added to the reward. The policy finds the
# fault: the reward rises, and so does the share of claims that the picture does not support. Then a monitor measures
# that share and a calibrator moves the weight of the preference reward.
#
# Paper: [arXiv 2504.16656](https://arxiv.org/abs/2504.16656), abstract and section 4: too much reward brings
# hallucinations, and thresholds have to be calibrated; how, it does not say. Page:
# [docs/hallucination.md](../docs/hallucination.md).
#
# No model is needed. The runs and answers in `notebooks/data/` were made by `make notebook-runs`: 150 steps of
# `configs/tiny/grpo.yaml` alone, with `grpo_biased.yaml`, and with `grpo_calibrated.yaml` on top. The notebook takes
# a few seconds.

# %%
from cli.notebook import stand_in_project

stand_in_project()

# %% [markdown]
# **Your own runs:** change the next lines to `RUNS = "runs/tiny"` and the titles of your runs. One seed of each is read:
# what one run shows is what can happen, not what happens on average. `docs/experiments.md` has three seeds.

# %%
RUNS = "notebooks/data/finished"
METHODS = {
    "no preference": "grpo",
    "raw": "grpo-grpo_biased",
    "calibrated": "grpo-grpo_biased-grpo_calibrated-preference.weight=1.0",
}
SEED = 0

# %%
import json
from pathlib import Path

import matplotlib.pyplot as plt

from algorithms.calibration import Bounds, Evidence, Reading, TargetRate
from algorithms.intervals import wilson_interval
from hallucination import ClaimGrammar, find_claims
from run_records import compare, draw_on, read_curves

plt.style.use("tableau-colorblind10")
found = compare([RUNS]).runs
runs = {
    name: next(record for record in found[title][SEED] if record.command == "fit") for name, title in METHODS.items()
}
for name, record in runs.items():
    print(f"{name}: {record.step} steps, seed {record.seed}, {record.seconds:.0f} s")


# %%
def curves(metric):
    """Return the curve of a metric by method, as (step, value)."""
    logged = {name: read_curves(runs[name].folder, [metric]).get(metric, []) for name in METHODS}
    return {name: [[(point.step, point.value) for point in curve]] for name, curve in logged.items()}


# %% [markdown]
# ## What hacking looks like
#
# The score of the preference model rises, as it should with a policy that gets better. Look at the two panels below
# it before believing it: with the raw score the hallucination rate rises too, and accuracy does not. The number of
# claims per completion shows *how* it is hacked.

# %%
draw_on(
    plt.figure(),
    {
        "mean score of the faulty preference model": curves("rollout/preference"),
        "hallucination rate (share of claims, validation)": curves("val/hallucination_rate"),
        "sampled accuracy (validation)": curves("val/sampled_accuracy"),
        "claims per completion (validation)": curves("val/claims_per_completion"),
    },
    x_label="optimizer steps",
)
plt.show()

# %% [markdown]
# ## In words
#
# What the three policies answer to the same test questions, at the end, and which of their claims the judge
# did not find in the picture. Shown are the first questions about which the raw policy makes such a claim.

# %%
answers = {
    name: [json.loads(line) for line in Path(f"notebooks/data/answers/{title}-s{SEED}.jsonl").read_text().splitlines()]
    for name, title in METHODS.items()
}
hacked = [
    number
    for number, row in enumerate(answers["raw"])
    if not all(claim["is_supported"] for claim in row["completions"][0]["claims"])
]
for number in hacked[:3]:
    print(f"\n{answers['raw'][number]['question']} (answer {answers['raw'][number]['answer']})")
    for name in METHODS:
        completion = answers[name][number]["completions"][0]
        wrong = [claim["thing"] for claim in completion["claims"] if not claim["is_supported"]]
        print(f"    {name}: {completion['text']}\n        not in the picture: {', '.join(wrong) or 'nothing'}")

# %% [markdown]
# ## What the monitor reads
#
# Every ten steps the monitor asks the same 96 questions twice and counts claims. A rate of few claims is noisy, so it
# comes with an interval (Wilson's), and the calibrator only acts when the whole interval is on one side of its band.
#
# The calibrated run starts with the weight of the raw one, where hacking begins. The overlay by itself starts at
# weight 0, and raises it only while the rate stays low.

# %%
logged = read_curves(
    runs["calibrated"].folder,
    ["hallucination/rate", "hallucination/claims_per_completion", "calibration/threshold", "rollout/preference"],
)
num_completions = 96 * 2
readings, last_step = [], 0
for rate, claims in zip(logged["hallucination/rate"], logged["hallucination/claims_per_completion"], strict=True):
    scores = [point.value for point in logged["rollout/preference"] if last_step <= point.step < rate.step]
    reward, last_step = sum(scores) / max(1, len(scores)), rate.step
    readings.append(Reading(rate.step, rate.value, reward, trials=round(claims.value * num_completions)))
intervals = [wilson_interval(reading.rate, reading.trials) for reading in readings]

figure, (above, below) = plt.subplots(2, 1, figsize=(8, 5.2), layout="constrained", sharex=True)
steps = [reading.step for reading in readings]
above.errorbar(
    steps,
    [reading.rate for reading in readings],
    yerr=[
        [reading.rate - low for reading, (low, _) in zip(readings, intervals, strict=True)],
        [high - reading.rate for reading, (_, high) in zip(readings, intervals, strict=True)],
    ],
    fmt="o",
    capsize=4,
    label="monitored rate, 95 % interval",
)
above.axhspan(0.11, 0.13, color="C1", alpha=0.35, label="target 12 % with its band")
above.set(ylabel="share of claims", ylim=(0, None))
above.legend(fontsize=8)
below.step(
    [point.step for point in logged["calibration/threshold"]],
    [point.value for point in logged["calibration/threshold"]],
    where="post",
    color="C2",
    linewidth=2,
)
below.set(xlabel="optimizer steps", ylabel="weight of the preference reward")
plt.show()

# %% [markdown]
# ## Deciding by hand
#
# The calibrator is a pure function of what was read. Here it goes through the readings of that run again and says why
# it does what it does. Change the target, the step or `recovery`, and see what it *would* have decided; what the
# policy would then have done, only a run can tell.

# %%
strategy = TargetRate(target=0.12, band=0.01, step=0.1, recovery=0.25, bounds=Bounds(low=0.0, high=1.0))
weight = 1.0
for number, reading in enumerate(readings):
    decision = strategy.decide(weight, Evidence(readings[: number + 1]), sign=-1)
    print(f"step {reading.step:3}: weight {weight:.3f} -> {decision.threshold:.3f}   {decision.reason}")
    weight = decision.threshold

# %% [markdown]
# ## A falling rate is not enough
#
# A policy that says nothing has a rate of 0. So look at coverage, the share of the true things that are mentioned,
# before you call a falling rate progress. Here one answer that says much and one that says nothing, about the same
# picture.

# %%
facts = ("red-star", "blue-circle", "blue-square")
grammar = ClaimGrammar(mention=r"\b(?:red|green|blue|yellow)-(?:circle|square|triangle|star)\b", clause_end="=")
for text in ("look blue : blue-circle blue-square blue-star = 3", "look blue : none = 0"):
    claims = find_claims(text, facts, grammar)
    false = sum(not claim.is_supported for claim in claims)
    print(f"{text:52} {false} of {len(claims)} claims false, {len(claims) - false} of {len(facts)} facts mentioned")

draw_on(
    plt.figure(),
    {
        "coverage (share of the true things mentioned)": curves("val/coverage"),
        "hallucination rate (share of claims, validation)": curves("val/hallucination_rate"),
    },
    x_label="optimizer steps",
)
plt.show()

# %% [markdown]
# ## What to change
#
# | to see | change |
# |---|---|
# | a fixed cap in place of the loop | `--config configs/ablations/loop/fixed_threshold.yaml` |
# | a strategy that needs no target | `algorithms.calibration.BackOff(...)` in the cell above |
# | the loop for MPO, where it moves tau | `configs/tiny/overlays/mpo_calibrated.yaml` |
# | your own probes and judge | [docs/hallucination.md](../docs/hallucination.md); notebook 5 |
