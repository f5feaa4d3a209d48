"""Reads the index of a folder of slices without running code.

``torch.distributed.checkpoint`` pickles its index (``.metadata``) and all values that are no tensors. Its own reader
unpickles both without limits.
"""

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta
from torch.distributed.checkpoint.planner import ReadItem
from torch.distributed.checkpoint.state_dict_loader import load

INDEX_NAME = ".metadata"
VALUES_NAME = "meta.pt"  # Lightning's name of the file with everything that is not sliced

# Classes in an index. Any other name could be a function that runs when it is unpickled.
_METADATA = "torch.distributed.checkpoint.metadata"
_ALLOWED = {
    ("collections", "OrderedDict"),
    ("pathlib", "PosixPath"),
    ("pathlib._local", "PosixPath"),  # where Python 3.13 wrote it
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    (_METADATA, "BytesStorageMetadata"),
    (_METADATA, "ChunkStorageMetadata"),
    (_METADATA, "Metadata"),
    (_METADATA, "MetadataIndex"),
    (_METADATA, "StorageMeta"),
    (_METADATA, "TensorProperties"),
    (_METADATA, "TensorStorageMetadata"),
    (_METADATA, "_MEM_FORMAT_ENCODING"),
}


@dataclass(frozen=True)
class SliceIndex:
    """The files of the slices."""

    metadata: Metadata

    def file_sizes(self) -> dict[str, int]:
        """Return for each file of slices the smallest size in bytes that can hold all its slices."""
        sizes: dict[str, int] = {}
        for info in self.metadata.storage_data.values():
            sizes[info.relative_path] = max(sizes.get(info.relative_path, 0), info.offset + info.length)
        return sizes


def read_slice_index(path: Path) -> SliceIndex:
    """Return the index of a folder of slices.

    Raises:
        pickle.UnpicklingError: when the file holds a class that does not belong to an index.
    """
    with path.open("rb") as file:
        metadata = _IndexUnpickler(file).load()
    if not isinstance(metadata, Metadata):
        raise pickle.UnpicklingError(f"it holds a {type(metadata).__name__}")
    return SliceIndex(metadata)


def load_slices(state: dict[str, Any], folder: Path) -> None:
    """Fill the tensors and values of a state, in place, from a folder of slices; a collective call.

    Raises:
        CheckpointException: for slices that do not fit, and for values that are neither tensors nor plain values. It is
            no subclass of ``Exception``.
    """
    load(state, storage_reader=PlainReader(folder), planner=PlainPlanner())


class PlainReader(FileSystemReader):
    """torch's reader of a folder of slices, except that reading the index runs no code."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """Return the index."""
        metadata = read_slice_index(Path(self.path) / INDEX_NAME).metadata
        if metadata.storage_meta is None:
            metadata.storage_meta = StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata


class PlainPlanner(DefaultLoadPlanner):
    """torch's planner, except that it accepts only tensors and plain values beside the slices."""

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        """Keep a value that is not a tensor."""
        plain = io.BytesIO()
        # Read with limits and serialised again, because the base class would read the original without limits.
        try:
            torch.save(torch.load(value, weights_only=True), plain)
        except pickle.UnpicklingError:
            # torch's own message would recommend reading without limits.
            name = read_item.dest_index.fqn
            raise pickle.UnpicklingError(f"{name} is neither a tensor nor a plain value") from None
        plain.seek(0)
        super().load_bytes(read_item, plain)


class _IndexUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return a class or value that an index may refer to."""
        is_dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if (module, name) not in _ALLOWED and not is_dtype:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}")
        return super().find_class(module, name)
