"""Layers of different grids lie on top of each other: the corners of what they show coincide."""

from __future__ import annotations

import numpy as np
import pytest

from plantseg_app.core.context import QuietContext
from plantseg_app.core.step import make_step
from plantseg_app.core.volume import Kind, Origin, Volume
from plantseg_app.gui.geometry import grid_of

SIZE_UM = (0.5, 0.2, 0.1)


def image(known: bool) -> Volume:
    shape = (8, 12, 16)
    data = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    size = SIZE_UM if known else None
    return Volume(data, Kind.RAW, size, "image", Origin("a.tif", "", shape, size))


def outer_corners(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    grid = grid_of(volume)
    scale, translate = np.array(grid.scale), np.array(grid.translate)
    return translate - scale / 2, translate + scale * (np.array(volume.shape_vox) - 0.5)


def run(step: str, volume: Volume, **settings: object) -> Volume:
    import plantseg_app.steps  # noqa: F401

    return make_step(step, settings).execute({"image": volume}, QuietContext())


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_rescaled_image_covers_the_same_ground(known: bool, factor: float) -> None:
    whole = image(known)
    scaled = run("rescale", whole, factor=(factor,) * 3)
    for ours, theirs in zip(outer_corners(scaled), outer_corners(whole), strict=True):
        assert ours == pytest.approx(theirs)
    assert grid_of(whole).translate == (0.0, 0.0, 0.0)
    assert grid_of(whole).in_um is known


@pytest.mark.parametrize("known", [True, False])
def test_a_crop_lies_at_its_place_also_when_rescaled(known: bool) -> None:
    whole = image(known)
    crop = run("crop", whole, box="2:6, 3:9, 4:12")
    spacing = np.array(SIZE_UM if known else (1.0, 1.0, 1.0))
    first, last = outer_corners(crop)
    assert first == pytest.approx((np.array([2, 3, 4]) - 0.5) * spacing)
    assert last == pytest.approx((np.array([6, 9, 12]) - 0.5) * spacing)
    for ours, theirs in zip(outer_corners(run("rescale", crop, factor=2.0)), (first, last), strict=True):
        assert ours == pytest.approx(theirs)
