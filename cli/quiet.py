"""Silences messages of libraries about which a user can do nothing."""

import logging
import warnings

import transformers
from jsonargparse._deprecated import JsonargparseDeprecationWarning


def quiet(*, trains: bool = True) -> None:
    """Silence these messages.

    Args:
        trains: False for a command that only reads the weights of a checkpoint.
    """
    # The saved states of callbacks matter to a resumed run, and not to a command that only reads weights.
    left_out = "Be aware that when using `ckpt_path`, callbacks used to create the checkpoint need to be provided"
    warnings.filterwarnings("default" if trains else "ignore", left_out)
    # Progress bars for each model that is loaded and each file that is written.
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", "LightningCLI's args parameter is intended")
    # Loaders have no workers on purpose: a prompt holds no pixels, so prefetching would gain nothing.
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*Checkpoint directory.*exists and is not empty.*")
    # The project prints its own message when it chooses the checkpoint.
    warnings.filterwarnings("ignore", ".*there is no last checkpoint available.*")
    # A training run may have no validation rows.
    warnings.filterwarnings("ignore", "Total length of `list` across ranks is zero.*")
    # The CSV logger warns that it deletes files; the project has renamed them before.
    warnings.filterwarnings("ignore", ".*Experiment logs directory.*exists and is not empty.*")
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")
    # The warning is about changing a layer's output in place, and no code here does so.
    warnings.filterwarnings("ignore", ".*FSDP2-wrapped module.*returned a view tensor.*")
    # The seed is part of the run's name.
    logging.getLogger("lightning.fabric.utilities.seed").setLevel(logging.WARNING)
    # Frozen parts are in eval mode on purpose.
    warnings.filterwarnings("ignore", r".*module\(s\) in eval mode at the start of training.*")
    warnings.filterwarnings("ignore", category=JsonargparseDeprecationWarning)
