"""Weights and processors from folders: whole, in shards, in InternViT's own layout."""
