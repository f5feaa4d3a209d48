"""Processors: they turn text and images into tensors, and are loaded without their part for video where it cannot run.

The processors of Qwen-VL and InternVL hold a video processor, which needs torchvision. This project trains on images:
without torchvision it loads the same processor class without that part, and writes its settings back on export, so
that the exported folder is complete for users with torchvision.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoProcessor, AutoTokenizer, PreTrainedTokenizerFast, ProcessorMixin
from transformers.utils.hub import cached_file
from transformers.utils.import_utils import is_torchvision_available

from models.families import family_of_config
from models.families.language_model import LanguageModelOnly
from models.reading.prompt_encoder import Processor, Tokenizer

# Where transformers keeps the settings of the video part: a section of the first, or the whole of the second.
_NESTED, _ALONE = "processor_config.json", "video_preprocessor_config.json"


def load_processor(path: str, *, trust_remote_code: bool = False) -> Processor:
    """Return the processor of a model.

    Args:
        path: folder or hub name.
        trust_remote_code: run code that lies beside the weights.

    Raises:
        ConfigError: for a vision-language model of an unknown family.
        ImportError: when the image processor needs a package that is not installed.
        OSError: when there is no processor.
    """
    config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
    family = family_of_config(config)
    # A model with code of its own names the class of its processor.
    if isinstance(family, LanguageModelOnly) and not trust_remote_code:
        return load_tokenizer(path)
    processor_class = family.processor_class
    if processor_class is None or is_torchvision_available():
        return AutoProcessor.from_pretrained(path, trust_remote_code=trust_remote_code)
    processor: Any = image_only(processor_class).from_pretrained(path)
    if settings := _video_settings(path):
        # Exports save this with the other settings; this class never reads it.
        processor.video_processor = settings
    return processor


@cache
def image_only(processor_class: type[ProcessorMixin]) -> type[ProcessorMixin]:
    """Return a processor class without its video part; exports name the whole class."""
    kept = [name for name in processor_class.get_attributes() if name != "video_processor"]
    return type(
        processor_class.__name__,
        (processor_class,),
        # transformers makes and checks the parts that this method lists.
        {"get_attributes": classmethod(lambda cls: kept), "__module__": processor_class.__module__},
    )


def load_tokenizer(path: str) -> Tokenizer:
    """Return the tokenizer as it was saved.

    For a Qwen2 folder ``AutoTokenizer`` takes Qwen2's own class even when another was saved, and with it
    another way of splitting words.
    """
    settings = Path(path).expanduser() / "tokenizer_config.json"
    saved_class = json.loads(settings.read_text()).get("tokenizer_class") if settings.is_file() else None
    # Both names mean: no class of its own, all is in tokenizer.json. transformers 5 writes the first.
    if saved_class in ("TokenizersBackend", "PreTrainedTokenizerFast"):
        return PreTrainedTokenizerFast.from_pretrained(path)
    return AutoTokenizer.from_pretrained(path)


def _video_settings(path: str) -> dict[str, Any] | None:
    nested = _read(path, _NESTED).get("video_processor")
    return nested or _read(path, _ALONE) or None


def _read(path: str, name: str) -> dict[str, Any]:
    """Return the settings in a file; none where the file is missing."""
    found = cached_file(path, name, _raise_exceptions_for_missing_entries=False)
    return json.loads(Path(found).read_text()) if found else {}
