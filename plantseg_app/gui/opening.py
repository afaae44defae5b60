"""What is known of a file on its way from the file list to an open image: what was wanted, found, and agreed on."""

from __future__ import annotations

import dataclasses
from collections import deque
from pathlib import Path

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import PlantSegError
from plantseg_app.gui.document import OpenImage
from plantseg_app.io import ImageInfo, inspect_image, read_workflow
from plantseg_app.io.format import StoredImage
from plantseg_app.io.preview import read_slice
from plantseg_app.run.reading import (
    Part,
    Reading,
    channel_names,
    could_be_labels,
    stored_image,
    usual_reading,
)
from plantseg_app.run.roles import ROLES
from plantseg_app.run.store import VolumeRef


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A file that is to be opened.

    Attributes
    ----------
    path
        The file.
    again
        The open image that it is read again for, None for a new one.
    settled
        How it is read, if that was said already.
    """

    path: Path
    again: str | None = None
    settled: Reading | None = None


@dataclasses.dataclass(frozen=True)
class Look:
    """What a glance at a file gave: its description, the proposed reading, and the workflow that made it."""

    info: ImageInfo
    proposed: Reading
    workflow: str | None


@dataclasses.dataclass
class Opening:
    """The file that is being read.

    Attributes
    ----------
    wanted, look, reading
        Which, what it says, and how it is read.
    left
        The channels that are still to be read.
    again
        The open image that the next channel takes the place of, None for a new one.
    """

    wanted: Wanted
    look: Look
    reading: Reading
    left: deque[Part]
    again: str | None

    @property
    def stored(self) -> StoredImage:
        """What the file says about the image that is read."""
        return stored_image(self.look.info, self.reading.dataset)

    def name(self, stem: str, part: Part) -> str:
        """Return what to call the image of a channel."""
        words = [stem]
        if self.reading.dataset is not None and len(self.look.info.datasets) > 1:
            words.append(self.stored.title or self.reading.dataset)
        if isinstance(part.channel, int):
            names = channel_names(self.stored, self.reading.axes)
            known = names[part.channel] if part.channel < len(names) else ""
            words.append(known or f"channel {part.channel}")
        return " ".join(words)

    def image(self, volume: Volume, ref: VolumeRef, part: Part) -> OpenImage:
        """Return the image that a channel has become."""
        source = "given by you" if self.reading.voxel_size_um else self.stored.voxel_size_source
        name, read = self.name(volume.name, part), self.reading.options(part)
        return OpenImage(name, part.role, volume, self.wanted.path, read, ref, source)


def look_at(path: Path) -> Look:
    """Return what a file says, without reading more of it than a slice; raises what `inspect_image` raises."""
    info = inspect_image(path)
    proposed = usual_reading(info)
    part = proposed.parts[0]
    if ROLES[part.role].kind is Kind.LABELS and info.kind is None and not _slice_could_be_labels(info, proposed):
        proposed = usual_reading(info, looks_like_labels=False)
    return Look(info, proposed, read_workflow(path))


def _slice_could_be_labels(info: ImageInfo, reading: Reading) -> bool:
    part = reading.parts[0]
    image = stored_image(info, reading.dataset)
    try:
        return could_be_labels(read_slice(info.path, image, axes=reading.axes, channel=part.channel, time=reading.time))
    except PlantSegError:
        return True
