# %% [markdown]
# # Anatomy of one rollout
#
# Everything that happens between an image and one step of GRPO, one value at a time:
#
#     image -> group of completions -> rewards -> advantages -> buffer -> loss
#
# A training run does this a hundred times with the same functions
# ([`lightning_modules/grpo_module.py`](../lightning_modules/grpo_module.py), `act` and `training_step`). Paper:
# [arXiv 2504.16656](https://arxiv.org/abs/2504.16656), section 3.3. Page: [docs/grpo.md](../docs/grpo.md).
#
# This notebook needs the tiny policy. It is built once, in a minute or two, in `runs/built/`, and shared with the
# other notebooks and with `make quickstart`. After that the notebook takes about twenty seconds.

# %%
from cli.notebook import built, stand_in_project

stand_in_project()

# %%
import matplotlib.pyplot as plt
import torch
from PIL import Image

from algorithms import (
    AdvantageConfig,
    BufferConfig,
    GRPOConfig,
    SelectiveSampleBuffer,
    StepSize,
    grpo_loss,
    position_generator,
)
from callbacks.cards import completion_card
from datamodules import PromptDataModule, ShapesFolder
from hallucination import GrammarJudge, judge_groups
from models import PretrainedPolicy
from rewards import AccuracyReward, FormatReward, RewardPart, WeightedReward
from rollouts import RolloutPhase, SamplingConfig, TransformersEngine

plt.style.use("tableau-colorblind10")
torch.manual_seed(0)

policy = PretrainedPolicy(built("configs/tiny/stages/adapter.yaml")).build()

# %% [markdown]
# ## 1. Prompts: a picture and a question
#
# The tiny world draws coloured shapes on a 3 x 3 grid of 48 x 48 pixels. A row of your own data has the same columns:
# [docs/data.md](../docs/data.md).

# %%
data = PromptDataModule(ShapesFolder())
data.prepare_data()
data.setup("fit")
prompts = data.prompts["train"][:8]  # P = 8

shown = prompts[0]
print("question:", shown.question)
print("answer:  ", shown.answer)
print("facts:   ", ", ".join(shown.facts))
print("the policy reads", policy.encoder.length(shown), "tokens, 9 of which are the picture")
shown.images[0].load().resize((192, 192), Image.Resampling.NEAREST)

# %% [markdown]
# ## 2. A group: several completions of the same prompt
#
# The engine samples G completions of each prompt. It keeps the log-probability of every token *as it was sampled*:
# the loss needs it later. Change `temperature` to see groups that agree more, or less.

# %%
sampling = SamplingConfig(group_size=8, temperature=1.0, max_new_tokens=48)  # G = 8
engine = TransformersEngine()
engine.sync(policy, version=0)
completions = engine.generate(prompts, sampling, seed=1)

for completion in completions[0][:4]:
    print(f"{completion.behavior_logps.sum():7.2f} nats  {len(completion.token_ids):2} tokens  {completion.text}")

# %% [markdown]
# ## 3. Rewards: a weighted sum of parts
#
# Two rules here: is the answer right, and has the completion the form that was asked for. Notebook 5 adds parts of
# your own. The judge finds the claims of each completion ("red-circle") and compares them with the facts.

# %%
reward = WeightedReward(
    {"accuracy": RewardPart(AccuracyReward(), weight=1.0), "format": RewardPart(FormatReward(), weight=0.2)}
)
repeated = [prompt for prompt, group in zip(prompts, completions, strict=True) for _ in group]
flat = [completion for group in completions for completion in group]
scores = reward(repeated, flat).view(len(prompts), -1)  # (P, G)

judge = GrammarJudge(mention=r"\b(?:red|green|blue|yellow)-(?:circle|square|triangle|star)\b", clause_end="=")
phase = RolloutPhase(prompts, completions, scores, claims=judge_groups(judge, prompts, completions))
print("parts:", {name: f"mean {values.mean():.2f}" for name, values in scores.parts.items()})
print("total reward (P, G):")
print(phase.rewards)

# %% [markdown]
# ## 4. Advantages: each reward against its own group
#
# `A = (r - mean of the group) / standard deviation of the group` (equation 6). A group that is all right or all wrong
# has advantage 0 everywhere: nothing can be learnt from it. These are the paper's *vanishing advantages*, and
# notebook 4 shows how they grow over a run.
#
# To see Dr.GRPO's variant, write `AdvantageConfig(scale_by_std=False)`.

# %%
phase = phase.with_advantages(AdvantageConfig())

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for axes, values, title, colors, limits in (
    (left, phase.rewards, "reward", "cividis", (0.0, 1.2)),
    (right, phase.advantages, "advantage", "PuOr", (-2.5, 2.5)),
):
    picture = axes.imshow(values, cmap=colors, vmin=limits[0], vmax=limits[1], aspect="auto")
    axes.set(title=f"{title} of each completion", xlabel="completion of the group", ylabel="prompt")
    figure.colorbar(picture, ax=axes, label=title)
for row in (~phase.is_effective).nonzero().flatten().tolist():
    right.text(3.5, row, "all equal: nothing to learn", ha="center", va="center", fontsize=9)
plt.show()
print(f"{int(phase.is_effective.sum())} of {len(prompts)} groups are effective")

# %% [markdown]
# One effective group as TensorBoard shows it (`callbacks.CompletionsPage`): a tick or a cross for the answer, claims
# that the picture does not support in red and underlined.

# %%
first_effective = int(phase.is_effective.nonzero()[0])
Image.fromarray(completion_card(phase.group(first_effective)))

# %% [markdown]
# ## 5. The Selective Sample Buffer
#
# Samples with an advantage that is not 0 are kept, and later drawn in proportion to |advantage|, to fill the places
# that the groups without signal leave. Below, the buffer is drawn from 2,000 times and the draws are counted. With
# `priority_exponent=0` the draw is uniform: the dots then lie on one level.

# %%
samples = phase.rows(phase.advantages != 0.0)
buffer = SelectiveSampleBuffer(BufferConfig(capacity=1024, priority_exponent=1.0))
buffer.add(samples)
places = phase.rewards.numel()
print(f"{places} completions sampled, {len(samples)} kept; replay would fill {places - len(samples)} places")

drawn = torch.cat(
    [buffer.draw(1, generator=position_generator(0, "notebook", number)).advantages for number in range(2000)]
)
levels, counts = drawn.abs().unique(return_counts=True)
held = torch.stack([(buffer.stored.advantages.abs() == level).sum() for level in levels])

figure, axes = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
axes.plot(levels, counts / held / 2000, "o", label="counted in 2,000 draws")
axes.plot(levels, levels / buffer.stored.advantages.abs().sum(), label="|advantage| / sum of all")
axes.set(xlabel="|advantage| of a sample", ylabel="probability of being drawn")
axes.set(xlim=(0, None), ylim=(0, None), title="Larger advantages come back more often")
axes.legend()
plt.show()

# %% [markdown]
# ## 6. The loss
#
# The learner computes the log-probability of every sampled token again, with gradient. Right after sampling its
# weights are those that sampled, so every importance ratio is 1 and nothing is clipped. If you see anything else here
# with a model of your own, engine and learner disagree.

# %%
policy.requires_grad_(False)
policy.set_trainable(("adapter", "language_model"))
optimizer = torch.optim.AdamW((weight for weight in policy.parameters() if weight.requires_grad), lr=1e-4)
config = GRPOConfig(clip_low=0.2, clip_high=0.28)
size = StepSize(num_samples=len(samples), num_tokens=int(samples.lengths.sum()), max_tokens=sampling.max_new_tokens)

uids, rows = samples.prompt_uids.unique(return_inverse=True)
asked = [data.prompt("train", uid) for uid in uids.tolist()]


# %%
for step in range(4):
    policy_scores = policy.completion_scores(asked, rows, samples.completion_ids, samples.is_completion)
    out = grpo_loss(policy_scores.logps, samples, size=size, config=config)
    ratios = (policy_scores.logps - samples.behavior_logps)[samples.is_completion].detach().exp()
    print(
        f"step {step}: loss {out.loss:+.4f}, ratios from {ratios.min():.3f} to {ratios.max():.3f}, "
        f"{out.clipped_fraction.mean():.1%} of the tokens clipped"
    )
    optimizer.zero_grad()
    out.loss.backward()
    optimizer.step()

# %% [markdown]
# A run takes two steps on a rollout. The three behind the last line push the policy further away from the one that
# sampled. Tokens of completions with a positive advantage became likelier, the others less likely. Past the dashed
# lines a token no longer adds to the gradient, if it has moved in the direction that its advantage wants.

# %%
advantages = samples.advantages[:, None].expand_as(samples.is_completion)[samples.is_completion]
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
bins = torch.linspace(0.4, 1.8, 57)
axes.hist(ratios[advantages > 0], bins=bins, histtype="step", linewidth=2, label="advantage above 0")
axes.hist(ratios[advantages < 0], bins=bins, histtype="step", linewidth=2, linestyle=":", label="advantage below 0")
for bound in (1 - config.clip_low, 1 + config.clip_high):
    axes.axvline(bound, color="0.3", linestyle="--", linewidth=1)
axes.set(xlabel="importance ratio of a token", ylabel="tokens (log scale)", yscale="log")
axes.set_title("After three steps on the same samples; dashed: clip bounds")
axes.legend()
plt.show()

# %% [markdown]
# ## What to change
#
# | to see | change |
# |---|---|
# | groups that disagree more | `temperature=1.3` |
# | the objective of another paper | `GRPOConfig(ratio="sequence")` is GSPO, `average="token"` DAPO; [docs/algorithms.md](../docs/algorithms.md) |
# | your own model | `PretrainedPolicy("my_model")`, and `PromptFolder("my_data")` in place of `ShapesFolder()` |
