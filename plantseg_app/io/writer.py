"""Volumes to files, atomically, with voxel size, the place of a crop and the workflow that made them."""

from __future__ import annotations

from pathlib import Path

from plantseg_app.core.volume import Volume
from plantseg_app.errors import RequestError
from plantseg_app.io.atomic import replacing
from plantseg_app.io.format import Format, Job, Record
from plantseg_app.io.formats import format_to_read, format_to_write
from plantseg_app.io.guard import writing
from plantseg_app.io.place import place_to_text
from plantseg_app.io.reader import opened


def write_volume(
    path: str | Path,
    volume: Volume,
    *,
    workflow: str | None = None,
    dataset: str | None = None,
    overwrite: bool = True,
) -> Path:
    """Write a volume to a file whose ending says the format.

    Labels are stored as uint32, uint64 where one needs it, compressed without loss and without colour table; images
    keep their type. Whatever happens, the old file stays as it was until the new one is complete.

    Parameters
    ----------
    path
        .tif, .tiff, .h5, .hdf5, .hdf, .png or .jpg; the folder is made if needed.
    volume
        What to write.
    workflow
        The workflow that made it, as YAML, stored in the file; `read_workflow` returns it.
    dataset
        HDF5 only: the name of the data set, added to the file or replaced in it, the others kept. Without a name
        the file is replaced by one that holds this volume alone.
    overwrite
        Whether an existing file or data set may be replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    RequestError
        If the ending is unknown, the format cannot hold this volume, or the file exists and may not be replaced.
    ResourceError
        If the disk is full or the folder may not be written to.
    """
    file = Path(path)
    known = format_to_write(file)
    if file.is_dir():
        raise RequestError(f"{file} is a folder; give the name of a file.")
    if dataset is not None and not known.several:
        raise RequestError(f'A {known.name} file holds one image, so it has no data set "{dataset}"; leave it out.')
    if dataset is not None and not dataset.strip("/"):
        raise RequestError("The name of the data set is empty; give one, such as raw.")
    if file.exists() and (not overwrite or dataset is not None):
        _check_existing(known, file, dataset, overwrite)
    record = Record(volume.kind.value, workflow, place_to_text(volume.place, volume.shape_vox))
    job = Job(volume, record, dataset, file)
    with writing(file), replacing(file) as partial:
        known.write(partial, job)
    return file


def _check_existing(known: Format, file: Path, dataset: str | None, overwrite: bool) -> None:
    if dataset is None:
        raise RequestError(f"The file {file} exists; choose another name or allow it to be replaced.")
    existing = format_to_read(file)
    with opened(existing, file) as (_, images):
        names = {image.name for image in images}
    if existing is not known or (not overwrite and dataset.strip("/") in names):
        raise RequestError(f'{file} already holds "{dataset}"; choose another name or allow it to be replaced.')
