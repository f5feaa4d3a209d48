"""Files and folders that are written completely or not at all, so that they survive a killed process."""

from storage.checkpoints import UnreadableCheckpoint, newest_readable, read_checkpoint
from storage.folder_lock import FolderInUse, folder_lock
from storage.slices import VALUES_NAME, load_slices
from storage.whole import remove, remove_drafts, replace_link, whole_file, whole_folder

__all__ = [
    "VALUES_NAME",
    "FolderInUse",
    "UnreadableCheckpoint",
    "folder_lock",
    "load_slices",
    "newest_readable",
    "read_checkpoint",
    "remove",
    "remove_drafts",
    "replace_link",
    "whole_file",
    "whole_folder",
]
