"""Synthetic rows in the exact layouts of public data sets: same files, columns and types, invented content.

    python -m tests.datamodules.public_layouts FOLDER     writes all of them below FOLDER

No row is from the data set whose layout it has.
"""

from collections.abc import Callable
from pathlib import Path

from tests.datamodules.public_layouts import benchmarks, hallucination, preferences, training
from tests.datamodules.public_layouts.training import write_geometry3k

# By the name of the preset in configs/datasets, and the folder that the preset reads.
LAYOUTS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "geometry3k": ("geometry3k", write_geometry3k),
    "mmk12": ("MMK12", training.write_mmk12),
    "mm_eureka": ("mm_eureka", training.write_mm_eureka),
    "virl39k": ("ViRL39K", training.write_virl39k),
    "verl": ("verl", training.write_verl),
    "mathvista": ("MathVista", benchmarks.write_mathvista),
    "mathvision": ("MathVision", benchmarks.write_mathvision),
    "mmmu": ("MMMU", benchmarks.write_mmmu),
    "mmmu_pro": ("MMMU_Pro", benchmarks.write_mmmu_pro),
    "mmmu_pro_vision": ("MMMU_Pro", benchmarks.write_mmmu_pro),
    "olympiadbench": ("OlympiadBench", benchmarks.write_olympiadbench),
    "aime24": ("aime_2024", benchmarks.write_aime24),
    "pope": ("POPE", hallucination.write_pope),
    "hallusion_bench": ("HallusionBench", hallucination.write_hallusion_bench),
    "amber": ("AMBER", hallucination.write_amber),
    "amber_generative": ("AMBER", hallucination.write_amber),
    "amber_both": ("AMBER", hallucination.write_amber),
    "coco_captions": ("coco", hallucination.write_coco_captions),
    "coco_objects": ("coco", hallucination.write_coco_objects),
    "mmpr": ("MMPR-v1.2", preferences.write_mmpr),
    "rlaif_v": ("RLAIF-V-Dataset", preferences.write_rlaif_v),
    "vl_rewardbench": ("VL-RewardBench", preferences.write_vl_rewardbench),
}


def write_layout(preset: str, root: Path) -> Path:
    """Write the synthetic rows of one layout below a folder, and return their folder."""
    name, write = LAYOUTS[preset]
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "SYNTHETIC.txt").write_text("Synthetic rows for tests, in the layout of a public data set.\n")
    write(folder)
    return folder


__all__ = ["LAYOUTS", "write_geometry3k", "write_layout"]
