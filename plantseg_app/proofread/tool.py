"""A tool is one frozen settings object that says what should change in the labels.

What a person points at (cells, points) and what can be set are its fields; range, default and help of each stand here
alone, so that forms and the command line are made from them. To add a tool, write one file under
`plantseg_app/proofread/tools/` with one subclass.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from plantseg_app.core.registry import Registry
from plantseg_app.proofread.tissue import Change, Mark, Tissue

__all__ = ["TOOLS", "Axis", "CellId", "Cells", "Field", "Points", "Tool"]

Axis = Literal["z", "y", "x"]
"""An axis of the image."""

CellId = Annotated[int, Field(ge=1, lt=2**64)]
"""The id of a cell."""

Cells = Annotated[tuple[CellId, ...], Field(min_length=1)]
"""Ids of one or more cells."""


def _as_points(value: object) -> NDArray[np.int64]:
    points = np.asarray(value)
    if points.ndim == 1 and points.size == 3:
        points = points[None]
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise ValueError(f"Points are rows of Z, Y, X, at least one; these have the shape {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError("Points are finite numbers")
    return np.floor(points + 0.5).astype(np.int64)


Points = Annotated[NDArray[Any], BeforeValidator(_as_points)]
"""Voxels (N, 3), Z, Y, X, rounded to the nearest; one point may be given as three numbers."""


class Tool(BaseModel, abc.ABC):
    """One correction that can be made.

    Class attributes
    ----------------
    id
        The name in journals and on the command line.
    title
        The name in the window.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)

    id: ClassVar[str]
    title: ClassVar[str]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Register every concrete tool under its id."""
        super().__pydantic_init_subclass__(**kwargs)
        if "id" in cls.__dict__:
            TOOLS.add(cls.id, cls)

    @abc.abstractmethod
    def changes(self, tissue: Tissue) -> Iterator[Change]:
        """Yield what should change; each is done before the next is asked for, and all are undone after a refusal.

        Raises
        ------
        Refused
            If it cannot be done, in one sentence that says why.
        """

    def marks(self, tissue: Tissue) -> Mapping[int, Mark | None]:  # noqa: ARG002 - most tools set none
        """Return what is said of cells after the changes; None takes a mark away."""
        return {}

    @property
    @abc.abstractmethod
    def words(self) -> str:
        """What was done, for the journal and the list of corrections: "Merged cells 3 and 8"."""

    def settings(self) -> dict[str, Any]:
        """Return the fields as plain data, without points: the journal has the voxels that changed."""
        points = {name for name, field in type(self).model_fields.items() if field.exclude}
        return self.model_dump(mode="json", exclude=points)


TOOLS: Registry[type[Tool]] = Registry("tool")
"""All tools by id; filled by importing `plantseg_app.proofread.tools`."""


def field_of(settings: type[BaseModel], name: str) -> Any:
    """Return a field of other settings with its default, range and help, so that it is not written twice."""
    return settings.model_fields[name]


def listed(cells: tuple[int, ...]) -> str:
    """Return ids as people write them.

    >>> listed((3,)), listed((3, 4, 5)), listed(tuple(range(1, 12)))
    ('cell 3', 'cells 3, 4 and 5', 'cells 1, 2, 3, 4, 5, 6 and 5 more')
    """
    if len(cells) == 1:
        return f"cell {cells[0]}"
    shown = [str(cell) for cell in cells[:6]] + ([f"{len(cells) - 6} more"] if len(cells) > 6 else [])
    return f"cells {', '.join(shown[:-1])} and {shown[-1]}"
