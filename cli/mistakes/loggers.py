"""Refuses loggers whose package is not installed: Lightning notices this late, and the parser hides its message."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from algorithms import ConfigError

# Class -> module, and the package to install if it has another name.
_NEEDS = {
    "WandbLogger": ("wandb", "wandb"),
    "MLFlowLogger": ("mlflow", "mlflow"),
    "CometLogger": ("comet_ml", "comet-ml"),
    "NeptuneLogger": ("neptune", "neptune"),
    "LitLogger": ("litlogger", "litlogger"),
}


def check_loggers(config: Mapping[str, Any]) -> None:
    """Refuse a logger whose package is missing.

    Args:
        config: the whole config, without levels named ``init_args``.

    Raises:
        ConfigError: names the command that installs the package.
    """
    trainer = config.get("trainer")
    given = trainer.get("logger") if isinstance(trainer, dict) else None
    for logger in given if isinstance(given, list) else [given]:
        path = logger.get("class_path") if isinstance(logger, dict) else logger
        needs = _NEEDS.get(path.rpartition(".")[2]) if isinstance(path, str) else None
        if needs and find_spec(needs[0]) is None:
            raise ConfigError(
                f"trainer.logger is {path}, which needs the package {needs[1]}, and it is not installed: "
                f"pip install {needs[1]}, or leave the TensorBoard logger of the config."
            )
