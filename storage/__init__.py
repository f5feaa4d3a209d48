"""Files and folders that are written completely or not at all, so that they survive a killed process."""

from storage.whole import whole_file, whole_folder

__all__ = ["whole_file", "whole_folder"]
