"""What the numbers of a file mean, where a command must know it before reading."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plantseg_app.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    from plantseg_app.core.volume import Kind


def parse_kind(text: str) -> Kind:
    """Return the kind that a person named.

    Raises
    ------
    RequestError
        If there is none of that name.
    """
    from plantseg_app.core.volume import Kind

    word = text.replace("-", "_")
    if word not in list(Kind):
        raise RequestError(f'There is no kind "{text}". {did_you_mean(word, [kind.value for kind in Kind])}')
    return Kind(word)


def kind_of_file(path: Path, dataset: str | None, allowed: Sequence[Kind]) -> Kind:
    """Return what a file shows, out of the `allowed` kinds; the first of them when the file does not tell.

    A file that this program wrote says it. In others, whole numbers of 32 or 64 bits are labels: no microscope
    writes those.
    """
    from plantseg_app.core.volume import Kind
    from plantseg_app.io import inspect_image

    if len(allowed) == 1:
        return allowed[0]
    image = inspect_image(path, dataset)
    if image.kind is not None and image.kind in allowed:
        return image.kind
    is_wide = _is_wide_integer(image.dtype)
    return Kind.LABELS if is_wide and Kind.LABELS in allowed else allowed[0]


def _is_wide_integer(dtype: str) -> bool:
    import numpy as np

    return np.dtype(dtype).kind in "iu" and np.dtype(dtype).itemsize >= 4
