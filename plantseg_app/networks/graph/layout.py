"""What a graph reads and returns, as plain settings: tensors, axes, sizes. Knows neither torch nor files.

>>> tensor = TensorLayout(name="raw", axes="bcyx", n_channels=1)
>>> layout = GraphLayout(runtime="onnx", dimensions="2D", inputs=[tensor], outputs=[tensor], least_vox=(1, 64, 64),
...     step_vox=(1, 16, 0))
>>> layout.margins_vox((1, 70, 40))
((0, 0), (5, 5), (12, 12))
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from plantseg_app.core.volume import Shape3
from plantseg_app.errors import InputError

_TRIAL_VOX = 64
Margins = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
_Least = Annotated[int, Field(ge=1, le=10**6)]
_Step = Annotated[int, Field(ge=0, le=10**6)]


class TensorLayout(BaseModel):
    """One tensor of a graph."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="What it is called in the description of the model.")
    axes: str = Field(
        pattern=r"^[bczyx1]{2,6}$",
        description="Its axes in order: b batch, c channel, z, y, x, and 1 for an axis that has one entry.",
    )
    n_channels: int = Field(1, ge=1, le=4096, description="Its channels.")
    dtype: Literal["float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool"] = Field(
        "float32", description="The type of its numbers."
    )
    position: int = Field(0, ge=0, description="Of an output: which of the tensors that the graph returns it is.")

    @model_validator(mode="after")
    def _check_axes(self) -> Self:
        letters = self.axes.replace("1", "")
        if len(set(letters)) != len(letters) or "y" not in letters or "x" not in letters:
            raise ValueError(f'the axes "{self.axes}" must hold y and x, and no letter twice')
        if "c" not in letters and self.n_channels != 1:
            raise ValueError("a tensor without a channel axis has one channel")
        return self


class GraphLayout(BaseModel):
    """All tensors of a graph, and which sizes of images it takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runtime: Literal["torchscript", "onnx"] = Field(description="What the graph is written for.")
    dimensions: Literal["2D", "3D"] = Field(description="Whether the graph sees stacks or single slices.")
    inputs: tuple[TensorLayout, ...] = Field(min_length=1, description="The tensors that it reads, in order.")
    outputs: tuple[TensorLayout, ...] = Field(min_length=1, description="The tensors it returns that are maps.")
    least_vox: tuple[_Least, _Least, _Least] = Field(
        (1, 1, 1), description="The smallest image, Z, Y, X, that it takes."
    )
    step_vox: tuple[_Step, _Step, _Step] = Field(
        (1, 1, 1), description="By how much images may be larger than that, Z, Y, X, and by multiples; 0: they may not."
    )
    lost_vox: tuple[_Step, _Step, _Step] = Field(
        (0, 0, 0), description="How many voxels, Z, Y, X, at each end of what it reads it says nothing about."
    )

    @property
    def is_2d(self) -> bool:
        """Whether it sees single slices."""
        return self.dimensions == "2D"

    @property
    def in_channels(self) -> int:
        """Channels that all its inputs have together."""
        return sum(tensor.n_channels for tensor in self.inputs)

    @property
    def out_channels(self) -> int:
        """Channels that all its maps have together."""
        return sum(tensor.n_channels for tensor in self.outputs)

    @property
    def trial_shape_vox(self) -> Shape3:
        """A small image (Z, Y, X) that the graph takes as it is."""
        shape = []
        for least, step, lost in zip(self.least_vox, self.step_vox, self.lost_vox, strict=True):
            wanted = max(_TRIAL_VOX, least) if step else least
            allowed = least + -(-(wanted - least) // step) * step if step else least
            shape.append(allowed - 2 * lost)
        z, y, x = shape
        return (1 if self.is_2d else z), y, x

    def margins_vox(self, shape_vox: Shape3) -> Margins:
        """Return by how much an image must be enlarged (before, after) along Z, Y, X for the graph to take it.

        Raises
        ------
        InputError
            If it is larger than the graph can take.
        """
        margins = []
        for size, least, step, lost in zip(shape_vox, self.least_vox, self.step_vox, self.lost_vox, strict=True):
            wanted = size + 2 * lost
            if step:
                allowed = least + max(0, -(-(wanted - least) // step)) * step
            elif wanted <= least:
                allowed = least
            else:
                raise InputError(
                    f"The graph takes images of {self.least_vox} voxels and was shown {shape_vox}; leave tile and halo "
                    "to the program."
                )
            extra = allowed - size
            margins.append((lost + (extra - 2 * lost) // 2, extra - lost - (extra - 2 * lost) // 2))
        z, y, x = margins
        if self.is_2d:
            z = (0, 0)
        return z, y, x
