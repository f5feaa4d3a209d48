"""Finds settings that ``save_pretrained`` refuses before a model is loaded; the export at the end of training would be
too late.
"""

from tempfile import TemporaryDirectory

from transformers import AutoConfig, GenerationConfig, PretrainedConfig

from algorithms import ConfigError
from models.loading.files import expanded


def check_saveable(key: str, path: str, *, trust_remote_code: bool = False) -> None:
    """Write the config and the generation config of a model to a temporary folder, as a test.

    Args:
        key: setting that holds the path, as a user types it.
        path: folder or hub name, which has a config.
        trust_remote_code: run code that lies beside the weights.

    Raises:
        ConfigError: when transformers refuses to write one of them, with its reason and the file to change.
    """
    config = AutoConfig.from_pretrained(expanded(path), trust_remote_code=trust_remote_code)
    # Which of the two files is being written, for the error.
    file = "config.json"
    with TemporaryDirectory() as folder:
        try:
            config.save_pretrained(folder)
            file = "generation_config.json"
            _generation_config(path, config).save_pretrained(folder)
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"{key} is {path!r}, whose {file} cannot be saved again, so that the export after training would fail: "
                f"{_reason(error)}. Change that file; a model of the hub must be fetched to a folder first."
            ) from error


def _generation_config(path: str, config: PretrainedConfig) -> GenerationConfig:
    """Return what a model loaded from a path has as ``generation_config``."""
    try:
        return GenerationConfig.from_pretrained(expanded(path))
    except OSError:  # there is no such file
        return GenerationConfig.from_model_config(config)


def _reason(error: Exception) -> str:
    """Return transformers' list of what is wrong as one line."""
    # The text after the list asks to fix "these issues" and links to a page; users do not need it.
    listed = str(error).partition("\n\n")[0].partition("\nIf you're using")[0]
    lines = [line.strip("- ") for line in listed.splitlines()]
    return " ".join(line for line in lines if line).rstrip(".")
