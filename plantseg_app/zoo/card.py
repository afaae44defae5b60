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
from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from plantseg_app.algorithms.operations import Operations
from plantseg_app.core.fields import Percentile
from plantseg_app.core.step import readable_errors
from plantseg_app.errors import InputError
from plantseg_app.zoo.facts import FactsPart, ModelFacts
from plantseg_app.zoo.plain_yaml import load_plain

if TYPE_CHECKING:
    from plantseg_app.networks.family import NetworkFamily

FORMAT_VERSION = 1
CARD_FILE = "card.yaml"


def _stay_in_folder(file: str) -> str:
    if Path(file).name != file or "\\" in file or file in {"", ".", ".."}:
        raise ValueError("the files of a model lie in one folder: give a file name without folders")
    return file


def _leave_card_alone(file: str) -> str:
    if file.casefold() == CARD_FILE:
        raise ValueError(f"{CARD_FILE} is the card itself")
    return file


FileName = Annotated[str, AfterValidator(_stay_in_folder)]
BesideCard = Annotated[FileName, AfterValidator(_leave_card_alone)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Normalisation(FactsPart):
    """How grey values are brought to the range the network was trained on; each channel by itself."""

    method: Literal["percentile", "zscore", "none", "operations"] = Field(
        description="percentile: `low` becomes 0 and `high` becomes 1; zscore: mean 0, standard deviation 1; "
        "operations: what the list of operations says, in which channels may be looked at together."
    )
    low: Percentile = Field(1.0, description="The percentile that becomes 0.")
    high: Percentile = Field(99.0, description="The percentile that becomes 1.")
    scope: Literal["stack"] = Field("stack", description="Over which voxels the statistics are taken: the stack.")
    operations: Operations = Field(
        (), description="For models of other programs: what they do to the channels, in order."
    )

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        if bool(self.operations) != (self.method == "operations"):
            raise ValueError("operations are listed where the method is operations, and only there")
        return self


class ModelFile(FactsPart):
    """A file beside the card."""

    file: BesideCard = Field(description="Its name in the model's folder.")
    sha256: Sha256 = Field(description="The checksum of the file, in lower case.")
    size_bytes: int = Field(ge=1, description="The size of the file in bytes.")


class Weights(ModelFile):
    """The file of trained numbers beside the card."""


class FetchedFile(FactsPart):
    """A file as it came from the network, before it was made into a model."""

    url: str = Field(description="The address it came from.")
    sha256: Sha256 = Field(description="The checksum of what came.")
    size_bytes: int = Field(ge=1, description="The size of what came, in bytes.")
    checksum: Literal["published", "first download"] = Field(
        description="published: the source says what the checksum has to be; first download: nobody does, so that of "
        "the first download is held on to."
    )


class ModelCard(ModelFacts):
    """What a trained model is, how it wants its images, and how far it can be trusted."""

    family: dict[str, Any] = Field(
        description='The architecture and its settings, with its "kind": what `NetworkFamily.to_plain` writes.'
    )
    normalisation: Normalisation = Field(description="How grey values are prepared.")
    workflow: str = Field(
        "", description="The ready-made workflow that suits it, where that of its family is not the best for it."
    )
    weights: Weights = Field(description="The trained numbers.")
    files: tuple[ModelFile, ...] = Field((), description="Further files beside the card that must be whole.")
    picture: BesideCard | None = Field(None, description="A picture beside the card: image, result and truth.")
    training: str = Field("", description="How it was trained: program, settings, time, machine.")
    fetched: tuple[FetchedFile, ...] = Field((), description="The files that it was downloaded as.")

    @field_validator("family")
    @classmethod
    def _check_family(cls, family: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(family.get("kind"), str):
            raise ValueError('the family needs a "kind", for example "boundary"')
        return family

    @classmethod
    def from_yaml(cls, text: str, where: str = "The model card") -> Self:
        """Read a card from YAML text; code in the text is never run.

        Raises
        ------
        InputError
            Naming `where`, the entry that is wrong, and what is allowed.
        """
        plain = load_plain(text, where)
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

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON schema of ``card.yaml``, which ``docs/card.schema.json`` holds."""
        schema = cls.model_json_schema()
        version = {"const": FORMAT_VERSION, "description": "The version of this format."}
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **schema,
            "properties": {"card": version, **schema["properties"]},
            "required": ["card", *schema["required"]],
        }

    @property
    def own_graph(self) -> str:
        """The runtime of a model that runs a graph of its own, which this program does not know; else ""."""
        layout = self.family.get("layout")
        return str(layout.get("runtime", "")) if self.family["kind"] == "graph" and isinstance(layout, Mapping) else ""

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
