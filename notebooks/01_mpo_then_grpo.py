# %% [markdown]
# # MPO, then GRPO, on your own images
#
# The paper's chain on a folder of pictures with questions, from Python, without the command line:
#
#     your data -> the policy's own completions -> preference pairs -> MPO -> GRPO
#
# Paper: [arXiv 2504.16656](https://arxiv.org/abs/2504.16656), sections 3.2 and 3.3. Pages:
# [docs/bring_your_own.md](../docs/bring_your_own.md), [docs/mpo.md](../docs/mpo.md), [docs/grpo.md](../docs/grpo.md).
#
# Without changes this notebook trains the tiny policy, which is built once, in a minute or two, in `runs/built/`, and
# shared with the other notebooks. After that it takes half a minute on a free core.

# %%
from cli.notebook import built, stand_in_project

stand_in_project()

# %% [markdown]
# ## Your data and your model
#
# Two lines to change. `my_data` is a folder with `train.jsonl` and `val.jsonl`; a row has a question, an image, an
# answer and, for the hallucination rate, facts. As long as both are `None`, pictures of the tiny world stand in for
# yours.

# %%
my_data = None  # "path/to/my_data"
my_model = None  # a folder in Hugging Face format, or a hub name

# %%
import json
from pathlib import Path

import lightning.pytorch as L
import matplotlib.pyplot as plt
from PIL import Image

from algorithms import BufferConfig, PairSelection
from algorithms.intervals import wilson_interval
from callbacks import PairWriter
from callbacks.cards import completion_card
from datamodules import (
    ExperienceDataModule,
    MMPRFolder,
    PreferenceDataModule,
    PromptDataModule,
    PromptFolder,
    ReadingConfig,
    ShapesFolder,
)
from hallucination import GrammarJudge
from lightning_modules import EvaluationConfig, GRPOModule, LearningConfig, MPOModule, OptimizerConfig, RolloutModule
from models import PretrainedPolicy
from rewards import AccuracyReward, FormatReward, RewardPart, WeightedReward
from rollouts import SamplingConfig, TransformersEngine

plt.style.use("tableau-colorblind10")
source = PromptFolder(my_data) if my_data else ShapesFolder(num_train=256, num_val=128, num_test=8)
model = my_model or built("configs/tiny/stages/adapter.yaml")
source.prepare()

row = json.loads((source.folder / "train.jsonl").read_text().splitlines()[0])
print(json.dumps({key: row[key] for key in ("image", "question", "answer", "facts") if key in row}, indent=1))
Image.open(source.folder / row["image"]).resize((144, 144), Image.Resampling.NEAREST)

# %% [markdown]
# ## What both stages share
#
# A reward of two rules, a judge of claims, and how completions are sampled. For a model of your own, write its
# longest completion (512 or more), and a judge for the words of your facts, or none: notebook 5 tries both before
# training.

# %%
shared = {
    "engine": TransformersEngine(),
    "reward": WeightedReward(
        {"accuracy": RewardPart(AccuracyReward()), "format": RewardPart(FormatReward(), weight=0.2)}
    ),
    "sampling": SamplingConfig(group_size=8, max_new_tokens=48),
    "judge": GrammarJudge(mention=r"\b(?:red|green|blue|yellow)-(?:circle|square|triangle|star)\b", clause_end="="),
    "evaluation": EvaluationConfig(num_samples=4, pass_at=(4,)),
}
learning = LearningConfig(trainable=("adapter", "language_model"), optimizer=OptimizerConfig(learning_rate=1e-4))
# A run of your own wants a logger, checkpoints and a progress bar: leave these out.
plain = {
    "default_root_dir": "runs/notebooks",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}
measured = {}


# %%
base = RolloutModule(PretrainedPolicy(model), **shared)
measured["base"] = L.Trainer(**plain).validate(base, PromptDataModule(source), verbose=False)[0]
print(f"greedy accuracy of the base: {measured['base']['val/greedy_accuracy']:.1%}")

# %% [markdown]
# ## Preference pairs from the policy's own completions
#
# `predict` samples eight completions of every training prompt; `PairWriter` pairs a right one with a wrong one. With
# a preference reward model (`rewards.PreferenceReward`) there are pairs of a third kind, above a threshold: notebook
# 3.

# %%
pairs = Path("runs/notebooks/pairs")
writer = PairWriter(str(pairs), PairSelection(kinds=("correctness", "format"), max_per_prompt=4))
prompts = PromptDataModule(source, ReadingConfig(predict_split="train"))
L.Trainer(callbacks=[writer], **plain).predict(base, prompts, return_predictions=False)

rows = [json.loads(line) for file in (pairs / "annotations").glob("*.jsonl") for line in file.read_text().splitlines()]
print(len(rows), "pairs, for example:")
for pair in rows[4:40:12]:
    print(f"\nquestion: {pair['question'].removeprefix('<image>').strip()}")
    print(f"chosen:   {pair['chosen']}\nrejected: {pair['rejected']}")

# %% [markdown]
# ## MPO
#
# Three losses on each pair. The reference is the policy as it is now; its log-probabilities are computed once.

# %%
mpo = MPOModule(PretrainedPolicy(model), learning, **shared)
data = PreferenceDataModule(source, MMPRFolder(str(pairs / "meta.json")), pairs_per_batch=32)
trainer = L.Trainer(max_steps=50, max_epochs=-1, limit_val_batches=0, **plain)
trainer.fit(mpo, data)
mpo.save_pretrained("runs/notebooks/after_mpo")
measured["MPO"] = L.Trainer(**plain).validate(mpo, PromptDataModule(source), verbose=False)[0]
print(f"greedy accuracy after MPO: {measured['MPO']['val/greedy_accuracy']:.1%}")

# %% [markdown]
# ## GRPO, from where MPO has ended
#
# Sixteen prompts of eight completions per rollout, two steps on each, with the Selective Sample Buffer. A real run
# takes hundreds of steps; this one shows that the parts fit.

# %%
grpo = GRPOModule(PretrainedPolicy("runs/notebooks/after_mpo"), learning, **shared)
data = ExperienceDataModule(source, prompts_per_rollout=16, micro_batches=2, buffer=BufferConfig(capacity=1024))
trainer = L.Trainer(max_steps=60, max_epochs=-1, limit_val_batches=0, gradient_clip_val=1.0, **plain)
trainer.fit(grpo, data)
grpo.save_pretrained("runs/notebooks/after_grpo")
measured["MPO + GRPO"] = L.Trainer(**plain).validate(grpo, PromptDataModule(source), verbose=False)[0]
print(f"greedy accuracy after MPO and GRPO: {measured['MPO + GRPO']['val/greedy_accuracy']:.1%}")

# %% [markdown]
# ## What has changed
#
# On the validation pictures, whose layouts training has not seen. The bars of greedy accuracy are 95 % intervals for
# so few prompts: where they overlap a lot, this notebook cannot tell the stages apart. It is one seed; notebook 6
# compares several.

# %%
num_prompts = len(prompts.source.read("val", max_image_pixels=10**7).prompts)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for place, values in enumerate(measured.values()):
    accuracy = values["val/greedy_accuracy"]
    low, high = wilson_interval(accuracy, num_prompts)
    left.errorbar(place, accuracy, yerr=[[accuracy - low], [high - accuracy]], fmt="o", capsize=5, color="C0")
left.set(ylabel="greedy accuracy (share of prompts)", ylim=(0, 1))
right.plot([values["val/sampled_accuracy"] for values in measured.values()], "s-", label="sampled accuracy")
right.plot([values.get("val/hallucination_rate", 0) for values in measured.values()], "^--", label="hallucination rate")
right.set(ylabel="share (of completions, of claims)", ylim=(0, 1))
right.legend()
for axes in (left, right):
    axes.set(xticks=range(3), xticklabels=list(measured), xlim=(-0.5, 2.5))
    axes.grid(alpha=0.3)
plt.show()

# %% [markdown]
# One validation picture, answered by the policy that `runs/notebooks/after_grpo` now holds. That folder is in Hugging
# Face format: transformers and vLLM read it.

# %%
question = PromptDataModule(source, ReadingConfig(predict_split="val", batch_size=1))
trained = RolloutModule(
    PretrainedPolicy("runs/notebooks/after_grpo"),
    **{**shared, "sampling": SamplingConfig(group_size=4, max_new_tokens=48)},
)
(phase,) = L.Trainer(limit_predict_batches=1, **plain).predict(trained, question)
Image.fromarray(completion_card(phase.group(0)))

# %% [markdown]
# ## What to change
#
# | to see | change |
# |---|---|
# | the chain on your data | the two lines at the top; `train.py new` says first what is doubtful about a folder: [docs/bring_your_own.md](../docs/bring_your_own.md) |
# | supervised fine-tuning in place of MPO | `MPOModule(..., mpo=MPOConfig(preference_weight=0, quality_weight=0))` |
# | GRPO without replay | `BufferConfig(capacity=0)` |
# | the adapter alone, as in the paper | `trainable=("adapter",)` |
