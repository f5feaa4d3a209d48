"""The real chain with what is small: photographs of one gray each, a tower of one layer, a Llama of two.

Its configs, their order, and what leads from one stage to the next are those of the chain itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from experiments.real import measures, stages
from tests.datamodules.photographs.made import write_collection
from tests.models.conventions import CONVENTIONS, tokenizer_of

_TOWER = "--model.init_args.tower.init_args"


@contextmanager
def measured_on_small_photographs(root: Path) -> Iterator[None]:
    """Write the photographs into ``root/idx``; while the context is open, measures draw their pictures from them."""
    folder = write_collection(root / "idx")
    with pytest.MonkeyPatch.context() as patched:
        for source in ("MosaicFolder", "MosaicDemonstrations"):
            cls = getattr(measures, source)
            patched.setattr(measures, source, lambda cls=cls, **given: cls(folder=str(folder), **given))
        yield


def small_flags(name: str, root: Path) -> Sequence[str]:
    """Return the flags with which a stage is small.

    Args:
        name: of the stage.
        root: where the photographs are, and everything that is made.
    """
    further = {
        "tower": [f"{_TOWER}.hidden_size=32", f"{_TOWER}.num_layers=1"],
        # A random policy rarely ends, and a completion that was cut is never chosen.
        "pairs": ["--model.init_args.sampling.max_new_tokens=96"],
        "words": [f"--model.init_args.policy.init_args.language_model={random_llama(root / 'llama')}"],
    }
    data = f"--data.init_args.{'pairs' if name == 'reward_model' else 'source'}.init_args"
    return [f"{data}.folder={root / 'idx'}", f"{data}.root={root}", *stages.QUIET, *further.get(name, ())]


def random_llama(folder: Path) -> Path:
    """Write a Llama of two layers, with heads of 32 as vLLM asks for on CPUs, that spells every word byte by byte."""
    if folder.is_dir():
        return folder
    tokenizer = tokenizer_of(CONVENTIONS["internvl"])
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=True, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
