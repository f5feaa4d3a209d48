# %% [markdown]
# # Your own reward, claims and judge, tried on ten completions
#
# A reward that is wrong costs a training run, and the run does not say so: it optimizes what the reward says. Ten
# completions of the policy that you are about to train show most mistakes in a minute.
#
# Paper: [arXiv 2504.16656](https://arxiv.org/abs/2504.16656), equation 7 (the hybrid reward). Pages:
# [docs/bring_your_own.md](../docs/bring_your_own.md#reward), [docs/hallucination.md](../docs/hallucination.md).
#
# This notebook needs the tiny policy. It is built once, in a minute or two, in `runs/built/`, and shared with the
# other notebooks. After that the notebook takes about fifteen seconds.

# %%
from cli.notebook import built, stand_in_project

stand_in_project()

# %%
import re
from collections import Counter
from dataclasses import replace

import matplotlib.pyplot as plt
from PIL import Image

from algorithms import AdvantageConfig, Claim
from callbacks.cards import completion_card
from datamodules import PromptDataModule, ShapesFolder
from hallucination import (
    ClaimGrammar,
    ClaimJudge,
    GrammarJudge,
    claim_counts,
    find_claims,
    judge_groups,
    judged_completions,
)
from lightning_modules.logs.rollouts import rollout_metrics
from models import PretrainedPolicy
from rewards import AccuracyReward, FormatReward, FunctionReward, RewardPart, WeightedReward
from rollouts import RolloutPhase, SamplingConfig, TransformersEngine

plt.style.use("tableau-colorblind10")

# %% [markdown]
# ## Ten completions
#
# Two questions, five completions each. Put your own model and data here: `PretrainedPolicy("my_model")` and
# `PromptFolder("my_data")`.

# %%
policy = PretrainedPolicy(built("configs/tiny/stages/adapter.yaml")).build()
data = PromptDataModule(ShapesFolder())
data.prepare_data()
data.setup("fit")
prompts = [data.prompts["train"][index] for index in (3, 16)]

engine = TransformersEngine()
engine.sync(policy, version=0)
completions = engine.generate(prompts, SamplingConfig(group_size=5, max_new_tokens=48), seed=3)
for prompt, group in zip(prompts, completions, strict=True):
    print(f"\n{prompt.question}  (answer {prompt.answer}; the picture shows {', '.join(prompt.facts)})")
    for completion in group:
        print(f"    {completion.text}")

# %% [markdown]
# ## A reward of your own
#
# A plain function with TRL's signature. It gets the texts, and every column of your data that it has a parameter for.
# The tiny policy has two habits, to look and to guess; this reward pays for looking. Change it, and run the cells
# below again.


# %%
def looks(prompts, completions):
    """1 for a completion that never guesses, else 0."""
    return [float("guess" not in text) for text in completions]


# %%
parts = {
    "accuracy": RewardPart(AccuracyReward(), weight=1.0),
    "format": RewardPart(FormatReward(), weight=0.2),
    "looks": RewardPart(FunctionReward(looks), weight=0.3),
}
repeated = [prompt for prompt, group in zip(prompts, completions, strict=True) for _ in group]
flat = [completion for group in completions for completion in group]
table = WeightedReward(parts)(repeated, flat)
phase = RolloutPhase(prompts, completions, table.view(2, -1)).with_advantages(AdvantageConfig())

print(f"{'':12}{'accuracy':>9}{'format':>8}{'looks':>7}{'total':>7}{'advantage':>11}  reason for the accuracy")
for index in range(10):
    scores = "".join(
        f"{table.parts[name][index]:{width}.0f}" for name, width in (("accuracy", 9), ("format", 8), ("looks", 7))
    )
    advantage = phase.advantages.flatten()[index]
    print(f"completion {index}{scores}{table.totals[index]:7.1f}{advantage:11.2f}  {table.reasons['accuracy'][index]}")

# %% [markdown]
# What each part adds to the total. Look for: a part that adds the same to all completions of a group (it teaches
# nothing), and one that outweighs being right.

# %%
figure, axes = plt.subplots(figsize=(8.5, 3.4), layout="constrained")
below = [0.0] * 10
for (name, part), hatch in zip(parts.items(), ("", "//", ".."), strict=True):
    added = [part.weight * float(score) for score in table.parts[name]]
    axes.bar(range(10), added, bottom=below, label=f"{name} x {part.weight:g}", hatch=hatch, edgecolor="white")
    below = [a + b for a, b in zip(below, added, strict=True)]
axes.axvline(4.5, color="0.3", linestyle="--", linewidth=1)
axes.set(xlabel="completion (the dashed line is between the two groups)", ylabel="total reward", xticks=range(10))
axes.set(ylim=(0, 1.9))
axes.legend(ncols=3, loc="upper left")
plt.show()

# %% [markdown]
# Advantages come from differences within a group. These are the numbers that a run logs about them: the part with the
# largest spread, after its weight, decides what is learnt ([docs/metrics.md](../docs/metrics.md)).

# %%
logged = rollout_metrics(phase, tolerance=0.0, seconds=1.0)
for name in parts:
    print(f"rollout/{name}_std_within_group: {float(logged[f'rollout/{name}_std_within_group']):.2f}")
print(f"rollout/effective_fraction: {float(logged['rollout/effective_fraction']):.2f}")


# %% [markdown]
# ## A reward that fails
#
# This one reads the number behind the last `=` and assumes that there is one. In a run a mistake of this kind costs
# the completion, not the run: its reward is *unknown*, which is not the same as wrong, so it takes no part in its
# group. The count is logged as `rollout/failed_NAME`. Here `num_failures` tells you before training.


# %%
def small(prompts, completions):
    """1 for a count below 4."""
    return [float(int(re.findall(r"= (\d+)", text)[-1]) < 4) for text in completions]


# %%
cut = [*flat[:9], replace(flat[9], text="look red :", finish_reason="length")]
failing = WeightedReward({"accuracy": parts["accuracy"], "small": RewardPart(FunctionReward(small))})(repeated, cut)
print("failures:", failing.num_failures)
print("totals of the last two completions:", failing.totals[8:].tolist())

# %% [markdown]
# ## A grammar for your claims
#
# `GrammarJudge` finds claims with a regular expression and compares them with the column `facts`. Within one clause a
# thing may be named as often as the picture has it. So the end of a clause matters: here one picture with one red
# star, described twice. Without the right `clause_end` the second, true mention counts as a hallucination.

# %%
MENTION = r"\b(?:red|green|blue|yellow)-(?:circle|square|triangle|star)\b"
text, facts = "look red : red-star = 1 look star : red-star yellow-star = 2", ("red-star", "yellow-star")
for clause_end in ("=", r"\n"):
    claims = find_claims(text, facts, ClaimGrammar(mention=MENTION, clause_end=clause_end))
    told = ", ".join(f"{claim.thing} {'true' if claim.is_supported else 'FALSE'}" for claim in claims)
    print(f"clause_end={clause_end!r}: {told}")

# %% [markdown]
# The ten completions with the first of these grammars. Read a card as an examiner would: is everything underlined
# really not in the picture? Is anything left black that is a claim?

# %%
judge = GrammarJudge(mention=MENTION, clause_end="=")
claims = judge_groups(judge, prompts, completions)
counts = claim_counts(judged_completions(prompts, completions, claims))
print(f"{counts.events} of {counts.trials} claims are not supported")
judged = RolloutPhase(prompts, completions, table.view(2, -1), claims=claims).with_advantages(AdvantageConfig())
Image.fromarray(completion_card(judged.group(0)))


# %% [markdown]
# ## A judge of your own
#
# A judge is any class with `claims(prompt, text)`. This one looks at the counts: "look red : ... = 2" claims that
# there are two red things. It returns `None` where there is nothing to judge by, and positions, so that cards can
# mark them.


# %%
class CountJudge(ClaimJudge):
    """Compares each count with the picture."""

    def claims(self, prompt, text):
        """Return one claim for each "target : things = count"."""
        if prompt.facts is None:
            return None
        words = Counter(word for fact in prompt.facts for word in fact.split("-"))
        found = re.finditer(r"(?:look|guess) (\w+) : [\w\- ]*= (\d+)", text)
        return [Claim(match[1], match.start(1), match.end(2), words[match[1]] == int(match[2])) for match in found]


# %%
claims = judge_groups(CountJudge(), prompts, completions)
counts = claim_counts(judged_completions(prompts, completions, claims))
print(f"{counts.events} of {counts.trials} counts are wrong")
judged = RolloutPhase(prompts, completions, table.view(2, -1), claims=claims).with_advantages(AdvantageConfig())
Image.fromarray(completion_card(judged.group(1)))

# %% [markdown]
# ## Into a run
#
# Put the function and the class into a file where you stand, `my_module.py`, and name them:
#
# ```yaml
# model:
#   reward:
#     parts:
#       looks: {reward: {class_path: rewards.FunctionReward, init_args: {function: my_module.looks}}, weight: 0.3}
#   judge: {class_path: my_module.CountJudge}
# ```
#
# | to see | change |
# |---|---|
# | a reward that counts only for right answers | `RewardPart(FunctionReward(looks), weight=0.3, gate="accuracy")` |
# | a reward model in place of a function | `rewards.PreferenceReward`; notebook 7 shows one that is hacked |
# | objects in captions | `hallucination.ObjectJudge()`, CHAIR's rules for the 80 classes of COCO |
