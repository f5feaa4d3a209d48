"""Modular reassembly: a vision tower and a language model trained apart, joined by a fresh adapter.

    y = f_l(f_c(f_v(x_v)), x_t)        R1V2, arXiv:2504.16656, eq. 1: only f_c, the adapter, is trained

The joined model is of a stock class, so that vLLM and ``transformers`` load it without this project:

    tower                 class                              adapter
    InternViT             InternVLForConditionalGeneration   pixel shuffle, LayerNorm, two linear layers (the paper's)
    SigLIP, CLIP          LlavaForConditionalGeneration      two linear layers on the tower's own patches
"""

from models.assembly.assemble import assemble
from models.assembly.internvl import Tiling

__all__ = ["Tiling", "assemble"]
