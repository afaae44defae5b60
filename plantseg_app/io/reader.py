"""Files to volumes: opens a file, chooses the image, the channel and the time point, reads it once, checks it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.layers import number_masks
from plantseg_app.core.volume import Kind, Origin, Place, Shape3, Volume, VoxelSize
from plantseg_app.errors import InputError, RequestError, ResourceError, did_you_mean
from plantseg_app.io.axes import Choice, Selection, conventional_axes, gray_weights, select
from plantseg_app.io.format import Format, Source, StoredImage
from plantseg_app.io.formats import format_to_read
from plantseg_app.io.guard import reading
from plantseg_app.io.place import place_from_text
from plantseg_app.io.values import NanPolicy, checked_values, memory_dtype

# Names that hold each kind, in order of preference, in files of PlantSeg, PanSeg, pytorch-3dunet and ilastik.
_PREDICTIONS = ("prediction", "predictions", "exported_data")
_USUAL_NAMES: dict[Kind, tuple[str, ...]] = {
    Kind.RAW: ("raw", "image", "colours", *_PREDICTIONS),
    Kind.BOUNDARY: ("boundary", "boundaries", "boundary_probability", "pmap", *_PREDICTIONS),
    Kind.FOREGROUND: ("foreground", *_PREDICTIONS),
    Kind.NUCLEI: ("nuclei", *_PREDICTIONS),
    Kind.DISTANCE: ("distance", *_PREDICTIONS),
    Kind.AFFINITIES: ("affinities", *_PREDICTIONS),
    Kind.EMBEDDING: ("embedding", "embeddings", *_PREDICTIONS),
    Kind.LAYERS: ("layers", *_PREDICTIONS),
    Kind.LABELS: ("label", "labels", "segmentation", "seg", "indices"),
    Kind.LAYERED_LABELS: ("layered_labels", "label", "labels", "segmentation", "seg"),
}


@dataclasses.dataclass(frozen=True)
class ImageInfo:
    """What a file says about itself; no pixel has been read.

    Attributes
    ----------
    path
        The file.
    format
        TIFF, HDF5, PNG or JPEG.
    size_bytes
        Of the file on the disk.
    datasets
        Every image in the file.
    dataset
        The one that is read when no name is given, None when one must be chosen. The properties below describe
        it, or the first one.
    """

    path: Path
    format: str
    size_bytes: int
    datasets: tuple[StoredImage, ...]
    dataset: str | None

    @property
    def image(self) -> StoredImage:
        """The image that the properties describe."""
        return next((image for image in self.datasets if image.name == self.dataset), self.datasets[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """As stored."""
        return self.image.shape

    @property
    def dtype(self) -> str:
        """As stored."""
        return self.image.dtype

    @property
    def axes(self) -> str | None:
        """One letter a stored axis; None when the file does not say and the person must."""
        return conventional_axes(self.image, Kind.RAW)

    @property
    def axes_assumed(self) -> bool:
        """Whether the file names fewer axes than `axes`: three unnamed ones are taken as Z, Y, X."""
        return self.axes is not None and self.axes != self.image.axes

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names along the channel axis, empty when there are none."""
        return self.image.channel_names

    @property
    def kind(self) -> Kind | None:
        """The kind that this program recorded when it wrote the image, None in foreign files."""
        return Kind(self.image.kind) if self.image.kind in list(Kind) else None

    @property
    def n_channels(self) -> int:
        """How many channels or colours there are to choose from."""
        return self._length("C") * self._length("S")

    @property
    def n_time(self) -> int:
        """How many time points there are to choose from."""
        return self._length("T")

    @property
    def voxel_size_um(self) -> VoxelSize | None:
        """(z, y, x) in micrometres."""
        return self.image.voxel_size_um

    @property
    def voxel_size_source(self) -> str:
        """Where the voxel size was found, or why there is none."""
        return self.image.voxel_size_source

    def _length(self, letter: str) -> int:
        axes = self.axes or self.image.axes or ""
        return self.shape[axes.index(letter)] if letter in axes else 1

    def to_plain(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        names = ("kind", "shape", "dtype", "axes", "axes_assumed", "channel_names", "n_channels", "n_time")
        plain = dataclasses.asdict(self) | {name: getattr(self, name) for name in names}
        plain |= {"voxel_size_um": self.voxel_size_um, "voxel_size_source": self.voxel_size_source}
        plain["path"] = str(self.path)
        plain["datasets"] = list(plain["datasets"])
        for part in (plain, *plain["datasets"]):
            for key, value in part.items():
                if isinstance(value, tuple):
                    part[key] = list(value)
        return plain


def inspect_image(path: str | Path, dataset: str | None = None) -> ImageInfo:
    """Return what a file holds, from its metadata alone.

    Parameters
    ----------
    path
        A file that can be read.
    dataset
        The image to describe; None for the one that would be read.

    Raises
    ------
    RequestError
        If there is no such file or image.
    InputError
        If the file is damaged.
    """
    file = Path(path)
    known = format_to_read(file)
    with opened(known, file) as (_, images):
        size = file.stat().st_size
    if dataset is not None:
        chosen: str | None = _named(file, images, dataset).name
    else:
        default = _default_image(images, Kind.RAW)
        chosen = default.name if default else None
    return ImageInfo(file, known.name, size, images, chosen)


def read_volume(  # noqa: PLR0913 - each is one thing a person may have to say about a file
    path: str | Path,
    *,
    kind: Kind = Kind.RAW,
    dataset: str | None = None,
    axes: str | None = None,
    channel: int | str | None = None,
    time: int | None = None,
    voxel_size_um: tuple[float, ...] | None = None,
    nan: NanPolicy = "refuse",
) -> Volume:
    """Read one image as a volume.

    Parameters
    ----------
    path
        TIFF, HDF5, PNG, JPEG or COCO JSON.
    kind
        What its numbers mean; labels become uint32 (uint64 where needed), and masks, one a layer, objects 1, 2, ...
    dataset
        The data set of an HDF5 file, or the number of a TIFF series; None for the usual one of this kind.
    axes
        What the stored axes are, such as "ZYX" or "ZCYX", where the file does not say or is wrong; "-" before a
        letter flips that axis. Three axes without names are Z, Y, X (C, Y, X for kinds with a leading axis).
    channel
        A number from 0, a name, "gray" for the luminance of a colour image, or "all" for (C, Z, Y, X) raw data.
    time
        The time point, from 0.
    voxel_size_um
        (z, y, x) in micrometres, instead of what the file says.
    nan
        Whether NaN and infinite numbers are refused or replaced by the smallest and largest finite ones.

    Returns
    -------
    Volume
        (Z, Y, X), or (C, Z, Y, X) for kinds with a leading axis; the origin says what was taken from where. A crop
        that this program wrote knows its place.

    Raises
    ------
    RequestError
        If the file, data set, channel, time or axes asked for do not exist.
    InputError
        If the file is damaged, or a choice must be made and was not; the message lists the choices.
    ResourceError
        If the image does not fit into memory.
    """
    file = Path(path)
    kind = Kind(kind)
    given = VoxelSize.checked(tuple(voxel_size_um)) if voxel_size_um is not None else None
    known = format_to_read(file)
    with opened(known, file) as (source, images):
        image = _chosen_image(file, images, dataset, kind)
        title = f"The image {image.name} in {file.name}" if len(images) > 1 else f"The image {file.name}"
        choice = Choice(kind, axes, channel, time, title)
        weights = gray_weights(image, choice)
        selection = select(image, dataclasses.replace(choice, channel=0) if weights else choice)
        dtype = memory_dtype(image.dtype, kind, title)
        _check_memory(selection, dtype, title)
        with reading(file):
            data = _read_gray(source, image, choice, weights) if weights else _read(source, image, selection, dtype)
    data = checked_values(data, kind, nan, title)
    if kind is Kind.LAYERED_LABELS:
        data = _without_empty_planes(number_masks(data))
    detail = ", ".join(("luminance", *selection.detail.split(", ")[1:])) if weights else selection.detail
    shown = f"data set {image.name}" if known.several else f"series {image.name}" if len(images) > 1 else ""
    z, y, x = (int(length) for length in data.shape[-3:])
    place = _place(image, selection, (z, y, x))
    origin = Origin(
        path=str(file),
        detail=", ".join(part for part in (shown, detail) if part),
        shape_vox=(z, y, x) if place is None else place.whole_shape((z, y, x)),
        voxel_size_um=image.voxel_size_um,
    )
    if place is not None and given is not None:
        # What was said about the crop holds for the full image too; paste-back works it out from the crop.
        place = dataclasses.replace(place, full_voxel_size_um=None)
    return Volume(data, kind, given or image.voxel_size_um, name=_stem(file), origin=origin, place=place)


def read_workflow(path: str | Path, dataset: str | None = None) -> str | None:
    """Return the workflow that made a file, as YAML, or None when it does not say.

    Raises
    ------
    RequestError
        If there is no such file or data set.
    InputError
        If the file is damaged.
    """
    file = Path(path)
    known = format_to_read(file)
    with opened(known, file) as (source, images):
        image = _named(file, images, dataset) if dataset is not None else None
        with reading(file):
            return source.record(image).workflow


def _without_empty_planes(layers: NDArray[Any]) -> NDArray[Any]:
    """Return the layers without those after the last one that holds an object; at least one."""
    n_kept = len(layers)
    while n_kept > 1 and not layers[n_kept - 1].any():
        n_kept -= 1
    return layers[:n_kept]


def _place(image: StoredImage, selection: Selection, shape_vox: Shape3) -> Place | None:
    """Return the place that was written with an image, unless it is read with other axes than it was written with."""
    spatial = "".join(letter for letter in selection.axes if letter in "ZYX")
    if selection.flipped or not "ZYX".endswith(spatial):
        return None
    return place_from_text(image.place, shape_vox)


@contextmanager
def opened(known: Format, file: Path) -> Iterator[tuple[Source, tuple[StoredImage, ...]]]:
    """Open a file and describe its images; what the libraries raise on a bad file becomes `InputError`."""
    with ExitStack() as stack:
        with reading(file):
            source = stack.enter_context(known.open(file))
            images = source.images
        yield source, images


def _read(source: Source, image: StoredImage, selection: Selection, dtype: np.dtype[Any]) -> NDArray[Any]:
    out = np.empty(selection.out_shape, dtype)
    source.fill(image, selection.index, selection.stored_view(out))
    return out


def _read_gray(source: Source, image: StoredImage, choice: Choice, weights: tuple[float, ...]) -> NDArray[Any]:
    total: NDArray[Any] | None = None
    for channel, weight in enumerate(weights):
        selection = select(image, dataclasses.replace(choice, channel=channel))
        part = _read(source, image, selection, np.dtype(np.float32))
        part *= weight
        total = part if total is None else np.add(total, part, out=total)
    return total if total is not None else np.empty(0, np.float32)


def _check_memory(selection: Selection, dtype: np.dtype[Any], title: str) -> None:
    import psutil

    needed = int(np.prod(selection.out_shape, dtype=np.float64)) * dtype.itemsize
    machine = psutil.virtual_memory().total + psutil.swap_memory().total
    if needed > machine:
        raise ResourceError(
            f"{title} needs {needed / 2**30:.1f} GiB, more than this machine has ({machine / 2**30:.1f} GiB). "
            "Read one channel or time point, or crop it first."
        )


def _chosen_image(file: Path, images: tuple[StoredImage, ...], dataset: str | None, kind: Kind) -> StoredImage:
    if dataset is not None:
        return _named(file, images, dataset)
    default = _default_image(images, kind)
    if default is None:
        raise InputError(
            f"The file {file.name} holds {len(images)} images; choose one with --dataset: {_listed(images)}."
        )
    return default


def _default_image(images: tuple[StoredImage, ...], kind: Kind) -> StoredImage | None:
    if len(images) == 1:
        return images[0]
    for wanted in _USUAL_NAMES[kind]:
        matches = [image for image in images if image.name.lower() == wanted]
        matches = matches or [image for image in images if image.name.lower().rsplit("/", 1)[-1] == wanted]
        if len(matches) == 1:
            return matches[0]
        if matches:
            return None
    return None


def _named(file: Path, images: tuple[StoredImage, ...], dataset: str) -> StoredImage:
    wanted = dataset.strip("/")
    for image in images:
        if wanted in (image.name, image.title):
            return image
    hint = did_you_mean(wanted, [image.name for image in images])
    raise RequestError(f'The file {file.name} has no image "{dataset}". {hint} It holds: {_listed(images)}.')


def _listed(images: tuple[StoredImage, ...]) -> str:
    shown = ", ".join(str(image) for image in images[:20])
    return shown if len(images) <= 20 else f"{shown} and {len(images) - 20} more"


def _stem(file: Path) -> str:
    return file.stem[:-4] if file.stem.lower().endswith(".ome") else file.stem
