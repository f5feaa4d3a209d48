"""Judged samples of evaluations: their file, and a page to look through them."""

from evaluation.samples import JudgedSample, read_samples, write_samples

__all__ = ["JudgedSample", "read_samples", "write_samples"]
