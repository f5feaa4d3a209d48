"""Processors: what turns text and images into tensors, loaded with their settings for video left aside.

The processors of Qwen-VL and InternVL hold a video processor, which needs torchvision. This project trains on images:
without torchvision it loads the same processor class without that part, and writes its settings back on export, so
that the exported folder is complete for those who have torchvision.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoProcessor, AutoTokenizer, PreTrainedTokenizerFast
from transformers.models.auto import processing_auto
from transformers.utils.hub import cached_file
from transformers.utils.import_utils import is_torchvision_available

_PROCESSORS: Any = vars(processing_auto)["PROCESSOR_MAPPING_NAMES"]  # class names by model type
# Where transformers keeps the settings of the video part: a section of the first, or the whole of the second.
_NESTED, _ALONE = "processor_config.json", "video_preprocessor_config.json"


def load_processor(path: str, *, trust_remote_code: bool = False) -> Any:
    """Return the processor of a model.

    Args:
        path: folder or hub name.
        trust_remote_code: run code that lies beside the weights.

    Raises:
        ImportError: when the image processor needs a package that is not installed.
        OSError: when there is no processor.
    """
    config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
    name = _PROCESSORS.get(config.model_type)
    processor_class = processing_auto.processor_class_from_name(name) if name else None
    has_video = processor_class is not None and "video_processor" in processor_class.get_attributes()
    if not has_video or is_torchvision_available():
        return AutoProcessor.from_pretrained(path, trust_remote_code=trust_remote_code)
    processor = image_only(processor_class).from_pretrained(path)
    if settings := _video_settings(path):
        processor.video_processor = settings  # saved with the rest, read by nobody
    return processor


@cache
def image_only(processor_class: Any) -> Any:
    """Return a processor class without its video part; it is saved under the name of the whole."""
    kept = [name for name in processor_class.get_attributes() if name != "video_processor"]
    return type(
        processor_class.__name__,
        (processor_class,),
        {"get_attributes": classmethod(lambda cls: kept), "__module__": processor_class.__module__},
    )


def load_tokenizer(path: str, *, trust_remote_code: bool = False) -> Any:
    """Return the tokenizer as it was saved.

    For a Qwen2 folder ``AutoTokenizer`` takes Qwen2's own class even when another was saved, and with it
    another way of splitting words.
    """
    settings = Path(path).expanduser() / "tokenizer_config.json"
    saved_class = json.loads(settings.read_text()).get("tokenizer_class") if settings.is_file() else None
    if saved_class in ("TokenizersBackend", "PreTrainedTokenizerFast"):
        return PreTrainedTokenizerFast.from_pretrained(path)
    return AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)


def _video_settings(path: str) -> dict[str, Any] | None:
    nested = _read(path, _NESTED).get("video_processor")
    return nested or _read(path, _ALONE) or None


def _read(path: str, name: str) -> dict[str, Any]:
    found = cached_file(path, name, _raise_exceptions_for_missing_entries=False)
    return json.loads(Path(found).read_text()) if found else {}
