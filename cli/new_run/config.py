"""The text of a new config."""

from collections.abc import Mapping
from typing import Any

import yaml

from cli.new_run import settings
from cli.new_run.doubts import has_answers
from cli.new_run.look import DataLook
from cli.new_run.model import ModelLook

_ACCURACY = "{class_path: rewards.AccuracyReward, init_args: {needs_reasoning: false}}"
_LOGGER = "lightning.pytorch.loggers.TensorBoardLogger"
_CALLBACKS = """\
callbacks:                      # by name; null switches one off
  progress: {class_path: callbacks.RolloutProgressBar}
  layout: {class_path: callbacks.TensorBoardLayout}
"""


def grpo_config(name: str, data: DataLook, val: DataLook | None, model: ModelLook, head: str) -> str:
    """Return a config of GRPO with the Selective Sample Buffer.

    Args:
        name: name of the runs' folder.
        data: the training prompts, measured.
        val: the validation prompts; None: no validation.
        model: the policy from which training starts.
        head: lines of comments at the top.
    """
    lengths, prompts = settings.prompt_lengths(data, model), settings.prompts_per_rollout(data)
    micro = max(1, prompts * settings.GROUP_SIZE // settings.MICRO_BATCH)
    accumulate = max(1, micro // 2)
    measured = f"longest of {len(data.lengths)} measured: {max(data.lengths)}"
    context = (
        "EasyR1" if lengths.completion == settings.LONGEST_COMPLETION else f"what the context, {model.context}, leaves"
    )
    accuracy, form = (0.9, 0.1) if has_answers(data) else (0.0, 1.0)
    source = "EasyR1" if has_answers(data) else "no answers were found"
    return f"""{head}\
{_trainer(name, model, accumulate, 40 * accumulate, f"x {settings.MICRO_BATCH} samples of a micro-batch", 600)}\
model:
  class_path: lightning_modules.GRPOModule
  init_args:
{_policy(data, model, "{learning_rate: 1.0e-5}   # VLM-R1", "{learning_rate: 1.0e-6}   # EasyR1")}\
    engine: {{class_path: rollouts.TransformersEngine, init_args: {{max_rows: 64}}}}   # completions at once; own choice
    reward:                     # faster sampling: --config configs/engines/vllm.yaml
      class_path: rewards.WeightedReward
      init_args:
        parts:                  # weights: {source}
          accuracy: {{reward: {_ACCURACY}, weight: {accuracy}}}
          format: {{reward: {{class_path: rewards.FormatReward}}, weight: {form}}}
    grpo: {{average: token, clip_low: 0.2, clip_high: 0.28, mask_truncated: true}}   # DAPO
    # max_new_tokens: {context}; group_size, completions of a prompt: TRL, R1V1
    sampling: {{temperature: 1.0, max_new_tokens: {lengths.completion}, group_size: {settings.GROUP_SIZE}}}
    evaluation: {{num_samples: 4, pass_at: [4]}}   # own choice
{_judge(data)}\
data:
  class_path: datamodules.ExperienceDataModule
  init_args:
    source:
{_source(data, val)}\
    prompts_per_rollout: {prompts:<7}# x group_size = {prompts * settings.GROUP_SIZE} samples; TRL's order of size
    micro_batches: {micro:<13}# training steps of a rollout; two optimizer steps where there are enough
    buffer: {{capacity: 4096, max_age: 16}}   # samples; policy versions, as VL-Rethinker's 16 updates
    reading:
      max_prompt_tokens: {lengths.prompt:<7}# tokens, images included; {measured}
      batch_size: 16            # prompts of a validation batch; own choice
{_template(data, model)}\
{_CALLBACKS}\
  completions: {{class_path: callbacks.CompletionsPage}}
  random_state: {{class_path: callbacks.RandomState}}
  checkpoint: {{class_path: callbacks.StepCheckpoint, init_args: {{every_n_train_steps: 20}}}}   # own choice
  export: {{class_path: callbacks.ExportPolicy}}   # to export/ in the run's folder, in Hugging Face format
"""


def mpo_config(name: str, data: DataLook, val: DataLook | None, model: ModelLook, head: str) -> str:
    """Return a config of MPO on pairs alone; arguments as ``grpo_config``."""
    batch, accumulate = settings.pairs_per_step(data)
    limit = settings.pair_length(data, model)
    schedule = "weight_decay: 0.05, beta2: 0.999, warmup_steps: 15, cosine: true"
    rate = f"{{learning_rate: 5.0e-6, {schedule}}}   # MPO, 4.1; warm-up of 5 %"
    measured = f"longest of {len(data.lengths)} measured: {max(data.lengths)}"
    held_out = 0.05 if val is None else 0.0
    reference = "LoRAOffReference" if model.is_large else "CachedReference"
    return f"""{head}\
{_trainer(name, model, accumulate, 50 * accumulate, f"x {batch} pairs of a batch", 300)}\
model:                          # MPO is arXiv:2411.10442; neither engine nor reward, because nothing is sampled
  class_path: lightning_modules.MPOModule
  init_args:
{_policy(data, model, rate, rate)}\
    mpo: {{beta: 0.1, preference_weight: 0.8, quality_weight: 0.2, generation_weight: 1.0}}   # MPO, 4.1
    reference: {{class_path: lightning_modules.{reference}}}
data:
  class_path: datamodules.PairDataModule
  init_args:
    pairs:
{_pairs(data, val)}\
    pairs_per_batch: {batch:<11}# own choice: what fits
    selection: {{max_per_prompt: 15}}   # MPO, 3.2
    held_out: {held_out:<18}# share of the prompts for validation{"" if val is None else "; they have a file"}
    max_pair_tokens: {limit:<11}# tokens of prompt and completion; {measured}
{_CALLBACKS}\
  checkpoint: {{class_path: callbacks.StepCheckpoint, init_args: {{every_n_train_steps: 50}}}}   # own choice
  export: {{class_path: callbacks.ExportPolicy}}   # to export/ in the run's folder, in Hugging Face format
"""


def _trainer(name: str, model: ModelLook, accumulate: int, validate: int, unit: str, steps: int) -> str:
    precision, why = _precision(model)
    return f"""\
seed_everything: 0
trainer:
  devices: 1
  precision: {precision:<19}# {why}
  accumulate_grad_batches: {accumulate:<5}# {unit}
  max_steps: {steps:<19}# optimizer steps; own choice
  gradient_clip_val: 1.0        # EasyR1, verl
  log_every_n_steps: 1
  check_val_every_n_epoch: null
  val_check_interval: {validate:<10}# batches, not steps; own choice
  num_sanity_val_steps: 0
  enable_model_summary: false
  use_distributed_sampler: false
  logger: {{class_path: {_LOGGER}, init_args: {{save_dir: runs, name: {_flow(name)}}}}}
"""


def _precision(model: ModelLook) -> tuple[str, str]:
    if model.is_large:
        return "bf16-mixed", "what learns is kept in 32 bits: docs/scaling.md"
    return "32-true", "a small model; large ones: bf16-mixed, docs/scaling.md"


def _policy(data: DataLook, model: ModelLook, rate_of_lora: str, rate: str) -> str:
    dtype = "bfloat16" if model.is_large else "float32"
    parts = ["language_model"]
    if model.reads_images and any(prompt.images for prompt in data.prompts):
        parts = ["adapter", *parts]
    lines = [
        f"policy:                     # {model.model_type}; dtype of what does not learn: docs/scaling.md",
        f"  {{class_path: models.PretrainedPolicy, init_args: {_flow({'path': model.path, 'dtype': dtype})}}}",
        "learning:",
    ]
    if model.is_large:
        lines += [
            "  lora: {parts: [language_model], rank: 64, alpha: 128}   # so that one 80 GB GPU is enough; own choice",
            f"  optimizer: {rate_of_lora}",
        ]
    else:
        lines += [f"  trainable: {_flow(parts)}", f"  optimizer: {rate}"]
    return _indented(lines, 4)


def _judge(data: DataLook) -> str:
    mention = settings.mention_of(data)
    if mention is None:
        return "    # no judge: the rows have no facts by which claims about images could be judged\n"
    return _indented(
        ["judge:                      # claims are mentions of what the column facts names", *_given(
            "hallucination.GrammarJudge", {"mention": mention})], 4,
    )  # fmt: skip


def _given(class_path: str, settings_of: Mapping[str, Any]) -> list[str]:
    return [f"  class_path: {class_path}", f"  init_args: {_flow(settings_of)}"]


def _source(data: DataLook, val: DataLook | None) -> str:
    if val is None or val.files.folder == data.files.folder:
        names = {"val": None if val is None else val.files.name}
        return _indented(_folder("PromptFolder", data, names), 6)
    # Paths of images are relative to the file, so files in two folders need two sources.
    parts = {"own": (data, {"val": None}), "held_out": (val, {})}
    lines = ["class_path: datamodules.PromptMixture", "init_args:", "  sources:"]
    for name, (part, names) in parts.items():
        given = _given_names(part, names, split="train" if part is data else "val")
        given["columns"] = part.guess.keys
        lines += [f"    {name}:", f"      source: {{class_path: datamodules.PromptFolder, init_args: {_flow(given)}}}"]
    return _indented(lines, 6)


def _pairs(data: DataLook, val: DataLook | None) -> str:
    if data.files.name == "meta.json":
        lines = [
            "class_path: datamodules.MMPRFolder",
            f"init_args: {_flow({'meta': str(data.files.files[0])})}",
        ]
        return _indented(lines, 6)
    return _indented(_folder("PreferenceFolder", data, {} if val is None else {"val": val.files.name}), 6)


def _folder(kind: str, data: DataLook, names: Mapping[str, Any]) -> list[str]:
    origin = f"those of {data.preset}" if data.preset else "guessed from names and cells"
    lines = [f"class_path: datamodules.{kind}", f"init_args:                  # columns: {origin}; docs/data.md"]
    lines += [f"  {key}: {_flow(value)}" for key, value in _given_names(data, names, split="train").items()]
    return [*lines, f"  columns: {_flow(data.guess.keys)}"]


def _given_names(data: DataLook, names: Mapping[str, Any], *, split: str) -> dict[str, Any]:
    given = {"train": None} if split == "val" else {}
    return {"path": data.files.folder, **given, split: data.files.name, **names}


def _template(data: DataLook, model: ModelLook) -> str:
    template = settings.template_of(data, model)
    if not template.hint:
        return "      # no template: the questions ask for \\boxed{} themselves\n"
    lines = ["template:                 # the rewards look for this form; wording after DeepSeek-R1 and EasyR1"]
    lines += [f"  hint: {_flow(template.hint)}"]
    if template.choice_hint is not None:
        lines.append(f"  choice_hint: {_flow(template.choice_hint)}")
    return _indented(lines, 6)


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9)
    return text.removesuffix("\n").removesuffix("\n...")


def _indented(lines: list[str], number: int) -> str:
    return "".join(f"{' ' * number}{line}\n" for line in lines)
