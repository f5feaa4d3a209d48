"""Measures how seconds and memory of a training step grow with model, prompt, group and answer, here and in TRL."""
