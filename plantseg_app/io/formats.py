"""All file formats, and which of them a file has. A new format is one new module and one name in `FORMATS`.

>>> writable_suffixes()
'.tif, .tiff, .h5, .hdf5, .hdf, .hd5, .png, .jpg, .jpeg, .json'
"""

from __future__ import annotations

from pathlib import Path

from plantseg_app.errors import InputError, RequestError
from plantseg_app.io.coco import COCO
from plantseg_app.io.format import Format
from plantseg_app.io.hdf5 import HDF5
from plantseg_app.io.picture import JPEG, PNG
from plantseg_app.io.tiff import TIFF

FORMATS: tuple[Format, ...] = (TIFF, HDF5, PNG, JPEG, COCO)

_VENDOR = {
    ".czi": "Zeiss",
    ".lif": "Leica",
    ".nd2": "Nikon",
    ".oib": "Olympus",
    ".oif": "Olympus",
    ".oir": "Olympus",
    ".vsi": "Olympus",
    ".ims": "Imaris",
    ".dv": "DeltaVision",
}


def readable_suffixes() -> str:
    """Return the endings of files that can be read, as a list for people."""
    return ", ".join(suffix for known in FORMATS for suffix in known.suffixes)


def writable_suffixes() -> str:
    """Return the endings of files that can be written, as a list for people."""
    return ", ".join(suffix for known in FORMATS for suffix in known.write_suffixes)


def is_image_name(path: str | Path) -> bool:
    """Return whether a file of this name among others is an image; looks at the ending alone."""
    return any(Path(path).suffix.lower() in known.suffixes for known in FORMATS if known.is_common)


def format_to_read(path: Path) -> Format:
    """Return the format of an existing file.

    Raises
    ------
    RequestError
        If there is no such file, or its ending is none that is read.
    InputError
        If the file is empty, may not be read, or is not what its ending says.
    """
    if not path.exists():
        raise RequestError(f"There is no file {path}; check the name and the folder.")
    if path.is_dir():
        raise RequestError(f"{path} is a folder; give an image file ({readable_suffixes()}).")
    known = next((known for known in FORMATS if path.suffix.lower() in known.suffixes), None)
    if known is None:
        raise RequestError(_unknown_ending(path))
    start = _first_bytes(path)
    if not start:
        raise InputError(f"The file {path} is empty (0 bytes); copy or export it again.")
    if not start.startswith(known.signatures):
        other = next((other for other in FORMATS if start.startswith(other.signatures)), None)
        if other is None:
            raise InputError(
                f"The file {path.name} is not a {known.name} file, in spite of its name, or it is damaged; "
                "export it again."
            )
        raise InputError(
            f"The file {path.name} is a {other.name} file, in spite of its name; rename it to {path.stem}"
            f"{other.suffixes[0]}."
        )
    return known


def format_to_write(path: Path) -> Format:
    """Return the format that the ending of a file to be written asks for.

    Raises
    ------
    RequestError
        If the ending is none that is written.
    """
    for known in FORMATS:
        if path.suffix.lower() in known.write_suffixes:
            return known
    ending = f'the ending "{path.suffix}"' if path.suffix else "no ending"
    raise RequestError(f"The file {path.name} has {ending}; images are written as {writable_suffixes()}.")


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(16)
    except PermissionError as error:
        raise InputError(f"The file {path} may not be read by you; change its permissions or copy it.") from error
    except OSError as error:
        raise InputError(f"The file {path} cannot be read ({error.strerror}).") from error


def _unknown_ending(path: Path) -> str:
    vendor = _VENDOR.get(path.suffix.lower())
    if vendor:
        return f"{vendor} files such as {path.name} are not read yet; open it in Fiji and save it as OME-TIFF."
    ending = f'the ending "{path.suffix}"' if path.suffix else "no ending"
    return f"The file {path.name} has {ending}; files that can be read end in {readable_suffixes()}."
