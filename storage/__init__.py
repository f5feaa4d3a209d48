"""What lies on disk and must survive a kill: files and folders that are written whole or not at all."""

from storage.whole import whole_file, whole_folder

__all__ = ["whole_file", "whole_folder"]
