"""Reads the OME-XML of a TIFF: names, channels, voxel size, and what this program stored there."""

from __future__ import annotations

import dataclasses

# Expat limits the expansion of entities itself since 2.4.1, so that a hostile file cannot fill the memory.
import xml.etree.ElementTree as ElementTree

from plantseg_app.io.voxelsize import NO_SCALE, Scale, micrometres, number, scale_of

NAMESPACE = "plantseg-app"


@dataclasses.dataclass(frozen=True)
class OmeImage:
    """One image of an OME-XML.

    Attributes
    ----------
    name
        As people call it.
    channel_names
        "" for a channel without a name; empty when none has one.
    scale
        Its voxel size.
    own
        What this program stored: kind, place, workflow.
    """

    name: str
    channel_names: tuple[str, ...]
    scale: Scale
    own: dict[str, str]


def read_ome(xml: str | None) -> tuple[OmeImage, ...]:
    """Return the images of an OME-XML, in its order; none when it cannot be read."""
    if not xml:
        return ()
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 - see the import
    except ElementTree.ParseError:
        return ()
    own = _own_values(root)
    images = []
    for image in root.findall("{*}Image"):
        pixels = image.find("{*}Pixels")
        if pixels is not None:
            images.append(OmeImage(image.get("Name", ""), _channel_names(pixels), _scale(pixels), own))
    return tuple(images)


def _channel_names(pixels: ElementTree.Element) -> tuple[str, ...]:
    names = tuple(channel.get("Name", "") for channel in pixels.findall("{*}Channel"))
    return names if any(names) else ()


def _scale(pixels: ElementTree.Element) -> Scale:
    lengths: dict[str, float | None] = {}
    for letter in "ZYX":
        text = pixels.get(f"PhysicalSize{letter}")
        unit = pixels.get(f"PhysicalSize{letter}Unit", "µm")
        factor = micrometres(unit)
        if text is not None and factor is None:
            return Scale(None, f'OME-XML gives PhysicalSize{letter} in "{unit}", which is not a length')
        lengths[letter] = None if text is None or factor is None else number(text) * factor
    z, y, x = lengths["Z"], lengths["Y"], lengths["X"]
    if x is None or y is None:
        return NO_SCALE
    if z is None:
        if int(number(pixels.get("SizeZ", "1"))) > 1:
            return Scale(None, f"OME-XML gives y and x, {y:g} and {x:g} um, but no distance between slices")
        z = y
    return scale_of((z, y, x), 1.0, "OME-XML PhysicalSizeX, Y, Z")


def _own_values(root: ElementTree.Element) -> dict[str, str]:
    values: dict[str, str] = {}
    for annotation in root.iter():
        if annotation.tag.endswith("}MapAnnotation") and annotation.get("Namespace") == NAMESPACE:
            for entry in annotation.iter():
                if entry.tag.endswith("}M"):
                    values[entry.get("K", "")] = entry.text or ""
    return values
