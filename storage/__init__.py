"""Writes files and folders completely or not at all, so that a killed process leaves none half written."""

from storage.checkpoints import UnreadableCheckpoint, newest_readable, read_checkpoint
from storage.folder_lock import LOCK_NAME, FolderInUse, folder_lock, is_locked
from storage.notes import notes_folder
from storage.slices import VALUES_NAME, load_slices
from storage.whole import check_writable, remove, remove_drafts, replace_link, whole_file, whole_folder

__all__ = [
    "LOCK_NAME",
    "VALUES_NAME",
    "FolderInUse",
    "UnreadableCheckpoint",
    "check_writable",
    "folder_lock",
    "is_locked",
    "load_slices",
    "newest_readable",
    "notes_folder",
    "read_checkpoint",
    "remove",
    "remove_drafts",
    "replace_link",
    "whole_file",
    "whole_folder",
]
