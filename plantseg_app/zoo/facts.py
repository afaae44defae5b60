"""What is known of a model, be it on this machine or not: what it finds, at which scale, and whose work it is.

The card of an installed model and an entry of the catalogue of downloadable ones both begin with these facts, so that
both are searched, listed and compared by the same code. Knows no file and no network.

>>> facts = ModelFacts(id="example-2d", title="Example", description="Shows the facts that every model needs.",
...     dimensionality="2D", inputs=[{"name": "membrane"}], outputs=[{"name": "boundary", "kind": "boundary"}],
...     voxel_size_um=(1, 0.15, 0.15), licence="MIT", authors=["Somebody"])
>>> facts.voxel_size_um, facts.inputs[0].kind.value, facts.output().kind.value
(VoxelSize(z=1.0, y=0.15, x=0.15), 'raw', 'boundary')
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from plantseg_app.core.fields import Micrometre
from plantseg_app.core.volume import Kind, VoxelSize
from plantseg_app.errors import InputError, RequestError, did_you_mean

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]*$"
DOI_PATTERN = r"^(10\.\d{4,9}/\S+)?$"

DiameterVox = Annotated[float, Field(gt=0)]
TileVox = Annotated[int, Field(ge=1, le=10**6)]
HaloVox = Annotated[int, Field(ge=0, le=10**6)]


class FactsPart(BaseModel):
    """Base of all parts of cards and catalogues: frozen, and nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InputChannel(FactsPart):
    """One image channel that the network reads."""

    name: str = Field(description="What the channel shows, for example membrane or nuclei.")
    kind: Kind = Field(Kind.RAW, description="The kind of volume the channel is.")
    description: str = Field("", description="One sentence for people, such as the usual stains.")


class OutputMap(FactsPart):
    """One thing that the network predicts, as `NetworkFamily.outputs` says, so that nobody needs torch to know it."""

    name: str = Field(description="Its name in the predict step.")
    kind: Kind = Field(description="The kind of volume it becomes.")
    description: str = Field("", description="What its values mean, in one sentence for people.")


class DataSource(FactsPart):
    """One data set the model has met."""

    name: str = Field(description="What it is called, and how much of it.")
    seen_as: Literal["train", "validation", "test"] = Field(
        description="Whether the model learned from it, was chosen by it, or was only tested on it."
    )
    licence: str = Field("", description="The licence of the data.")
    provenance: str = Field("", description="Where it comes from, or how it was made; a DOI where there is one.")


class Score(FactsPart):
    """One measured quality."""

    data: str = Field(description="The data set it was measured on.")
    metric: str = Field(description="For example adapted_rand_error.")
    value: float = Field(description="The measured value.")
    remark: str = Field("", description="How it was measured, and what to compare it with.")


class ModelFacts(FactsPart):
    """What a model is for, at which scale, how good it is, and whose work it is."""

    id: str = Field(
        pattern=NAME_PATTERN,
        description="Its name on the command line and in workflows; also the name of its folder.",
    )
    title: str = Field(description="Its name for people.")
    description: str = Field(description="What it does, in a sentence or two for people.")
    segments: str = Field("", description="What it finds, for example cell boundaries or nuclei.")
    modality: str = Field(
        "", description="The kinds of microscopy, with commas: confocal, light-sheet; any where it does not matter."
    )
    organism: str = Field("", description="The organisms that it has seen.")
    tissue: str = Field("", description="The organs, tissues or cultures that it has seen.")
    dimensionality: Literal["2D", "3D"] = Field(description="Whether it sees single slices or stacks.")
    inputs: tuple[InputChannel, ...] = Field(min_length=1, description="The image channels that it reads, in order.")
    outputs: tuple[OutputMap, ...] = Field(min_length=1, description="What it predicts, the main thing first.")
    voxel_size_um: VoxelSize | None = Field(
        None, description="Z, Y, X in micrometres that it was trained at; null when objects of any size were shown."
    )
    object_diameter_um: Micrometre | None = Field(
        None, description="Diameter of a typical object that it was trained on, in micrometres."
    )
    object_diameter_vox: tuple[DiameterVox, DiameterVox] | None = Field(
        None,
        description="From which to which diameter the objects were that it was trained on, in voxels of its finest "
        "axis at its scale.",
    )
    tile_vox: tuple[TileVox, TileVox, TileVox] | None = Field(
        None,
        description="The patches, Z, Y, X in voxels, that it was trained on. A network whose result depends on the "
        "size of the tile (group norm) is run in tiles of this size.",
    )
    halo_vox: tuple[HaloVox, HaloVox, HaloVox] | None = Field(
        None,
        description="How much context, Z, Y, X in voxels, a tile needs on each side, where no halo is exact; null: as "
        "the architecture says.",
    )
    licence: str = Field(description="The licence of the weights.")
    authors: tuple[str, ...] = Field(min_length=1, description="Who made it.")
    citation: str = Field("", description="What to cite, in words.")
    doi: str = Field("", pattern=DOI_PATTERN, description="The DOI to cite first, without https://doi.org/.")
    data: tuple[DataSource, ...] = Field((), description="The data sets it has met, with their licences.")
    scores: tuple[Score, ...] = Field((), description="How good it is, measured.")

    @field_validator("voxel_size_um", mode="before")
    @classmethod
    def _check_voxel_size(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            try:
                return VoxelSize.checked(tuple(value))
            except (InputError, TypeError) as error:
                raise ValueError(str(error)) from error
        return value

    @field_validator("object_diameter_vox")
    @classmethod
    def _check_diameters(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and value[0] > value[1]:
            raise ValueError("the smallest diameter comes first")
        return value

    def output(self, name: str = "") -> OutputMap:
        """Return the output called `name`, or the main one.

        Raises
        ------
        RequestError
            If the model has no such output; the message lists them.
        """
        if not name:
            return self.outputs[0]
        for output in self.outputs:
            if output.name == name:
                return output
        hint = did_you_mean(name, [output.name for output in self.outputs])
        raise RequestError(f'The model {self.id} predicts no "{name}". {hint}')
