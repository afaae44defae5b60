"""Reads and writes objects that may overlap as COCO JSON, the format of annotation programs: one mask an object.

Masks are run lengths, packed or not, or polygons. An image becomes planes of ids, as few as keep all objects whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.layers import objects_of
from plantseg_app.algorithms.rle import mask_of_runs, pack_runs, polygon_mask, run_lengths, unpack_runs
from plantseg_app.core.volume import Kind
from plantseg_app.errors import InputError, RequestError
from plantseg_app.io.format import Format, Index, Job, Record, StoredImage
from plantseg_app.io.record import record_from_text, record_to_text, voxel_size_from_text


class CocoSource:
    """An open file.

    Parameters
    ----------
    content
        The JSON object.
    name
        Of the file, for messages.
    """

    def __init__(self, content: Mapping[str, Any], name: str) -> None:
        self._name = name
        info = content.get("info")
        self._text = str(info.get("plantseg_app", "")) if isinstance(info, Mapping) else ""
        self._annotations: dict[Any, list[Mapping[str, Any]]] = {}
        for one in content["annotations"]:
            # A crowd is a region with many objects in it, and none itself.
            if not one.get("iscrowd"):
                self._annotations.setdefault(one["image_id"], []).append(one)
        self._entries = {str(entry.get("file_name") or entry["id"]): entry for entry in content["images"]}
        self.images = tuple(self._stored(name) for name in self._entries)

    def _stored(self, name: str) -> StoredImage:
        record, size = record_from_text(self._text), voxel_size_from_text(self._text)
        entry = self._entries[name]
        # Of many images one is read, so none is decoded yet: there are at most as many planes as objects, and one of
        # what this program wrote as plain labels.
        n_planes = 1 if record.kind == Kind.LABELS else len(self._annotations.get(entry["id"], []))
        return StoredImage(
            name,
            (max(1, n_planes), int(entry["height"]), int(entry["width"])),
            "uint32",
            "CYX",
            voxel_size_um=size,
            voxel_size_source="the text of this program" if size else "not stored",
            kind=record.kind or Kind.LAYERED_LABELS.value,
            place=record.place,
        )

    def _layers(self, name: str) -> NDArray[np.uint32]:
        entry = self._entries[name]
        shape = (int(entry["height"]), int(entry["width"]))
        found = self._annotations.get(entry["id"], [])
        ids = [one.get("id") for one in found]
        are_names = all(isinstance(one, int) and 0 < one < 2**32 for one in ids) and len(set(ids)) == len(ids)
        planes: list[NDArray[np.uint32]] = []
        for number, one in enumerate(found, start=1):
            try:
                mask = self._mask(one, shape)
            except (KeyError, TypeError, IndexError, ValueError) as error:
                raise _foreign(self._name, error) from error
            plane = next((plane for plane in planes if not plane[mask].any()), None)
            if plane is None:
                plane = np.zeros(shape, np.uint32)
                planes.append(plane)
            plane[mask] = one["id"] if are_names else number
        return np.stack(planes) if planes else np.zeros((1, *shape), np.uint32)

    def _mask(self, annotation: Mapping[str, Any], shape: tuple[int, int]) -> NDArray[np.bool_]:
        drawn = annotation["segmentation"]
        if isinstance(drawn, list):
            return polygon_mask(drawn, shape)
        size = (int(drawn["size"][0]), int(drawn["size"][1]))
        if size != shape:
            raise InputError(f"The file {self._name} holds a mask of {size} pixels in an image of {shape}.")
        counts = drawn["counts"]
        return mask_of_runs(unpack_runs(counts) if isinstance(counts, str) else np.asarray(counts, np.int64), shape)

    def fill(self, image: StoredImage, index: Index, out: NDArray[Any]) -> None:
        """Copy ``image[index]`` into `out`; planes that are not needed stay empty."""
        whole = np.zeros(image.shape, np.uint32)
        packed = self._layers(image.name)
        whole[: len(packed)] = packed
        out[...] = whole[index]

    def record(self, image: StoredImage | None) -> Record:  # noqa: ARG002 - a file has one record
        """Return what this program stored."""
        return record_from_text(self._text)


@contextmanager
def open_coco(path: Path) -> Iterator[CocoSource]:
    """Open a COCO file.

    Raises
    ------
    InputError
        If it is no JSON, or has no images and annotations as COCO files have them.
    """
    try:
        source = CocoSource(json.loads(path.read_text(encoding="utf-8")), path.name)
    except (ValueError, RecursionError) as error:
        raise InputError(f"The file {path.name} is no readable JSON, or incomplete: {error}.") from error
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise _foreign(path.name, error) from error
    if not source.images:
        raise InputError(f"The file {path.name} lists no image.")
    yield source


def _foreign(name: str, error: Exception) -> InputError:
    return InputError(
        f"The file {name} is JSON, but not that of COCO: it needs images (id, height, width) and annotations "
        f"(image_id, segmentation); wrong or missing is {error}."
    )


def write_coco(path: Path, job: Job) -> None:
    """Write the objects of a single slice, one packed mask each, under their ids.

    Raises
    ------
    RequestError
        If the volume holds no labels, or several slices.
    """
    volume = job.volume
    if not volume.kind.is_labels:
        raise RequestError(
            "COCO files hold objects, labels or layers of labels; write an image as .tif or .h5 instead."
        )
    if not volume.is_2d:
        raise RequestError(
            f"A COCO file holds the objects of one slice, and this volume has {volume.shape_vox[0]}; write a .tif or "
            ".h5 file instead."
        )
    height, width = volume.shape_vox[1:]
    annotations = []
    for number, layer in enumerate(volume.data.reshape(-1, height, width)):
        for name, (rows, columns), mask in objects_of(layer):
            whole = np.zeros((height, width), bool)
            whole[rows, columns] = mask
            annotations.append(
                {
                    "id": name,
                    "image_id": 1,
                    "category_id": 1,
                    "segmentation": {"size": [height, width], "counts": pack_runs(run_lengths(whole))},
                    "area": int(mask.sum()),
                    "bbox": [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
                    "iscrowd": 0,
                    "layer": number,
                }
            )
    file_name = Path(volume.origin.path).name or f"{volume.name or 'image'}.tif"
    content = {
        "info": {
            "description": "Objects that may overlap, written by PlantSeg App",
            "plantseg_app": record_to_text(job.record, volume.voxel_size_um),
        },
        "images": [{"id": 1, "file_name": file_name, "height": height, "width": width}],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": annotations,
    }
    path.write_text(json.dumps(content), encoding="utf-8")


COCO = Format(
    name="COCO JSON",
    suffixes=(".json",),
    write_suffixes=(".json",),
    signatures=(b"{",),
    open=open_coco,
    write=write_coco,
    is_common=False,
)
