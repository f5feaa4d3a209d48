"""Batches for the trainer: order, ranks, resuming, selection of pairs."""
