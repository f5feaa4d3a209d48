"""Images of deep or floating grays keep their picture; an unknown scale costs the row."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.rows.image_checks import check_image
from datamodules.rows.images import ImageFile

RAMP = np.linspace(0.0, 1.0, 64).reshape(8, 8)


def saved(folder: Path, values: np.ndarray) -> ImageFile:
    Image.fromarray(values).save(folder / "ramp.tif")
    return ImageFile(folder / "ramp.tif")


@pytest.mark.parametrize(
    ("scale", "kind"),
    [
        (1.0, np.float32),
        (255.0, np.float32),
        (65535.0, np.float32),
        (255.0, np.int32),
        (65535.0, np.int32),
        (2.0**31 - 1, np.int32),
        (65535.0, np.uint16),
        (255.0, np.uint8),
    ],
)
def test_a_ramp_from_black_to_white_stays_one(tmp_path: Path, scale: float, kind: type) -> None:
    image = saved(tmp_path, (RAMP * scale).astype(kind))
    assert check_image(image, 10**6) is None
    grays = np.asarray(image.load())[..., 0].astype(int)
    assert np.abs(grays - RAMP * 255.0).max() <= 1.0


@pytest.mark.parametrize(
    "values",
    [
        (RAMP * 2 - 1).astype(np.float32),
        (RAMP * 1e6).astype(np.float32),
        (RAMP * 1e6).astype(np.int32),
        np.full((8, 8), np.nan, np.float32),
    ],
)
def test_grays_of_an_unknown_scale_are_refused_and_never_guessed(tmp_path: Path, values: np.ndarray) -> None:
    image = saved(tmp_path, values)
    assert check_image(image, 10**6) == "unknown gray scale"
    with pytest.raises(ValueError, match="gray values"):
        image.load()
