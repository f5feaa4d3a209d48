"""Names of settings in other trainers, and the last part of the setting's key here."""

SYNONYMS = {
    "lr": "learning_rate",
    "beta": "kl_weight",  # TRL: of the KL penalty; model.mpo.beta is found by its own name
    "kl_coef": "kl_weight",
    "epsilon": "clip_low",
    "epsilon_high": "clip_high",
    "num_generations": "group_size",
    "rollout_n": "group_size",
    "max_completion_length": "max_new_tokens",
    "max_tokens": "max_new_tokens",
    "max_prompt_length": "max_prompt_tokens",
    "gradient_accumulation_steps": "accumulate_grad_batches",
    "max_grad_norm": "gradient_clip_val",
    "gradient_checkpointing": "recompute_activations",
    "per_device_train_batch_size": "prompts_per_rollout",
    "model_name_or_path": "path",
    "num_train_epochs": "max_epochs",
    "reward_weights": "weight",
    "bf16": "precision",
    "gpus": "devices",
    "output_dir": "default_root_dir",
    "resume_from_checkpoint": "ckpt_path",
    "seed": "seed_everything",
}
"""Name elsewhere -> name here; most names are TRL's, ``kl_coef`` and ``rollout_n`` are verl's."""
