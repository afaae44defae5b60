"""The step that runs a trained network: the right scale and grey values for it, then tile by tile."""

from __future__ import annotations

import dataclasses
import functools
import math
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.context import Context, QuietContext, Sketch
from plantseg_app.core.fields import SCALE_LIMITS, PerAxis
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume, VoxelSize
from plantseg_app.errors import InputError, ResourceError

if TYPE_CHECKING:
    from plantseg_app.networks.plan import PredictOptions
    from plantseg_app.zoo.card import ModelCard, Normalisation
    from plantseg_app.zoo.catalogue import InstalledModel

DEFAULT_MODEL = "membranes-3d"
# All outputs of a network are kept for the next node up to this share of the free memory.
_SHARE_FOR_MEMO = 0.1
_PROBABILITIES = (Kind.BOUNDARY, Kind.FOREGROUND, Kind.NUCLEI)


@dataclasses.dataclass(frozen=True, eq=False)
class _Kept:
    """All that a network said about an image, and the settings that it was made with."""

    image: weakref.ref[Volume]
    made_by: list[Any]
    channels: tuple[int, ...]
    maps: NDArray[np.float32]

    def of(self, wanted: tuple[int, ...]) -> NDArray[np.float32]:
        """Return a copy of these channels, (C, Z, Y, X)."""
        return self.maps[[self.channels.index(channel) for channel in wanted]]


@dataclasses.dataclass(frozen=True)
class Outlook:
    """What a prediction is expected to take.

    Attributes
    ----------
    cost
        Main memory and time.
    shape_vox
        (Z, Y, X) of the image at the scale of the network.
    n_tiles
        In how many pieces it is predicted.
    device
        On what, for example ``cuda:0``.
    """

    cost: Cost
    shape_vox: Shape3
    n_tiles: int
    device: str


class Predict(Step):
    """Run a trained network over an image; by default the shipped one, which finds membranes and cell walls.

    The image is brought to the scale and the grey values that the network was trained with, predicted tile by tile,
    and the map is brought back to the voxels of the image.
    """

    id: ClassVar[str] = "predict"
    title: ClassVar[str] = "Predict with a network"
    reads: ClassVar[dict[str, Port]] = {
        "image": Port(
            (Kind.RAW, Kind.BOUNDARY, Kind.FOREGROUND, Kind.NUCLEI),
            "The image, with as many channels as the model reads; a map for networks that refine one.",
        ),
    }
    makes: ClassVar[Kind | SameAs] = Kind.BOUNDARY

    model: str = Field(
        DEFAULT_MODEL,
        description="The id of a model, or the folder that holds its card.",
        json_schema_extra={"choices": "zoo.models"},
    )
    output: str = Field(
        "",
        description="Which of the things that the model predicts; empty for the main one.",
        json_schema_extra={"advanced": True},
    )
    rescale_to_model: bool = Field(
        True,
        description="Bring the image to the voxel size the model was trained at, if it differs by more than 10 % along "
        "any axis, and the map back.",
    )
    scale: float = Field(
        1.0,
        ge=SCALE_LIMITS[0],
        le=SCALE_LIMITS[1],
        description="Enlarge the image by this much for the network, besides: above 1 for smaller objects than the "
        "model knows, below 1 for larger ones.",
    )
    tile: PerAxis[Annotated[int, Field(ge=1, le=10**6)]] | None = Field(
        None,
        description="Largest tile along Z, Y, X, without its halo; by itself from the free memory.",
        json_schema_extra={"unit": "voxel", "advanced": True},
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="Precision of the network's arithmetic; auto takes 16 bits where the machine is faster in them.",
        json_schema_extra={"advanced": True},
    )

    def made_kind(self, kinds: Mapping[str, Kind]) -> Kind:
        """Return the kind that the card of the model gives for the output."""
        del kinds
        return self._find_model().card.output(self.output).kind

    def depends_on(self) -> str:
        """Return the checksum of the weights and what else of the card decides the result."""
        card = self._find_model().card
        decisive = {"family", "inputs", "outputs", "voxel_size_um", "normalisation", "tile_vox", "halo_vox"}
        return f"{card.weights.sha256} {card.model_dump_json(include=decisive)}"

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count the network's multiplications and its largest tile; that it may be rescaled is not known here."""
        return self.outlook(shape_vox).cost

    def outlook(
        self,
        shape_vox: Shape3,
        voxel_size_um: VoxelSize | None = None,
        device: str = "auto",
        n_threads: int | None = None,
    ) -> Outlook:
        """Return what predicting an image of this shape and voxel size is expected to take; this loads torch.

        Raises
        ------
        RequestError
            If there is no such model, output, tile or device.
        ResourceError
            If memory or the device do not suffice.
        """
        card = self._find_model().card
        shape = _scaled_shape(shape_vox, self._factors(card, voxel_size_um, shape_vox))
        planned = _planned(card.to_yaml(), shape, self._options(card, self._channels(card)), device, n_threads)
        images = 4 * len(card.inputs) * (math.prod(shape) + math.prod(shape_vox))
        cost = Cost(planned.cost.memory_bytes + images, planned.cost.seconds + 1e-7 * math.prod(shape_vox))
        return dataclasses.replace(planned, cost=cost)

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Return the map on the voxels of the image.

        Raises
        ------
        RequestError
            If there is no such model or output.
        InputError
            If the image has another number of channels than the model reads, or the model is damaged.
        ResourceError
            If memory or the device are missing.
        """
        from plantseg_app.algorithms.resample import LINEAR, NEAREST, resample

        image, model = inputs["image"], self._find_model()
        kind = model.card.output(self.output).kind
        # Between two objects lies no embedding of a third.
        order = NEAREST if kind is Kind.EMBEDDING else LINEAR
        maps = resample(self._maps(image, model, context), image.shape_vox, order)
        if kind in _PROBABILITIES:
            np.clip(maps, 0.0, 1.0, out=maps)
        single = len(maps) == 1 and not kind.needs_leading_axis
        return image.replace(data=maps[0] if single else maps, kind=kind)

    def _maps(self, image: Volume, model: InstalledModel, context: Context) -> NDArray[np.float32]:
        """Return the maps of the output at the scale of the network, (C, Z, Y, X).

        Of a network with several outputs all are kept until the next prediction or the end of the run, where memory
        allows: the next node may want another one of the same image.
        """
        made_by = [self.depends_on(), self.model_dump(exclude={"output"})]
        wanted = self._channels(model.card)
        match context.memo.pop(self.id, None):
            case _Kept() as kept if kept.image() is image and kept.made_by == made_by:
                context.memo[self.id] = kept
                return kept.of(wanted)
        shape = _scaled_shape(image.shape_vox, self._factors(model.card, image.voxel_size_um, image.shape_vox, context))
        sketch = Sketch(self.title, model.card.output(self.output).kind, image.shape_vox)
        family = model.card.network_family()
        outputs = family.outputs
        # What is wanted comes first, where those look who watch it grow.
        channels = dict.fromkeys([*wanted, *(channel for output in outputs for channel in output.channels)])
        # Embeddings of overlapping frames lie in layers of their own, so they are not kept beside other maps.
        is_alone = len(channels) == len(wanted) or family.frame_vox is not None
        if is_alone or 4 * len(channels) * math.prod(shape) > _SHARE_FOR_MEMO * _free_memory():
            return _predicted(image, model, shape, self._options(model.card, wanted), context, sketch)
        maps = _predicted(image, model, shape, self._options(model.card, tuple(channels)), context, sketch)
        kept = context.memo[self.id] = _Kept(weakref.ref(image), made_by, tuple(channels), maps)
        return kept.of(wanted)

    def _find_model(self) -> InstalledModel:
        from plantseg_app.zoo.catalogue import find_model

        return find_model(self.model)

    def _channels(self, card: ModelCard) -> tuple[int, ...]:
        name = card.output(self.output).name
        return next(output.channels for output in card.network_family().outputs if output.name == name)

    def _options(self, card: ModelCard, channels: tuple[int, ...]) -> PredictOptions:
        from plantseg_app.networks.plan import PredictOptions

        return PredictOptions(
            tile_vox=self.tile,
            precision=self.precision,
            channels=channels,
            trained_tile_vox=card.tile_vox,
            halo_vox=card.halo_vox,
        )

    def _factors(
        self, card: ModelCard, voxel_size: VoxelSize | None, shape: Shape3, context: Context | None = None
    ) -> tuple[float, float, float]:
        """Return by how much the image is enlarged for the network along Z, Y, X."""
        from plantseg_app.zoo.scale import network_factors

        unknown = voxel_size is None and card.voxel_size_um is not None
        if unknown and self.rescale_to_model and context is not None:
            text = " x ".join(f"{length:g}" for length in card.voxel_size_um or ())
            context.message(
                f"The voxel size of the image is unknown, so it is not rescaled; the model {card.id} was trained "
                f"at {text} um. Set the voxel size, or scale."
            )
        return network_factors(card, shape, voxel_size if self.rescale_to_model else None, self.scale)


def _scaled_shape(shape: Shape3, factors: tuple[float, float, float]) -> Shape3:
    z, y, x = (max(1, round(n * factor)) for n, factor in zip(shape, factors, strict=True))
    return z, y, x


def _checked_channels(image: Volume, card: ModelCard) -> NDArray[Any]:
    """Return (C, Z, Y, X), a view."""
    channels = image.data if image.data.ndim == 4 else image.data[None]
    if len(channels) != len(card.inputs):
        names = ", ".join(channel.name for channel in card.inputs)
        raise InputError(
            f"The model {card.id} reads {len(card.inputs)} channel(s) ({names}) and the image has {len(channels)}; "
            "choose channels when the file is read, or with the step select-channel."
        )
    return channels


def _predicted(
    image: Volume, model: InstalledModel, shape: Shape3, options: PredictOptions, context: Context, sketch: Sketch
) -> NDArray[np.float32]:
    """Return what the network says about the image brought to `shape`."""
    from plantseg_app.networks.device import resolve_device
    from plantseg_app.networks.predict import predict_tiled
    from plantseg_app.zoo.load import load_network

    channels = _checked_channels(image, model.card)
    _check_memory(len(channels), shape)
    network = load_network(model, resolve_device(context.device))
    prepared = _prepared(channels, shape, model.card.normalisation, context)
    return predict_tiled(network, model.card.network_family(), prepared, context, options, sketch)


def _free_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().available)


def _check_memory(n_channels: int, shape: Shape3) -> None:
    needed, free = 8 * n_channels * math.prod(shape), _free_memory()
    if needed > free:
        raise ResourceError(
            f"At the scale of the model the image has {shape} voxels and takes {needed / 1e9:.1f} GB, but "
            f"{free / 1e9:.1f} GB are free; check the voxel size, switch rescale_to_model off, or crop the image."
        )


def _prepared(
    channels: NDArray[Any], shape: Shape3, normalisation: Normalisation, context: Context
) -> NDArray[np.float32]:
    """Return the image as the network wants it, (C, Z, Y, X) float32; channel by channel, to spare memory."""
    from plantseg_app.algorithms.operations import apply_operations
    from plantseg_app.algorithms.resample import resample
    from plantseg_app.zoo.preparing import prepare_channel

    prepared = np.empty((len(channels), *shape), np.float32)
    for number, channel in enumerate(channels):
        context.check()
        if channel.shape != shape:
            # As float32, because whole numbers would be rounded.
            channel = resample(channel.astype(np.float32), shape)
        prepared[number] = prepare_channel(channel, normalisation)
    return apply_operations(prepared, normalisation.operations)


@functools.lru_cache(maxsize=32)
def _planned(card_text: str, shape: Shape3, options: PredictOptions, device: str, n_threads: int | None) -> Outlook:
    from plantseg_app.networks.plan import make_plan
    from plantseg_app.zoo.card import ModelCard

    context = QuietContext(device, n_threads)
    family = ModelCard.from_yaml(card_text).network_family()
    plan = make_plan(None, family, shape, context, options)
    return Outlook(plan.expected(context.n_threads), shape, len(plan.tiling), str(plan.device))
