"""A static page for reading the samples of one run, or of two runs side by side."""

from evaluation.samples_page.page import write_page

__all__ = ["write_page"]
