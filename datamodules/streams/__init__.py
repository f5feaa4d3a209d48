"""Batches for the trainer: their order, ranks, resuming, and selection of pairs."""
