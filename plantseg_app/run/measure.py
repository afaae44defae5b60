"""The table of cells: size, place and brightness of each, in micrometres where the voxel size is known.

>>> import numpy as np
>>> from plantseg_app.core.volume import Kind
>>> cells = Volume(np.array([[[3, 3, 0]]], np.uint32), Kind.LABELS, (1.0, 0.5, 0.5))
>>> table = measure_cells(cells)
>>> table.n_rows, table["area_um2"].tolist()
(1, [0.5])
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, never_stop
from plantseg_app.algorithms.measure import Intensities, ObjectMeasures, equivalent_diameters, measure_objects
from plantseg_app.core.volume import Kind, Volume, VoxelSize
from plantseg_app.errors import InputError
from plantseg_app.io.table_file import write_csv


@dataclasses.dataclass(frozen=True, eq=False)
class Column:
    """One measurement of all cells.

    Attributes
    ----------
    name
        In files; ends in the unit.
    help
        What it is, for people.
    values
        (N,) numbers or truth values.
    """

    name: str
    help: str
    values: NDArray[Any]


@dataclasses.dataclass(frozen=True, eq=False)
class CellTable:
    """Measurements by column, one row a cell, by ascending label (of layered labels: by layer, then label)."""

    columns: tuple[Column, ...]

    @property
    def n_rows(self) -> int:
        """How many cells there are."""
        return len(self.columns[0].values)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return the values of a column."""
        return {column.name: column.values for column in self.columns}[name]

    def write_csv(self, path: str | Path) -> Path:
        """Write the table as a CSV file; errors as in `plantseg_app.io.table_file.write_csv`."""
        return write_csv(path, {column.name: column.values for column in self.columns})


def measure_cells(labels: Volume, images: Mapping[str, Volume] | None = None, check: Check = never_stop) -> CellTable:
    """Measure all cells of a segmentation.

    Parameters
    ----------
    labels
        Labels or layered labels; a single slice gives areas, several give volumes.
    images
        Grey-value images of the same shape by the name their columns begin with; each channel is measured.
    check
        Called now and then; may raise to stop.

    Raises
    ------
    InputError
        If `labels` are no labels, or an image has another shape.
    """
    if not labels.kind.is_labels:
        raise InputError(f"Cells are measured in labels; {labels.name or 'this'} is {labels.kind.value}.")
    named = _channels(labels, images or {})
    layers = labels.data if labels.kind is Kind.LAYERED_LABELS else labels.data[None]
    found = [measure_objects(layer, list(named.values()), check) for layer in layers]
    columns: list[Column] = []
    if labels.kind is Kind.LAYERED_LABELS:
        numbers = np.repeat(np.arange(len(found)), [len(one.ids) for one in found])
        columns.append(Column("layer", "The layer the cell lies in, from 0.", numbers))
    columns += _shape_columns(_joined(found), labels.voxel_size_um, n_dimensions=2 if labels.is_2d else 3)
    for number, name in enumerate(named):
        columns += _brightness_columns(name, [one.intensities[number] for one in found])
    return CellTable(tuple(columns))


def _channels(labels: Volume, images: Mapping[str, Volume]) -> dict[str, NDArray[Any]]:
    """Return (Z, Y, X) arrays by the name of their columns, one for each channel of each image."""
    named: dict[str, NDArray[Any]] = {}
    for name, image in images.items():
        if image.shape_vox != labels.shape_vox:
            raise InputError(
                f"The image {name} has {image.shape_vox} voxels (Z, Y, X) and the segmentation {labels.shape_vox}; "
                "bring both to the same shape, for example with the step rescale."
            )
        if image.data.ndim == 3 or len(image.data) == 1:
            named[name] = image.data.reshape(image.shape_vox)
        else:
            named |= {f"{name}_c{channel}": data for channel, data in enumerate(image.data)}
    return named


def _joined(found: Sequence[ObjectMeasures]) -> dict[str, NDArray[Any]]:
    fields = [field.name for field in dataclasses.fields(ObjectMeasures) if field.name != "intensities"]
    return {name: np.concatenate([getattr(one, name) for one in found]) for name in fields}


def _shape_columns(
    measured: Mapping[str, NDArray[Any]], voxel_size: VoxelSize | None, n_dimensions: int
) -> list[Column]:
    counts, centre = measured["n_voxels"], measured["centroid_vox"]
    columns = [
        Column("label", "The number of the cell in the segmentation.", measured["ids"]),
        Column("n_voxels", "How many voxels it has.", counts),
    ]
    if voxel_size is None:
        diameters = equivalent_diameters(counts, n_dimensions)
        columns.append(Column("equivalent_diameter_vox", _diameter_help(n_dimensions, "voxels"), diameters))
    else:
        what = "area_um2" if n_dimensions == 2 else "volume_um3"
        sizes = counts * float(np.prod(voxel_size[3 - n_dimensions :]))
        columns.append(Column(what, f"Its {what.split('_')[0]}.", sizes))
        diameters = equivalent_diameters(sizes, n_dimensions)
        columns.append(Column("equivalent_diameter_um", _diameter_help(n_dimensions, "micrometres"), diameters))
    for axis, name in enumerate("zyx"):
        columns.append(Column(f"centroid_{name}_vox", "Its centre; the first voxel is 0.", centre[:, axis]))
    if voxel_size is not None:
        for axis, name in enumerate("zyx"):
            text = "Its centre, from the centre of the first voxel."
            columns.append(Column(f"centroid_{name}_um", text, centre[:, axis] * voxel_size[axis]))
    for end, text in (("start", "Where its box begins."), ("stop", "Where its box ends, not included.")):
        for axis, name in enumerate("zyx"):
            columns.append(Column(f"box_{end}_{name}_vox", text, measured[f"box_{end}_vox"][:, axis]))
    return [
        *columns,
        Column("touches_border", "1 where it reaches the border of the image.", measured["touches_border"]),
        Column("n_pieces", "How many parts it has that do not touch.", measured["n_pieces"]),
    ]


def _diameter_help(n_dimensions: int, unit: str) -> str:
    return f"Diameter of a {'disc' if n_dimensions == 2 else 'ball'} of the same size, in {unit}."


def _brightness_columns(name: str, found: Sequence[Intensities]) -> list[Column]:
    texts = {
        "mean": "Mean of the image over its voxels.",
        "min": "Smallest value.",
        "max": "Largest value.",
        "std": "Standard deviation of the values.",
        "sum": "Sum of the values.",
    }
    return [
        Column(f"{name}_{what}", text, np.concatenate([getattr(one, what) for one in found]))
        for what, text in texts.items()
    ]
