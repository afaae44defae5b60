"""How doubtful each cell is and why, so that a person looks at the worst first.

Each reason is a number from 0 (as usual) to 1, judged against the other cells of the same image: evidence along a face
against the usual face, evidence within a cell against the usual cell, sizes and shapes against the usual ones. The
doubt of a cell is the chance that at least one of its reasons is right, were they independent. Where the numbers come
from, and how well they find errors: docs/methods/proofreading.md.

>>> import numpy as np
>>> from plantseg_app.proofread.tissue import Tissue
>>> tissue = Tissue(np.repeat(np.array([[[7, 7, 0, 7, 7, 7, 9, 9, 9]]], np.uint32), 4, axis=1))
>>> [(doubt.cell, [reason.kind.value for reason in doubt.reasons]) for doubt in rank(examine_all(tissue), is_2d=True)]
[(7, ['pieces']), (9, [])]
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, never_stop
from plantseg_app.proofread.findings import Face, Findings, Scale, examine, usual_scale
from plantseg_app.proofread.tissue import Tissue


class ReasonKind(enum.StrEnum):
    """Why a cell may be wrong."""

    WEAK_FACE = "weak face"
    WALL_INSIDE = "wall inside"
    WAIST = "waist"
    PIECES = "pieces"
    HOLES = "holes"
    SMALL = "small"
    LARGE = "large"
    SHAPE = "shape"
    NO_NUCLEUS = "no nucleus"
    SEVERAL_NUCLEI = "several nuclei"


class Ramp(NamedTuple):
    """How strong a reason is: 0 up to `low`, `most` from `high` on, and evenly between."""

    low: float
    high: float
    most: float

    def __call__(self, value: float) -> float:
        """Return the strength; 0 for NaN."""
        if not value > self.low:
            return 0.0
        return self.most * min(1.0, (value - self.low) / (self.high - self.low))


# Evidence is counted from 0, the usual core of a cell, to 1, the usual face; sizes in spreads of their logarithm.
_WEAK_FACE = Ramp(0.5, 1.0, 0.97)
_WALL = Ramp(0.1, 0.55, 0.97)
_WAIST = Ramp(0.3, 0.9, 0.6)
_PIECES = Ramp(0.002, 0.03, 0.97)
_HOLES = Ramp(4.0, 30.0, 0.95)
_SMALL = Ramp(1.5, 5.0, 0.2)
_LARGE = Ramp(1.5, 4.0, 0.4)
_SHAPE = Ramp(2.0, 5.0, 0.3)
_NO_NUCLEUS, _SEVERAL_NUCLEI = 0.6, 0.95
# Two parts of one cell are rounder together; two cells are not, and make a large one.
_ROUNDER_TOGETHER = Ramp(-0.1, 0.12, 1.0)
_IF_NOT_ROUNDER = 0.3
_LARGE_TOGETHER = Ramp(1.0, 3.0, 0.6)
_FACE_TO_TELL = 0.08
# Who looks at one side of a face sees both; the smaller cell stands for it.
_OTHER_SIDE = 0.15
_FEW_LOOSE_VOX = 4


@dataclasses.dataclass(frozen=True)
class Reason:
    """One thing that speaks against a cell.

    Attributes
    ----------
    kind
        Of doubt.
    strength
        0 to 1.
    words
        For people: "Weak boundary to cell 12".
    """

    kind: ReasonKind
    strength: float
    words: str


@dataclasses.dataclass(frozen=True)
class Doubt:
    """How doubtful a cell is.

    Attributes
    ----------
    cell
        Its id.
    score
        0 to 1; only the order means something.
    reasons
        The strongest first.
    neighbour
        The cell behind the weakest face, with which it may belong together; 0 when none is suspected.
    """

    cell: int
    score: float
    reasons: tuple[Reason, ...]
    neighbour: int = 0


class Usual(NamedTuple):
    """What is usual in an image: the measure of all cells in it.

    Attributes
    ----------
    core, span
        Evidence within the usual cell, and how much more there is along the usual face; NaN without a boundary map.
    log_size, size_spread
        Middle and spread of the logarithm of the size of cells that the border does not cut.
    roundness, shape_spread
        Middle of size to the power 2/3 (in 2D 1/2) over surface, and the spread relative to it.
    power
        2/3 or 1/2.
    """

    core: float
    span: float
    log_size: float
    size_spread: float
    roundness: float
    shape_spread: float
    power: float

    @classmethod
    def of(cls, findings: Iterable[Findings], is_2d: bool) -> Self:
        """Return what is usual among these cells, at least one."""
        found = list(findings)
        power = 1 / 2 if is_2d else 2 / 3
        core = _middle([cell.core_evidence for cell in found])
        rim = _middle([cell.rim_evidence for cell in found])
        whole = [cell for cell in found if not cell.at_border]
        sizes = [math.log(cell.size_vox) for cell in (whole if len(whole) > 10 else found)]
        shapes = [_roundness(cell.size_vox, cell.surface, power) for cell in found]
        roundness = _middle(shapes)
        return cls(
            core=core,
            span=max(rim - core, 1e-3),
            log_size=_middle(sizes),
            size_spread=max(_spread(sizes), 0.2),
            roundness=roundness,
            shape_spread=max(_spread([shape / roundness for shape in shapes]), 1e-3),
            power=power,
        )

    def size(self, size_vox: int) -> float:
        """Return how many spreads a size is above the usual one."""
        return (math.log(size_vox) - self.log_size) / self.size_spread

    def shape(self, size_vox: int, surface: float) -> float:
        """Return the roundness of a cell, 1 for the usual one."""
        return _roundness(size_vox, surface, self.power) / self.roundness


def examine_all(
    tissue: Tissue, cells: Iterable[int] | None = None, scale: Scale | None = None, check: Check = never_stop
) -> dict[int, Findings]:
    """Look at cells, all by default; `check` is called between them and may raise to stop."""
    scale = usual_scale(tissue) if scale is None else scale
    found = {}
    for cell in tissue.index.ids() if cells is None else cells:
        check()
        found[cell] = examine(tissue, cell, scale)
    return found


def rank(findings: Mapping[int, Findings], is_2d: bool = False) -> list[Doubt]:
    """Return the doubts of all cells, the greatest first; the smaller id of equals."""
    if not findings:
        return []
    usual = Usual.of(findings.values(), is_2d)
    return sorted((judge(cell, findings, usual) for cell in findings), key=by_doubt)


def by_doubt(doubt: Doubt) -> tuple[float, int]:
    """Return what doubts are sorted by."""
    return -doubt.score, doubt.cell


def judge(cell: int, findings: Mapping[int, Findings], usual: Usual) -> Doubt:
    """Return the doubt of one cell, judged by what is usual."""
    found = findings[cell]
    reasons = [*_of_evidence(found, usual), *_of_shape(found, usual), *_of_nuclei(found)]
    strength, face = _weakest_face(cell, findings, usual)
    if face is not None:
        if _stands_for_both(cell, face.neighbour, findings, usual):
            strength *= _OTHER_SIDE
        reasons.append(Reason(ReasonKind.WEAK_FACE, strength, f"Weak boundary to cell {face.neighbour}"))
    reasons = sorted((reason for reason in reasons if reason.strength > 0), key=lambda reason: -reason.strength)
    score = 1 - math.prod(1 - reason.strength for reason in reasons)
    return Doubt(cell, score, tuple(reasons), 0 if face is None else face.neighbour)


def _of_evidence(found: Findings, usual: Usual) -> list[Reason]:
    wall = _WALL((found.wall_evidence - usual.core) / usual.span)
    return [Reason(ReasonKind.WALL_INSIDE, wall, "A wall runs through it")]


def _of_shape(found: Findings, usual: Usual) -> list[Reason]:
    size = usual.size(found.size_vox)
    loose = found.loose_vox if found.loose_vox > _FEW_LOOSE_VOX else 0
    unround = (1 - usual.shape(found.size_vox, found.surface)) / usual.shape_spread
    return [
        Reason(ReasonKind.PIECES, _PIECES(loose / found.size_vox), f"In {found.n_pieces} pieces"),
        Reason(ReasonKind.HOLES, _HOLES(found.hole_vox), f"Closes around {found.hole_vox} voxels"),
        Reason(ReasonKind.WAIST, _WAIST(found.waist), "Narrow in the middle"),
        Reason(ReasonKind.LARGE, _LARGE(size), "Much larger than most"),
        # One that the border cuts is small for that reason.
        Reason(ReasonKind.SMALL, 0.0 if found.at_border else _SMALL(-size), "Much smaller than most"),
        Reason(ReasonKind.SHAPE, _SHAPE(unround), "Of an unusual shape"),
    ]


def _of_nuclei(found: Findings) -> list[Reason]:
    if found.n_nuclei > 1:
        return [Reason(ReasonKind.SEVERAL_NUCLEI, _SEVERAL_NUCLEI, f"Holds {found.n_nuclei} nuclei")]
    if found.n_nuclei == 0 and not found.at_border:
        return [Reason(ReasonKind.NO_NUCLEUS, _NO_NUCLEUS, "Holds no nucleus")]
    return []


def _weakest_face(cell: int, findings: Mapping[int, Findings], usual: Usual) -> tuple[float, Face | None]:
    """Return the face behind which the same cell most probably goes on, and how probably."""
    best, strongest = None, 0.0
    for face in findings[cell].faces:
        strength = _face_strength(cell, face, findings, usual)
        if strength > strongest:
            best, strongest = face, strength
    return strongest, best


def _face_strength(cell: int, face: Face, findings: Mapping[int, Findings], usual: Usual) -> float:
    one, other = findings[cell], findings.get(face.neighbour)
    weak = _WEAK_FACE((usual.core + usual.span - face.evidence) / usual.span)
    if other is None or weak == 0:
        return 0.0
    size, surface = one.size_vox + other.size_vox, one.surface + other.surface - 2 * face.area
    apart = (usual.shape(one.size_vox, one.surface) + usual.shape(other.size_vox, other.surface)) / 2
    rounder = _ROUNDER_TOGETHER(usual.shape(size, surface) - apart)
    told = min(1.0, face.area / (_FACE_TO_TELL * max(min(one.surface, other.surface), 1e-9)))
    return weak * told * (_IF_NOT_ROUNDER + (1 - _IF_NOT_ROUNDER) * rounder) * (1 - _LARGE_TOGETHER(usual.size(size)))


def _stands_for_both(cell: int, neighbour: int, findings: Mapping[int, Findings], usual: Usual) -> bool:
    """Return whether the neighbour suspects the same face and, being smaller, stands for both."""
    _, face = _weakest_face(neighbour, findings, usual)
    own, others = findings[cell].size_vox, findings[neighbour].size_vox
    return face is not None and face.neighbour == cell and (others, neighbour) < (own, cell)


def _roundness(size_vox: int, surface: float, power: float) -> float:
    return float(size_vox**power / max(surface, 1e-9))


def _middle(values: Sequence[float]) -> float:
    known = _known(values)
    return float(np.median(known)) if len(known) else math.nan


def _spread(values: Sequence[float]) -> float:
    """Return the standard deviation as the median tells it, so that errors do not widen it."""
    known = _known(values)
    return 1.48 * float(np.median(np.abs(known - np.median(known)))) if len(known) else 0.0


def _known(values: Sequence[float]) -> NDArray[np.float64]:
    known = np.asarray(values, float)
    return np.asarray(known[~np.isnan(known)])
