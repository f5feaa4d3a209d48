"""Draws ``docs/figures/social_preview.png``, the picture that a link to the project shows: 1280 x 640 pixels.

    python docs/site/social_preview.py

The pictures are of the held-out test, and the bars are the table of the README, which ``make results`` writes.
"""

import re
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from datamodules.shapes.language import LEVELS
from datamodules.shapes.scene import draw_scene, sample_scene

TARGET = Path("docs/figures/social_preview.png")
INK, PALE, BEFORE, AFTER = "#1a237e", "#5c6bc0", "#b0bec5", "#3949ab"
MEASURES = ("greedy accuracy", "hallucination rate")


def readme_table() -> dict[str, tuple[float, float]]:
    """Return the measures of the README's table, mean before and after training, in percent."""
    mean = r"([\d.]+)(?: ± [\d.]+)? %"
    rows = re.findall(rf"^\| ([\w -]+) \| {mean} \| {mean} \|", Path("README.md").read_text(), re.MULTILINE)
    return {name: (float(before), float(after)) for name, before, after in rows}


def draw() -> Figure:
    """Return the picture."""
    figure = plt.figure(figsize=(12.8, 6.4), dpi=100, facecolor="white")
    figure.text(0.05, 0.80, "r1v2-lightning", fontsize=58, fontweight="bold", color=INK)
    figure.text(0.05, 0.69, "The training recipe of Skywork R1V2, open", fontsize=29, color=INK)
    figure.text(0.05, 0.615, "MPO, GRPO, Selective Sample Buffer, hallucination loop", fontsize=19, color=PALE)
    for column in range(4):
        pane = figure.add_axes((0.05 + 0.135 * column, 0.20, 0.12, 0.24))
        pane.imshow(draw_scene(sample_scene(0, "test", "prompts", column, num_objects=LEVELS["medium"].num_objects)))
        pane.axis("off")
    figure.text(0.05, 0.48, "how many red ?   (held-out pictures)", fontsize=19, color=INK)
    figure.text(0.05, 0.09, "PyTorch Lightning; runs on two CPU cores; FSDP2, vLLM", fontsize=19, color=PALE)
    bars = figure.add_axes((0.67, 0.20, 0.29, 0.34))
    table = readme_table()
    for place, name in enumerate(MEASURES):
        for side, (value, color) in enumerate(zip(table[name], (BEFORE, AFTER), strict=True)):
            x = place + 0.36 * (side - 0.5)
            bars.bar(x, value, width=0.33, color=color)
            bars.text(x, value + 2, f"{value:.0f} %", ha="center", fontsize=19, color=INK)
    bars.set_xticks(range(len(MEASURES)), [name.replace(" ", "\n") for name in MEASURES], fontsize=18, color=INK)
    bars.set_yticks([])
    bars.set_ylim(0, 100)
    bars.tick_params(length=0)
    bars.spines[["top", "left", "right"]].set_visible(False)
    figure.text(0.815, 0.57, "before and after GRPO", fontsize=19, color=INK, ha="center")
    return figure


if __name__ == "__main__":
    draw().savefig(TARGET)
