# %% [markdown]
# # MPO's three losses, the shift and the threshold, by hand on ten pairs
#
# Mixed Preference Optimization asks three things of a preference pair:
#
# | loss | question | weight |
# |---|---|---|
# | preference (DPO) | is the chosen completion likelier than the rejected one, compared with the reference? | 0.8 |
# | quality (BCO) | is each completion good *by itself*, compared with a shift delta? | 0.2 |
# | generation (NLL) | is the chosen completion likely at all? | 1 |
#
# Paper: [arXiv 2504.16656](https://arxiv.org/abs/2504.16656), equations 2 to 5, and section 4 for the threshold.
# Page: [docs/mpo.md](../docs/mpo.md). Code:
# [`algorithms/preferences/mixed_preference.py`](../algorithms/preferences/mixed_preference.py).
#
# No model is needed. The ten pairs in `notebooks/data/ten_pairs.json` are completions of the tiny policy, with their
# log-probabilities before and after 100 steps of MPO, and the scores of a preference reward model; `make
# notebook-runs` wrote them. The notebook takes a few seconds.

# %%
from cli.notebook import stand_in_project

stand_in_project()

# %%
import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from algorithms import (
    MPOConfig,
    PairSelection,
    PreferencePair,
    Prompt,
    RewardShift,
    implicit_rewards,
    mpo_loss,
    select_pairs,
)
from algorithms.preferences.mixed_preference import preference_loss, quality_loss

plt.style.use("tableau-colorblind10")

rows = json.loads(Path("notebooks/data/ten_pairs.json").read_text())
for number, row in enumerate(rows[:3]):
    print(f"pair {number}, {row['kind']}: {row['question'].removeprefix('<image>').strip()} (answer {row['answer']})")
    print(f"    chosen:   {row['chosen']}\n    rejected: {row['rejected']}")

# %% [markdown]
# ## Implicit rewards
#
# `r = beta (log pi(y) - log pi_0(y))`: how much likelier a completion has become than it was under the reference. At
# the start policy and reference are the same, so every r is 0. `beta` is the factor; try 0.5.

# %%
config = MPOConfig(beta=0.1)
before = torch.tensor([row["logps_before"] for row in rows])  # (10, 2) in nats: chosen, rejected
after = torch.tensor([row["logps_after"] for row in rows])
rewards = implicit_rewards(after.flatten(), before.flatten(), config.beta).view(10, 2)

print(f"{'pair':4} {'log pi_0':>18} {'log pi':>18} {'r = beta x difference':>24} {'margin':>8}")
for number in range(10):
    numbers = [*before[number].tolist(), *after[number].tolist(), *rewards[number].tolist()]
    print(
        f"{number:4} {numbers[0]:9.2f} {numbers[1]:8.2f} {numbers[2]:9.2f} {numbers[3]:8.2f} {numbers[4]:14.3f}"
        f" {numbers[5]:9.3f} {numbers[4] - numbers[5]:8.3f}"
    )

# %% [markdown]
# ## Pair 0 by hand
#
# Every number of the loss, with nothing but `exp` and `log`, beside what the project's function returns.

# %%
num_tokens = torch.tensor([row["num_tokens"][0] for row in rows])
shift = RewardShift.zero().updated(rewards.sum(), torch.tensor(rewards.numel()))
out = mpo_loss(after[:, 0], rewards[:, 0], rewards[:, 1], num_tokens, shift=shift.value, num_pairs=10, config=config)
chosen, rejected, delta = rewards[0, 0].item(), rewards[0, 1].item(), shift.value.item()


# %%
by_hand = {
    "preference": math.log(1 + math.exp(-(chosen - rejected))),
    "quality": math.log(1 + math.exp(-(chosen - delta))) + math.log(1 + math.exp(rejected - delta)),
    "generation": -after[0, 0].item() / num_tokens[0].item(),
}
for name, value in by_hand.items():
    print(f"{name:11} by hand {value:.6f}   function {getattr(out, name)[0]:.6f}")
assert all(math.isclose(value, float(getattr(out, name)[0]), rel_tol=1e-4) for name, value in by_hand.items())
start = mpo_loss(
    before[:, 0], torch.zeros(10), torch.zeros(10), num_tokens, shift=torch.zeros(()), num_pairs=10, config=config
)
print(f"\nat the start: preference {start.preference[0]:.4f} = ln 2, quality {start.quality[0]:.4f} = 2 ln 2")
print(f"loss of the ten pairs: {start.loss:.4f} at the start, {out.loss:.4f} after 100 steps")

# %% [markdown]
# ## The three losses as curves, the ten pairs as dots
#
# Preference looks at the margin alone: a pair whose two rewards both fall is as good as one whose two rewards both
# rise. Quality tells the two apart. Generation keeps the chosen completion likely, whatever the reference thinks.

# %%
grid = torch.linspace(-1.5, 1.5, 101)
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
left.plot(grid, preference_loss(grid, torch.zeros(101)), color="C1")
left.plot(rewards[:, 0] - rewards[:, 1], out.preference, "o", color="C0")
left.set(xlabel="margin: reward of chosen - rejected", ylabel="loss (nats)", title="preference")

far = torch.full((101,), 50.0)
middle.plot(grid, quality_loss(grid, -far, shift.value), color="C1", label="chosen: should lie above delta")
middle.plot(grid, quality_loss(far, grid, shift.value), color="C2", linestyle="--", label="rejected: below it")
middle.axvline(shift.value, color="0.4", linewidth=1, linestyle=":")
middle.plot(rewards[:, 0], quality_loss(rewards[:, 0], -far[:10], shift.value), "o", color="C0")
middle.plot(rewards[:, 1], quality_loss(far[:10], rewards[:, 1], shift.value), "s", color="C0")
middle.set(xlabel="implicit reward (dotted: delta)", ylabel="loss (nats)", title="quality")
middle.legend(fontsize=8)

right.bar(torch.arange(10) - 0.2, start.generation, width=0.4, label="before", color="C1")
right.bar(torch.arange(10) + 0.2, out.generation, width=0.4, label="after", color="C0", hatch="//", edgecolor="white")
right.set(xlabel="pair", ylabel="nats per token of the chosen completion", title="generation", xticks=range(10))
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## Delta, the moving shift
#
# Delta is the mean of every implicit reward so far. Below the ten pairs arrive one after the other. When all rewards
# drift down, as they often do in long runs, delta drifts with them, and a chosen completion only has to lie above its
# surroundings. `MPOConfig(reward_shift="none")` compares with 0 instead, as TRL does from 0.29 on.

# %%
drifted = rewards - torch.linspace(0.0, 1.0, 10)[:, None]
curves = {}
for name, values in (("rewards as they are", rewards), ("all rewards drift down by 1", drifted)):
    shift_so_far, curve = RewardShift.zero(), []
    for pair in values:
        shift_so_far = shift_so_far.updated(pair.sum(), torch.tensor(2))
        curve.append(shift_so_far.value.item())
    curves[name] = curve

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
for (name, curve), style in zip(curves.items(), ("o-", "s--"), strict=True):
    left.plot(range(1, 11), curve, style, label=name)
left.set(xlabel="pairs so far", ylabel="delta", xticks=range(1, 11))
left.legend(fontsize=8)
last = torch.tensor(curves["all rewards drift down by 1"][-1])
for place, (name, delta_used) in enumerate((("with delta", last), ("without (0)", torch.zeros(())))):
    losses = quality_loss(drifted[:, 0], drifted[:, 1], delta_used)
    right.bar(
        torch.arange(10) + 0.4 * place - 0.2, losses, width=0.4, label=name, hatch=("", "//")[place], edgecolor="white"
    )
right.set(xlabel="pair, rewards drifted down", ylabel="quality loss (nats)", xticks=range(10))
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## Which pair pulls hardest
#
# The gradient of the loss with respect to the two implicit rewards. A pair that is far on the wrong side pulls with
# almost its whole weight, one that is learnt hardly at all. So a pair whose *label* is wrong pulls hardest of all,
# for ever: this is why the threshold matters.

# %%
moving = rewards.clone().requires_grad_()
mpo_loss(
    after[:, 0], moving[:, 0], moving[:, 1], num_tokens, shift=shift.value, num_pairs=10, config=config
).loss.backward()
pull = (moving.grad * 10).abs().sum(dim=1)
for number in pull.argsort(descending=True).tolist():
    margin = rewards[number, 0] - rewards[number, 1]
    print(f"pair {number}: margin {margin:+.2f}, pull {pull[number]:.3f} {'#' * round(40 * pull[number].item())}")

# %% [markdown]
# ## The threshold tau
#
# The paper keeps pairs by the score of a reward model above a threshold (7, 10, 15 in its section 4) and does not say
# what exactly is compared. Here it is the margin of the two scores. Rules need no score, so `correctness` pairs
# always stay; pairs of kind `reward_model` stay while their margin is at least tau. The unit is that of the reward
# model: a tau never carries over to another one.
#
# A `correctness` pair may lie near or below 0: a lucky guess is right for the rule and no better for the reward model.
# A `reward_model` pair near 0 is one that the model itself is not sure of, and tau leaves it out.

# %%
pairs = [
    PreferencePair(
        uid=number,
        prompt=Prompt(uid=number, key=str(number), question=row["question"]),
        **{key: row[key] for key in ("chosen", "rejected", "kind", "chosen_score", "rejected_score")},
    )
    for number, row in enumerate(rows)
]
thresholds = torch.linspace(0.0, 30.0, 61).tolist()
kept = {
    kind: [
        sum(pair.kind == kind for pair in select_pairs(pairs, PairSelection(threshold=threshold), seed=0))
        for threshold in thresholds
    ]
    for kind in ("correctness", "reward_model")
}
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
for kind, marker in (("correctness", "o"), ("reward_model", "s")):
    numbers = [pair.uid for pair in pairs if pair.kind == kind]
    left.plot(numbers, [pairs[number].margin for number in numbers], marker, label=kind, markersize=8)
left.axhline(8, color="0.4", linestyle="--", linewidth=1, label="tau = 8, of configs/tiny/mpo.yaml")
left.set(xlabel="pair", ylabel="score of chosen - rejected", xticks=range(10))
left.legend(fontsize=8)
for (kind, numbers), style in zip(kept.items(), ("-", "--"), strict=True):
    right.step(thresholds, numbers, style, where="post", label=kind, linewidth=2)
right.set(xlabel="threshold tau (units of the reward model's score)", ylabel="pairs kept")
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## What to change
#
# | to see | change |
# |---|---|
# | what a wrong label does | swap the two columns of one pair: `rewards[4] = rewards[4].flip(0)` |
# | the other reading of the threshold | `PairSelection(threshold=..., by="chosen_score")` |
# | your own pairs | `lightning_modules.pair_logps.pair_logps(policy, pairs)` gives their log-probabilities |
# | a whole run | `python train.py fit --config configs/tiny/mpo.yaml` |
