"""What suits a start: patches of the right shape, and a rate that does not wash out what a model knows already.

>>> from plantseg_app.train.settings import PatchSettings
>>> suited_patches(PatchSettings(), is_2d=True).shape_vox
(1, 96, 96)
>>> suited_patches(PatchSettings(shape_vox=(1, 256, 256)), is_2d=False).shape_vox
(32, 256, 256)
>>> suggested_rate(fine_tunes=True) < suggested_rate(fine_tunes=False)
True
"""

from __future__ import annotations

from pathlib import Path

from plantseg_app.train.settings import OptimiserSettings, PatchSettings

_FINE_TUNING_RATE = 3e-4


def suited_patches(patches: PatchSettings, is_2d: bool) -> PatchSettings:
    """Return `patches` with a depth that a network takes: one slice in 2D, several in 3D."""
    z, y, x = patches.shape_vox
    if is_2d == (z == 1):
        return patches
    depth = 1 if is_2d else PatchSettings().shape_vox[0]
    return patches.model_copy(update={"shape_vox": (depth, y, x)})


def suggested_rate(fine_tunes: bool) -> float:
    """Return the learning rate to begin with."""
    return _FINE_TUNING_RATE if fine_tunes else OptimiserSettings().rate


def free_name(parent: Path, wish: str, suffix: str = "") -> str:
    """Return `wish`, with a number where the folder `parent` holds something of that name and `suffix` already."""
    name, count = wish, 1
    while (parent / f"{name}{suffix}").exists():
        count += 1
        name = f"{wish}-{count}"
    return name
