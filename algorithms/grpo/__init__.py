"""GRPO and its relatives: settings, advantages, and an objective made of ratio, surrogate, average and KL."""
