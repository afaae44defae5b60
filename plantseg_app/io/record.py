"""The text in which kind, voxel size, place and workflow travel inside files that have room for one text only.

>>> text = record_to_text(Record("raw", "nodes: []"), VoxelSize(0.25, 0.1, 0.1))
>>> record_from_text(text).workflow, voxel_size_from_text(text)
('nodes: []', VoxelSize(z=0.25, y=0.1, x=0.1))
"""

from __future__ import annotations

from plantseg_app.core.volume import VoxelSize
from plantseg_app.io.format import Record

_TITLE = "PlantSeg App"
_KIND = "kind: "
_VOXEL = "voxel size (z, y, x; um): "
_PLACE = "crop (z, y, x): "
_WORKFLOW = "workflow:"


def record_to_text(record: Record, voxel_size_um: VoxelSize | None) -> str:
    """Return lines for people that `record_from_text` reads back; the workflow is last and runs to the end."""
    lines = [_TITLE]
    if record.kind:
        lines.append(_KIND + record.kind)
    if voxel_size_um is not None:
        lines.append(_VOXEL + " ".join(repr(float(length)) for length in voxel_size_um))
    if record.place:
        lines.append(_PLACE + record.place)
    if record.workflow is not None:
        lines += [_WORKFLOW, record.workflow]
    return "\n".join(lines)


def record_from_text(text: str) -> Record:
    """Return the kind, the place and the workflow in a text of `record_to_text`; an empty record for any other text."""
    header, workflow = _split(text)
    return Record(_after(_KIND, header), workflow, _after(_PLACE, header))


def voxel_size_from_text(text: str) -> VoxelSize | None:
    """Return the voxel size in a text of `record_to_text`, None when there is none."""
    header, _ = _split(text)
    for line in header:
        if line.startswith(_VOXEL):
            try:
                z, y, x = (float(word) for word in line.removeprefix(_VOXEL).split())
            except ValueError:
                return None
            return VoxelSize(z, y, x)
    return None


def _after(word: str, lines: list[str]) -> str:
    return next((line.removeprefix(word) for line in lines if line.startswith(word)), "")


def _split(text: str) -> tuple[list[str], str | None]:
    start = text.find(_TITLE)
    if start < 0:
        return [], None
    before, found, workflow = text[start:].partition(f"\n{_WORKFLOW}\n")
    return before.splitlines(), workflow if found else None
