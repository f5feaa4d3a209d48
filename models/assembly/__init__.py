"""Modular reassembly: a vision tower and a language model joined by a fresh adapter."""
