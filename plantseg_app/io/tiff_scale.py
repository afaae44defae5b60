"""Finds the voxel size of a TIFF series in all the places where programs hide it.

In this order: OME-XML, ImageJ's description, the headers of LSM and Micro-Manager, this program's own JSON, the
resolution tags. A density of screens and printers (72 dpi, 300 dpi) says nothing about a sample and is passed over.
"""

from __future__ import annotations

import json
import math
from typing import Any

from plantseg_app.io.ome import OmeImage
from plantseg_app.io.voxelsize import NO_SCALE, Scale, clean_unit, is_print_density, micrometres, number, scale_of

_NO_LENGTH = ("pixel", "px", "pixels")
_TAG_UNITS = {2: "inch", 3: "cm"}


def scale_of_series(tif: Any, series: Any, ome: OmeImage | None, depth: int) -> Scale:
    """Return the voxel size of a series.

    Parameters
    ----------
    tif
        The `tifffile.TiffFile`.
    series
        The `tifffile.TiffPageSeries`.
    ome
        What its OME-XML says about it, if it has one.
    depth
        How many slices it has: where there is one, the distance between slices need not be known.
    """
    page = series.keyframe
    if ome is not None and ome.scale is not NO_SCALE:
        return ome.scale
    if tif.imagej_metadata:
        return _imagej_scale(tif.imagej_metadata, page, depth, "ImageJ's description")
    for found in (_lsm_scale(tif), _micromanager_scale(tif, depth), _json_scale(tif, page, depth)):
        if found is not None:
            return found
    return _tag_scale(page, depth)


def _densities(page: Any) -> tuple[float, float]:
    # (y, x) in pixels a unit; NaN where the tag is missing.
    values = []
    for name in ("YResolution", "XResolution"):
        tag = page.tags.get(name)
        values.append(number(tag.value) if tag is not None else math.nan)
    return values[0], values[1]


def _imagej_scale(meta: dict[str, Any], page: Any, depth: int, source: str) -> Scale:
    unit = meta.get("unit")
    per_y, per_x = _densities(page)
    spacing = meta.get("spacing")
    if clean_unit(unit) in _NO_LENGTH:
        return Scale(None, f"{source} counts in pixels")
    factor = micrometres(unit)
    if factor is None and clean_unit(unit):
        return Scale(None, f'{source} counts in "{unit}", which is not a unit of length')
    if not (per_y > 0 and per_x > 0):
        return NO_SCALE
    if factor is None:
        return _unitless_scale(page, spacing, depth, source)
    note = source
    if spacing is None:
        # ImageJ leaves out a spacing of 1; in a single slice any will do.
        spacing = 1.0 if depth > 1 else 1.0 / per_y
        note = f"{source} (no spacing: 1 {unit}, as ImageJ means it)" if depth > 1 else source
    return scale_of((abs(number(spacing)), 1.0 / per_y, 1.0 / per_x), factor, note)


def _unitless_scale(page: Any, spacing: Any, depth: int, source: str) -> Scale:
    per_y, per_x = _densities(page)
    tag = page.tags.get("ResolutionUnit")
    unit = _TAG_UNITS.get(int(tag.value)) if tag is not None else None
    factor = micrometres(unit)
    if factor is not None:
        if is_print_density(per_x / factor):
            return NO_SCALE
        z = abs(number(spacing)) if spacing is not None else 1.0 / per_y if depth == 1 else None
        if z is None:
            return _without_depth(factor / per_y, factor / per_x)
        return scale_of((z, 1.0 / per_y, 1.0 / per_x), factor, f"{source} and resolution tags in {unit}")
    if per_y == 1.0 and per_x == 1.0 and number(spacing if spacing is not None else 1.0) == 1.0:
        return NO_SCALE
    z = abs(number(spacing)) if spacing is not None else 1.0 if depth > 1 else 1.0 / per_y
    return scale_of((z, 1.0 / per_y, 1.0 / per_x), 1.0, f"{source} (no unit: micrometres assumed)")


def _lsm_scale(tif: Any) -> Scale | None:
    meta = tif.lsm_metadata if tif.is_lsm else None
    if not meta or "VoxelSizeX" not in meta:
        return None
    return scale_of((meta.get("VoxelSizeZ"), meta.get("VoxelSizeY"), meta["VoxelSizeX"]), 1e6, "the LSM header")


def _micromanager_scale(tif: Any, depth: int) -> Scale | None:
    meta = tif.micromanager_metadata if tif.is_micromanager else None
    summary = (meta or {}).get("Summary") or {}
    pixel = number(summary.get("PixelSize_um", summary.get("PixelSizeUm")))
    if not pixel > 0:
        return None
    step = abs(number(summary.get("z-step_um")))
    if not step > 0:
        if depth > 1:
            return _without_depth(pixel, pixel)
        step = pixel
    return scale_of((step, pixel, pixel), 1.0, "Micro-Manager's summary")


def _json_scale(tif: Any, page: Any, depth: int) -> Scale | None:
    text = tif.pages.first.shaped_description
    if not text or not text.startswith("{"):
        return None
    found = json.loads(text)
    own = found.get("plantseg_app")
    if isinstance(own, dict) and own.get("voxel_size_um"):
        return scale_of(own["voxel_size_um"], 1.0, "the description")
    if "spacing" in found or "unit" in found:
        return _imagej_scale(found, page, depth, "the description")
    return None


def _tag_scale(page: Any, depth: int) -> Scale:
    tag = page.tags.get("ResolutionUnit")
    unit = _TAG_UNITS.get(int(tag.value)) if tag is not None else None
    per_y, per_x = _densities(page)
    factor = micrometres(unit)
    if factor is None or not (per_y > 0 and per_x > 0):
        return NO_SCALE
    if is_print_density(per_x / factor):
        return Scale(None, f"not stored (a resolution of {per_x:g} per {unit} is meant for paper)")
    if depth > 1:
        return _without_depth(factor / per_y, factor / per_x)
    return scale_of((1.0 / per_y, 1.0 / per_y, 1.0 / per_x), factor, f"resolution tags in {unit}")


def _without_depth(y: float, x: float) -> Scale:
    return Scale(None, f"y and x are {y:g} and {x:g} um, but the distance between slices is not stored")
