"""Whether an image has the scale that a model knows, what to do where it has not, and which models suit it best.

The rule by which an image is brought to the scale of a model is written here once; the step predict follows it.

>>> from plantseg_app.zoo.catalogue import find_model
>>> card = find_model("membranes-3d").card
>>> advise_scale(card, (64, 512, 512), cell_diameter_vox=126).sentence
'Cells are about 2.1 times larger than membranes-3d knows: scale 0.476.'
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Generic, Literal, Protocol, TypeVar

from plantseg_app.core.fields import SCALE_LIMITS
from plantseg_app.core.volume import Shape3, VoxelSize
from plantseg_app.zoo.facts import ModelFacts

SAME_SCALE = 0.1
"""Voxel sizes that differ by no more than this share along any axis count as the same."""

KNOWN_SIZE_RATIO = 1.5
"""A model that names one diameter is taken to know objects up to this much smaller and larger."""

Factors = tuple[float, float, float]
Verdict = Literal["fits", "rescale", "unknown"]


def network_factors(
    card: ModelFacts, shape_vox: Shape3, voxel_size_um: VoxelSize | None = None, scale: float = 1.0
) -> Factors:
    """Return by how much an image is enlarged along Z, Y, X before a network sees it.

    Parameters
    ----------
    card
        The model.
    shape_vox
        (Z, Y, X) of the image.
    voxel_size_um
        Of the image; None where it is unknown or shall not count.
    scale
        What a person wants besides.
    """
    # Slices are predicted one by one, so how far apart they lie does not matter.
    flat = card.dimensionality == "2D" or shape_vox[0] == 1
    factors = (1.0, 1.0, 1.0)
    if voxel_size_um is not None and card.voxel_size_um is not None:
        z, y, x = (have / want for have, want in zip(voxel_size_um, card.voxel_size_um, strict=True))
        factors = (1.0 if flat else z, y, x)
    if all(abs(factor - 1) <= SAME_SCALE for factor in factors):
        factors = (1.0, 1.0, 1.0)
    z, y, x = (scale * factor for factor in factors)
    return (1.0 if flat else z), y, x


@dataclasses.dataclass(frozen=True)
class ScaleAdvice:
    """How to set the scale of the step predict.

    Attributes
    ----------
    verdict
        ``fits``: nothing to do; ``rescale``: `scale` or the voxel size changes the image; ``unknown``: too little is
        known to say.
    scale
        For the setting of that name; 1 where nothing speaks for another.
    factors
        By how much the image is then enlarged along Z, Y, X, with rescale_to_model on.
    sentence
        For people.
    """

    verdict: Verdict
    scale: float
    factors: Factors
    sentence: str

    @property
    def mismatch(self) -> float:
        """How far the image is from the scale of the model: 1 for the same, 2 for twice or half as large."""
        return math.exp(max(abs(math.log(factor)) for factor in self.factors))


def advise_scale(
    card: ModelFacts,
    shape_vox: Shape3,
    voxel_size_um: VoxelSize | None = None,
    *,
    cell_diameter_vox: float | None = None,
    cell_diameter_um: float | None = None,
) -> ScaleAdvice:
    """Say at which scale a model should see an image.

    Parameters
    ----------
    card
        The model.
    shape_vox
        (Z, Y, X) of the image.
    voxel_size_um
        Of the image, where it is known.
    cell_diameter_vox
        Diameter of a typical cell or nucleus as measured on the image, in voxels of Y and X.
    cell_diameter_um
        The same in micrometres; used where the voxel size is known and no diameter in voxels is given.
    """
    base = network_factors(card, shape_vox, voxel_size_um)
    diameter = cell_diameter_vox
    if diameter is None and cell_diameter_um is not None and voxel_size_um is not None:
        diameter = cell_diameter_um / math.sqrt(voxel_size_um.y * voxel_size_um.x)
    known = known_diameters_vox(card)
    if diameter is None or known is None:
        return _by_voxel_size(card, voxel_size_um, base, measured=diameter is not None)
    seen = diameter * math.sqrt(base[1] * base[2])
    low, high = known
    if low <= seen <= high:
        return _fitting(base, f"Cells are {seen:.0f} voxels across for the network, a size that {card.id} knows")
    wanted = (high if seen > high else low) / seen
    scale = float(f"{min(max(wanted, SCALE_LIMITS[0]), SCALE_LIMITS[1]):.3g}")
    ratio, word = (seen / high, "larger") if seen > high else (low / seen, "smaller")
    factors = network_factors(card, shape_vox, voxel_size_um, scale)
    sentence = f"Cells are about {ratio:.2g} times {word} than {card.id} knows: scale {scale:g}."
    return ScaleAdvice("rescale", scale, factors, sentence)


def known_diameters_vox(card: ModelFacts) -> tuple[float, float] | None:
    """Return the smallest and largest diameter that a model knows, in voxels of Y and X at its scale, or None."""
    if card.object_diameter_vox is not None:
        return card.object_diameter_vox
    if card.object_diameter_um is None or card.voxel_size_um is None:
        return None
    middle = card.object_diameter_um / math.sqrt(card.voxel_size_um.y * card.voxel_size_um.x)
    return middle / KNOWN_SIZE_RATIO, middle * KNOWN_SIZE_RATIO


def _fitting(base: Factors, sentence: str) -> ScaleAdvice:
    if base == (1.0, 1.0, 1.0):
        return ScaleAdvice("fits", 1.0, base, f"{sentence}.")
    return ScaleAdvice("rescale", 1.0, base, f"{sentence}, once the image is brought to its voxel size.")


def _by_voxel_size(card: ModelFacts, voxel_size: VoxelSize | None, base: Factors, *, measured: bool) -> ScaleAdvice:
    """Say what the voxel size alone tells."""
    if card.voxel_size_um is None:
        known = known_diameters_vox(card)
        if known is None:
            return ScaleAdvice("unknown", 1.0, base, f"{card.id} does not say which sizes it knows; try it as it is.")
        text = (
            f"{card.id} knows objects {known[0]:g} to {known[1]:g} voxels across; measure one to see whether yours are."
        )
        return ScaleAdvice("unknown", 1.0, base, text)
    trained = " x ".join(f"{length:g}" for length in card.voxel_size_um)
    if voxel_size is None:
        more = "" if measured else ", or measure a cell"
        text = f"{card.id} was trained at {trained} um and the voxel size of the image is unknown: set it{more}."
        return ScaleAdvice("unknown", 1.0, base, text)
    if base == (1.0, 1.0, 1.0):
        word = "has" if card.voxel_size_um == voxel_size else "has nearly"
        return ScaleAdvice("fits", 1.0, base, f"The image {word} the voxel size that {card.id} was trained at.")
    by = " x ".join(f"{factor:.2g}" for factor in base)
    return ScaleAdvice("rescale", 1.0, base, f"{card.id} was trained at {trained} um: the image is scaled by {by}.")


class Described(Protocol):
    """A model, here or elsewhere, of which the facts are known."""

    @property
    def card(self) -> ModelFacts:
        """The facts."""


M = TypeVar("M", bound=Described)


@dataclasses.dataclass(frozen=True)
class ModelFit(Generic[M]):
    """How well a model suits an image.

    Attributes
    ----------
    model
        The model: installed, or one that can be downloaded.
    structure_fits, dimension_fits, modality_fits
        Whether it is meant for what the image shows; True where nobody said what that is.
    advice
        What to do about the scale.
    """

    model: M
    structure_fits: bool
    dimension_fits: bool
    modality_fits: bool
    advice: ScaleAdvice

    @property
    def sentence(self) -> str:
        """Say for people what speaks against the model, or what to do about the scale."""
        card, against = self.model.card, []
        if not self.structure_fits:
            against.append(f"looks for {' and '.join(channel.name for channel in card.inputs)}")
        if not self.dimension_fits:
            against.append("works slice by slice" if card.dimensionality == "2D" else "was trained on stacks")
        if not self.modality_fits:
            against.append(f"was trained on {card.modality}")
        return f"{card.id} {', '.join(against)}. {self.advice.sentence}" if against else self.advice.sentence


def rank_models(
    models: Iterable[M],
    shape_vox: Shape3,
    voxel_size_um: VoxelSize | None = None,
    *,
    structure: str = "",
    modality: str = "",
    cell_diameter_vox: float | None = None,
    cell_diameter_um: float | None = None,
) -> list[ModelFit[M]]:
    """Return models with the one that suits an image best first.

    What the image shows counts most, then whether it is a stack or a slice, then how it was taken, then its scale.

    Parameters
    ----------
    models
        For example `plantseg_app.zoo.catalogue.list_models`, or also those to download: `known_models` of `zoo.search`.
    shape_vox, voxel_size_um, cell_diameter_vox, cell_diameter_um
        The image, as in `advise_scale`.
    structure
        What is stained, as the cards name their channels: ``membrane``, ``nuclei``; "" for any.
    modality
        How the image was taken, for example ``confocal``; "" for any.
    """
    fits: list[ModelFit[M]] = []
    for model in models:
        card = model.card
        advice = advise_scale(
            card,
            shape_vox,
            voxel_size_um,
            cell_diameter_vox=cell_diameter_vox,
            cell_diameter_um=cell_diameter_um,
        )
        named = " ".join([card.segments, *(channel.name for channel in card.inputs)])
        fits.append(
            ModelFit(
                model=model,
                structure_fits=structure.casefold() in named.casefold(),
                dimension_fits=(card.dimensionality == "2D") == (shape_vox[0] == 1),
                modality_fits=not card.modality
                or card.modality == "any"
                or modality.casefold() in card.modality.casefold(),
                advice=advice,
            )
        )
    return sorted(fits, key=lambda fit: _order(fit, voxel_size_um))


def _order(fit: ModelFit[M], voxel_size: VoxelSize | None) -> tuple[bool, bool, bool, float, float, str]:
    card, unknown = fit.model.card, 0.5 if fit.advice.verdict == "unknown" else 0.0
    size = abs(math.log(fit.advice.mismatch)) + unknown
    meant = not fit.structure_fits, not fit.dimension_fits, not fit.modality_fits
    return *meant, size, _apart(card.voxel_size_um, voxel_size), card.id


def _apart(one: VoxelSize | None, other: VoxelSize | None) -> float:
    """Return by how much voxel sizes differ that count as the same; 0 where one is unknown."""
    if one is None or other is None:
        return 0.0
    return max(abs(math.log(a / b)) for a, b in zip(one, other, strict=True))
