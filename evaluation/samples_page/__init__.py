"""A static page to look through the samples of one run, or of two side by side."""

from evaluation.samples_page.page import write_page

__all__ = ["write_page"]
