"""What suits a start: patches of the right shape, and a rate that does not wash out what a model knows already.

>>> from plantseg_app.train.settings import PatchSettings
>>> suited_patches(PatchSettings(), is_2d=True).shape_vox
(1, 96, 96)
>>> suited_patches(PatchSettings(), is_2d=True, sees_objects=True).shape_vox
(1, 256, 256)
>>> suited_patches(PatchSettings(shape_vox=(1, 128, 128)), is_2d=False).shape_vox
(32, 128, 128)
>>> suggested_rate(fine_tunes=True) < suggested_rate(fine_tunes=False)
True
"""

from __future__ import annotations

from pathlib import Path

from plantseg_app.train.settings import OptimiserSettings, PatchSettings

_FINE_TUNING_RATE = 3e-4
# What learns which objects are neighbours must see several of them, each as a whole.
_OBJECTS_VOX = 256


def suited_patches(patches: PatchSettings, is_2d: bool, sees_objects: bool = False) -> PatchSettings:
    """Return `patches` as a network takes them: one slice in 2D, several in 3D, and large where it must see objects.

    Parameters
    ----------
    patches
        The present ones; a size in the plane that a person chose is left as it is.
    is_2d
        Whether the network sees single slices.
    sees_objects
        Whether it must see several whole objects in a patch.
    """
    usual = PatchSettings().shape_vox
    z, y, x = patches.shape_vox
    if is_2d != (z == 1):
        z = 1 if is_2d else usual[0]
    if (y, x) in (usual[1:], (_OBJECTS_VOX, _OBJECTS_VOX)):
        y, x = (_OBJECTS_VOX, _OBJECTS_VOX) if sees_objects else usual[1:]
    return patches if (z, y, x) == patches.shape_vox else patches.model_copy(update={"shape_vox": (z, y, x)})


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
