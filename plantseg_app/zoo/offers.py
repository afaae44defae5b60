"""The models that can be downloaded, as ``models_zoo/catalogue.yaml`` lists them; reading it touches no network.

Each offer carries the same facts as a card, and the files that make the model. What sort of files they are is told by
`plantseg_app.zoo.importing` once they are here.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from plantseg_app.zoo.card import FileName, Sha256
from plantseg_app.zoo.facts import FactsPart, ModelFacts

_SCHEMES = ("https", "http")


class OfferedFile(FactsPart):
    """One file to download."""

    file: FileName = Field(description="The name that it gets.")
    urls: tuple[str, ...] = Field(min_length=1, description="Where it is, the first choice first, then its mirrors.")
    sha256: Sha256 | None = Field(None, description="Its checksum, where the source publishes one.")
    size_bytes: int | None = Field(None, ge=1, description="Its size, where it is known.")

    @field_validator("urls")
    @classmethod
    def _check_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if urlsplit(url).scheme not in _SCHEMES or not urlsplit(url).hostname:
                raise ValueError(f'"{url}" is no address that starts with https:// or http://')
        return urls


class Offer(ModelFacts):
    """A model that can be downloaded."""

    collection: str = Field(description="Who offers it, for example PlantSeg or BioImage.IO.")
    page: str = Field("", description="The page about it, for people.")
    also_called: tuple[str, ...] = Field((), description="Other names under which it is found.")
    files: tuple[OfferedFile, ...] = Field(min_length=1, description="What to download.")
