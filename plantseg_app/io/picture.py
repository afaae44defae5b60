"""Reads and writes PNG and JPEG: two-dimensional pictures of one channel or of colours.

imagecodecs decodes them, because it keeps 16 bits of colour and has no limit of size; the few chunks that say
how the picture is stored are read here.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.errors import InputError, RequestError
from plantseg_app.io.format import Format, Index, Job, Record, StoredImage
from plantseg_app.io.record import record_from_text, record_to_text, voxel_size_from_text
from plantseg_app.io.voxelsize import NO_SCALE, Scale, is_print_density, scale_of

_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8\xff"
_KEYWORD = b"plantseg-app"
_COMMENT_LIMIT = 65000
_NAMES = {2: ("gray", "alpha"), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}
# Samples a pixel for the colour types of the PNG specification; 3 is a palette.
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PALETTE = 3


class PictureSource:
    """A picture file, read into memory as it is.

    Parameters
    ----------
    path
        The file.
    images
        What it holds.
    decode
        Returns the pixels of one of them.
    text
        What this program stored, or "".
    """

    def __init__(self, images: tuple[StoredImage, ...], decode: Any, text: str) -> None:
        self.images = images
        self._decode = decode
        self._text = text

    def fill(self, image: StoredImage, index: Index, out: NDArray[Any]) -> None:
        """Copy ``image[index]`` into `out`."""
        out[...] = self._decode(image.name).reshape(image.shape)[index]

    def record(self, image: StoredImage | None) -> Record:  # noqa: ARG002 - a picture file has one record
        """Return what this program stored."""
        return record_from_text(self._text)


@contextmanager
def open_png(path: Path) -> Iterator[PictureSource]:
    """Open a PNG file; one with a palette offers its colours and its indices.

    Raises
    ------
    InputError
        If it is damaged or incomplete.
    """
    import imagecodecs

    data = path.read_bytes()
    chunks = list(_png_chunks(data, path.name))
    width, height, depth, colour_type = struct.unpack(">IIBB", chunks[0][1][:10])
    text = next((_itxt(body) for name, body in chunks if name == b"iTXt" and body.startswith(_KEYWORD + b"\0")), "")
    scale = _text_scale(text) or _png_density(chunks)
    dtype = "uint16" if depth == 16 else "uint8"
    if colour_type == _PALETTE:
        images: tuple[StoredImage, ...] = (
            _picture(
                "colours", (height, width, 4 if any(name == b"tRNS" for name, _ in chunks) else 3), dtype, text, scale
            ),
            _picture("indices", (height, width), dtype, text, scale),
        )
    else:
        samples = _PNG_SAMPLES[colour_type] + (colour_type in (0, 2) and any(name == b"tRNS" for name, _ in chunks))
        images = (
            _picture("picture", (height, width) if samples == 1 else (height, width, samples), dtype, text, scale),
        )

    def decode(name: str) -> NDArray[Any]:
        if name == "indices":
            return _palette_indices(path)
        pixels: NDArray[Any] = imagecodecs.png_decode(data)
        # The library stretches 1, 2 and 4 bits to 8; the numbers that were stored are wanted.
        return pixels // (255 // (2**depth - 1)) if depth < 8 and colour_type == 0 else pixels

    yield PictureSource(images, decode, text)


@contextmanager
def open_jpeg(path: Path) -> Iterator[PictureSource]:
    """Open a JPEG file.

    Raises
    ------
    InputError
        If it is damaged or incomplete.
    """
    import imagecodecs

    data = path.read_bytes()
    height, width, samples, text = _jpeg_header(data, path.name)
    scale = _text_scale(text) or NO_SCALE
    shape = (height, width) if samples == 1 else (height, width, samples)
    image = _picture("picture", shape, "uint8", text, scale)
    yield PictureSource((image,), lambda _name: imagecodecs.jpeg_decode(data), text)


def _picture(name: str, shape: tuple[int, ...], dtype: str, text: str, scale: Scale) -> StoredImage:
    record = record_from_text(text)
    return StoredImage(
        name,
        shape,
        dtype,
        axes="YX" if len(shape) == 2 else "YXS",
        channel_names=_NAMES.get(shape[2], ()) if len(shape) == 3 else (),
        voxel_size_um=scale.voxel_size_um,
        voxel_size_source=scale.source,
        kind=record.kind,
        place=record.place,
    )


def _text_scale(text: str) -> Scale | None:
    found = voxel_size_from_text(text)
    return scale_of(found, 1.0, "the text of this program") if found is not None else None


def _png_chunks(data: bytes, name: str) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG_START)
    while at + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        end = at + 12 + length
        if end > len(data):
            break
        yield kind, data[at + 8 : end - 4]
        if kind == b"IEND":
            return
        at = end
    raise InputError(f"The file {name} is incomplete: it ends in the middle of the picture. Copy or export it again.")


def _png_density(chunks: list[tuple[bytes, bytes]]) -> Scale:
    for name, body in chunks:
        if name == b"pHYs" and len(body) == 9:
            per_x, per_y, unit = struct.unpack(">IIB", body)
            if unit == 1 and per_x and per_y and not is_print_density(per_x / 1e6):
                return scale_of((1e6 / per_y, 1e6 / per_y, 1e6 / per_x), 1.0, "the chunk pHYs")
    return NO_SCALE


def _itxt(body: bytes) -> str:
    # keyword, 0, compressed?, method, language, 0, translated keyword, 0, text
    flags = len(_KEYWORD) + 1
    compressed = body[flags] == 1
    text = body[flags + 2 :].split(b"\0", 2)[2]
    return (zlib.decompress(text) if compressed else text).decode("utf-8", "replace")


def _palette_indices(path: Path) -> NDArray[Any]:
    from PIL import Image

    with Image.open(path) as picture:
        return np.array(picture)


def _jpeg_header(data: bytes, name: str) -> tuple[int, int, int, str]:
    size: tuple[int, int, int] | None = None
    text = ""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = struct.unpack(">xBH", data[at : at + 4])
        body = data[at + 4 : at + 2 + length]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(body) >= 6:
            height, width, samples = struct.unpack(">xHHB", body[:6])
            size = (height, width, samples)
        elif marker == 0xFE:
            text = body.decode("utf-8", "replace")
        elif marker == 0xDA:
            # A decoder fills the rest of a truncated picture with grey and says nothing: look for its end.
            if size is not None and b"\xff\xd9" in data[at:]:
                return (*size, text)
            break
        at += 2 + length
    raise InputError(f"The file {name} is incomplete: it ends in the middle of the picture. Copy or export it again.")


def write_png(path: Path, job: Job) -> None:
    """Write a single slice as PNG with 8 or 16 bits, labels as narrow as they fit.

    Raises
    ------
    RequestError
        If the volume is not two-dimensional, or its numbers do not fit into 16 bits.
    """
    import imagecodecs

    pixels = _flat(job, "PNG")
    if job.volume.kind.is_labels:
        largest = int(pixels.max())
        if largest > np.iinfo(np.uint16).max:
            raise RequestError(
                f"PNG holds labels up to 65535, and the largest here is {largest}; write a .tif or .h5 file instead."
            )
        pixels = pixels.astype(np.uint8 if largest <= 255 else np.uint16)
    elif pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise RequestError(
            f"PNG holds whole numbers of 8 or 16 bits, and this is {pixels.dtype}; write a .tif or .h5 file instead."
        )
    encoded = imagecodecs.png_encode(np.ascontiguousarray(pixels))
    text = record_to_text(job.record, job.volume.voxel_size_um).encode()
    extra = _png_chunk(b"iTXt", _KEYWORD + b"\0\x01\0\0\0" + zlib.compress(text))
    size = job.volume.voxel_size_um
    if size is not None and min(size.x, size.y) > 1e6 / 2**31:
        extra += _png_chunk(b"pHYs", struct.pack(">IIB", round(1e6 / size.x), round(1e6 / size.y), 1))
    # Both belong between the header, which is 25 bytes long, and the pixels.
    header = len(_PNG_START) + 25
    path.write_bytes(encoded[:header] + extra + encoded[header:])


def write_jpeg(path: Path, job: Job) -> None:
    """Write a single slice of 8 bits as JPEG, for reports: it changes the numbers a little.

    Raises
    ------
    RequestError
        If the volume is not two-dimensional or not uint8, or holds labels.
    """
    import imagecodecs

    if job.volume.kind.is_labels:
        raise RequestError("JPEG changes the numbers a little, which destroys labels; write a .tif, .h5 or .png file.")
    pixels = _flat(job, "JPEG")
    if pixels.dtype != np.uint8:
        raise RequestError(f"JPEG holds 8 bits, and this is {pixels.dtype}; write a .tif or .h5 file instead.")
    encoded = imagecodecs.jpeg_encode(np.ascontiguousarray(pixels), level=95)
    text = record_to_text(job.record, job.volume.voxel_size_um).encode()
    if len(text) > _COMMENT_LIMIT:
        text = record_to_text(dataclasses.replace(job.record, workflow=None), job.volume.voxel_size_um).encode()
    comment = b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text
    path.write_bytes(encoded[:2] + comment + encoded[2:])


def _flat(job: Job, name: str) -> NDArray[Any]:
    data = job.volume.data
    n_slices = data.shape[-3]
    n_channels = data.shape[0] if data.ndim == 4 else 1
    if n_slices != 1 or n_channels not in (1, 3):
        raise RequestError(
            f"{name} holds one slice of one channel or of three colours, and this volume has {n_slices} slices and "
            f"{n_channels} channels; write a .tif or .h5 file instead."
        )
    flat: NDArray[Any] = data.reshape(n_channels, *data.shape[-2:])
    return flat[0] if n_channels == 1 else np.moveaxis(flat, 0, -1)


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


PNG = Format(
    name="PNG",
    suffixes=(".png",),
    write_suffixes=(".png",),
    signatures=(_PNG_START,),
    open=open_png,
    write=write_png,
)
JPEG = Format(
    name="JPEG",
    suffixes=(".jpg", ".jpeg"),
    write_suffixes=(".jpg", ".jpeg"),
    signatures=(_JPEG_START,),
    open=open_jpeg,
    write=write_jpeg,
)
