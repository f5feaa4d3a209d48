"""Attention of a policy's language model: one cache for several heads, and prompts shared by their completions."""

from models.reading.attention.interface import packed, set_attention
from models.reading.attention.layout import Layout, pack

__all__ = ["Layout", "pack", "packed", "set_attention"]
