"""The card of a trained model: everything the program and a person must know before using it.

A model is a folder with ``card.yaml`` and one file of weights. Reading a card needs neither torch nor the weights.

>>> card = ModelCard.from_yaml('''
... card: 1
... id: example-2d
... title: Example
... description: Shows the fields that every card needs.
... family: {kind: boundary, dimensions: 2D, feature_maps: [8, 16]}
... dimensionality: 2D
... outputs: [{name: boundary, kind: boundary}]
... inputs: [{name: membrane}]
... normalisation: {method: percentile, low: 1.0, high: 99.0}
... weights: {file: weights.safetensors, sha256: "%s", size_bytes: 8}
... licence: MIT
... authors: [Somebody]
... ''' % ("0" * 64))
>>> card.voxel_size_um is None, card.inputs[0].kind.value, card.output().kind.value
(True, 'raw', 'boundary')
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from plantseg_app.core.fields import Micrometre, Percentile
from plantseg_app.core.step import readable_errors
from plantseg_app.core.volume import Kind, VoxelSize
from plantseg_app.errors import InputError, RequestError, did_you_mean

if TYPE_CHECKING:
    from plantseg_app.networks.family import NetworkFamily

FORMAT_VERSION = 1
CARD_FILE = "card.yaml"
_NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]*$"


class _CardPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InputChannel(_CardPart):
    """One image channel that the network reads."""

    name: str = Field(description="What the channel shows, for example membrane or nuclei.")
    kind: Kind = Field(Kind.RAW, description="The kind of volume the channel is.")
    description: str = Field("", description="One sentence for people, such as the usual stains.")


class OutputMap(_CardPart):
    """One thing that the network predicts, as `NetworkFamily.outputs` says, so that nobody needs torch to know it."""

    name: str = Field(description="Its name in the predict step.")
    kind: Kind = Field(description="The kind of volume it becomes.")


class Normalisation(_CardPart):
    """How grey values are brought to the range the network was trained on; each channel by itself."""

    method: Literal["percentile", "zscore", "none"] = Field(
        description="percentile: `low` becomes 0 and `high` becomes 1; zscore: mean 0, standard deviation 1."
    )
    low: Percentile = Field(1.0, description="The percentile that becomes 0.")
    high: Percentile = Field(99.0, description="The percentile that becomes 1.")
    scope: Literal["stack"] = Field("stack", description="Over which voxels the statistics are taken: the stack.")

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self


class Weights(_CardPart):
    """The file of trained numbers beside the card."""

    file: str = Field(description="Its name in the model's folder.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="The checksum of the file, in lower case.")
    size_bytes: int = Field(ge=1, description="The size of the file in bytes.")

    @field_validator("file")
    @classmethod
    def _stay_in_folder(cls, file: str) -> str:
        if Path(file).name != file or "\\" in file or file in {"", ".", ".."}:
            raise ValueError("the weights lie beside the card: give a file name without folders")
        return file


class DataSource(_CardPart):
    """One data set the model has met."""

    name: str
    seen_as: Literal["train", "validation", "test"]
    licence: str = ""
    provenance: str = Field("", description="Where it comes from, or how it was made; a DOI where there is one.")


class Score(_CardPart):
    """One measured quality."""

    data: str = Field(description="The data set it was measured on.")
    metric: str = Field(description="For example adapted_rand_error.")
    value: float
    remark: str = ""


class ModelCard(_CardPart):
    """What a trained model is, how it wants its images, and how far it can be trusted.

    Attributes
    ----------
    id
        Its name on the command line and in workflows; also the name of its folder.
    family
        The architecture as plain settings, the mapping that `NetworkFamily.to_plain` writes.
    voxel_size_um
        (z, y, x) it was trained at, None when objects of any size were shown.
    object_diameter_um
        Typical diameter of the objects it was trained on.
    object_diameter_vox
        From which to which diameter, in voxels of its finest axis at its scale, the objects were that it was trained
        on.
    """

    id: str = Field(pattern=_NAME_PATTERN)
    title: str
    description: str
    family: dict[str, Any]
    dimensionality: Literal["2D", "3D"]
    modality: str = Field("", description="For example confocal, light-sheet, any.")
    inputs: tuple[InputChannel, ...] = Field(min_length=1)
    outputs: tuple[OutputMap, ...] = Field(min_length=1, description="What it predicts, the main thing first.")
    voxel_size_um: VoxelSize | None = None
    object_diameter_um: Micrometre | None = None
    object_diameter_vox: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] | None = None
    normalisation: Normalisation
    weights: Weights
    licence: str
    authors: tuple[str, ...] = Field(min_length=1)
    citation: str = ""
    data: tuple[DataSource, ...] = ()
    scores: tuple[Score, ...] = ()
    training: str = Field("", description="How it was trained: program, settings, time, machine.")

    @field_validator("family")
    @classmethod
    def _check_family(cls, family: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(family.get("kind"), str):
            raise ValueError('the family needs a "kind", for example "boundary"')
        return family

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

    @classmethod
    def from_yaml(cls, text: str, where: str = "The model card") -> Self:
        """Read a card from YAML text; code in the text is never run.

        Raises
        ------
        InputError
            Naming `where`, the entry that is wrong, and what is allowed.
        """
        try:
            plain = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"{where} is not readable YAML: {error}") from error
        if not isinstance(plain, Mapping) or plain.get("card") != FORMAT_VERSION:
            raise InputError(f'{where} must be a mapping with "card: {FORMAT_VERSION}"; it is none of this format.')
        try:
            return cls(**{str(key): value for key, value in plain.items() if key != "card"})
        except ValidationError as error:
            raise InputError(readable_errors(error, where, list(cls.model_fields))) from error

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the card of the model in `folder`.

        Raises
        ------
        InputError
            If there is no card or it is damaged.
        """
        path = folder / CARD_FILE
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"The model card {path} cannot be read: {error}") from error
        return cls.from_yaml(text, str(path))

    def to_yaml(self) -> str:
        """Return the text that `from_yaml` reads back to an equal card."""
        plain = {"card": FORMAT_VERSION, **self.model_dump(mode="json")}
        return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)

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

    def network_family(self) -> NetworkFamily:
        """Return the architecture; this loads torch.

        Raises
        ------
        RequestError
            If the family or one of its settings is unknown to this program.
        InputError
            If its channels or its outputs are not those that the card lists.
        """
        # Imported here because reading and listing cards must not cost the second that torch takes to load.
        from plantseg_app.networks.family import make_family

        importlib.import_module("plantseg_app.networks.families")
        family = make_family(self.family)
        if family.in_channels != len(self.inputs):
            raise InputError(
                f"The card of {self.id} lists {len(self.inputs)} input channels but its network reads "
                f"{family.in_channels}; correct the card."
            )
        predicted = [(output.name, output.kind) for output in family.outputs]
        if predicted != [(output.name, output.kind) for output in self.outputs]:
            names = ", ".join(f"{name} ({kind.value})" for name, kind in predicted)
            raise InputError(f"The network of {self.id} predicts {names}; correct the outputs in its card.")
        return family
