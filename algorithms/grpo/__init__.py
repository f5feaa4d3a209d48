"""GRPO and its relatives: settings, advantages, importance ratios, KL, loss."""
