"""The harmonic family as settings: its guides, its U-Net, what it learns, and the frame to which it is tied.

Examples
--------
>>> family = HarmonicFamily(feature_maps=(4, 8), frame_size_vox=(1, 16, 16), guides="c-elegans")
>>> family.grid_vox, family.outputs[0].kind.value, len(family.outputs[0].channels)
((1, 2, 2), 'embedding', 12)
>>> family.targets(np.ones((1, 16, 16), np.uint32), None).shape
(14, 1, 16, 16)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator

from plantseg_app.algorithms.frames import FrameGrid
from plantseg_app.core.fields import PerAxis, Seed
from plantseg_app.core.volume import Kind, Shape3, VoxelSize
from plantseg_app.networks.family import NetworkFamily, Output
from plantseg_app.networks.harmonic.fit import FitRules, Objects, fit_guides, sample_objects, share_of_close_pairs
from plantseg_app.networks.harmonic.guides import Guide, Guides, Initialisation, draw_guides, preset
from plantseg_app.networks.harmonic.loss import harmonic_terms
from plantseg_app.networks.harmonic.network import HarmonicUNet, Layout
from plantseg_app.networks.harmonic.targets import ObjectWeight, TargetRules, frame_target

_MOST_FRAMES_FITTED = 240
_VIEWS = 4
_VOXEL: dict[str, Any] = {"unit": "voxel"}


class HarmonicFamily(NetworkFamily):
    """A U-Net that learns, for each pixel, the mean of some sine waves over the object around it.

    Pixels of one object then lie close together and those of others apart, and mean shift finds the objects.

    References
    ----------
    Kulikov and Lempitsky, CVPR 2020, doi:10.1109/CVPR42600.2020.00390.
    """

    kind: ClassVar[str] = "harmonic"
    title: ClassVar[str] = "Harmonic embeddings"

    dimensions: Literal["2D", "3D"] = Field("2D", description="Whether network and guides see slices or whole stacks.")
    image_channels: int = Field(1, ge=1, le=64, description="Number of image channels the network reads.")
    feature_maps: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (16, 32, 64, 128, 128),
        min_length=2,
        max_length=8,
        description="Channels of each level, finest first; the published network has 64, 128, 256, 512, 512.",
    )
    foreground: Literal["predicted", "given", "largest-cluster"] = Field(
        "predicted",
        description="Where objects are: predicted by the network too, given by the first image channel, or everywhere "
        "but in the largest cluster.",
    )
    frame_size_vox: PerAxis[Annotated[int, Field(ge=1, le=4096)]] = Field(
        (1, 448, 448),
        description="The frame Z, Y, X over which the guides are laid, in training and in use; Z is 1 in 2D.",
        json_schema_extra=_VOXEL,
    )
    frame_overlap: float = Field(
        0.25, ge=0.0, le=0.5, description="Share of a frame in which it overlaps the next one in larger images."
    )
    stride: Literal[1, 2, 4] = Field(
        1, description="The network works on a grid this much coarser along Y and X, for large objects."
    )
    n_guides: int = Field(12, ge=1, le=256, description="Number of guide functions, the channels of the embedding.")
    guides: Literal["fit", "random", "cvppp", "c-elegans"] | Guides = Field(
        "fit",
        description="fit: fitted to the training labels; random: drawn and left so; cvppp, c-elegans: as published; or "
        "frequency along each axis of the frame and phase of each one.",
    )
    guide_initialisation: Initialisation = Field(
        "separable",
        description="separable: each guide varies along one axis, as in the published program; general: along every "
        "one, as in the publication, which keeps elongated objects apart less well.",
    )
    guide_frequencies: tuple[float, float] = Field(
        (0.0, 50.0), description="Smallest and largest frequency drawn, in radians per frame."
    )
    guide_distance: Literal["l2", "l1", "l2sq"] = Field(
        "l2",
        description="Distance that the fit enlarges: l2, that of mean shift; l1 as published; l2sq, the square of l2, "
        "as in the published program.",
    )
    margin: float = Field(
        1.0, gt=0, le=100, description="Distance at which the fit takes two objects for apart; 0.5 as published."
    )
    guide_seed: Seed = Field(0, description="Seed of the random guides and of their fit.")
    bandwidth: float = Field(
        0.5, gt=0, le=100, description="Radius of mean shift: how far apart the embeddings of one object may lie."
    )
    conditioning: Literal["guides", "coordinates", "nothing"] = Field(
        "guides", description="What the decoder is shown: the guides (SinConv), coordinates (CoordConv), nothing."
    )
    guided_convolutions: Literal["added", "replacing"] = Field(
        "added",
        description="added: before the convolutions of each level and at the end, as in the published weights; "
        "replacing: instead of the first one of each level, as in the publication.",
    )
    guided_width_vox: Literal[1, 3, 5, 7, 9] = Field(7, description="Width of the guided convolutions.")
    loss_on: Literal["foreground", "image"] = Field(
        "foreground", description="image: the background is learned too, as one more object."
    )
    object_weight: ObjectWeight = Field(
        "equal", description="How the weight of a pixel falls with the size of its object in the loss."
    )
    edge_weight: float = Field(0.0, ge=0, le=1000, description="Added to the weight of pixels near another label.")
    foreground_weight: float = Field(0.1, ge=0, le=1000, description="Weight of the foreground in the loss.")

    @model_validator(mode="after")
    def _check_buildable(self) -> Self:
        if any(size % grid for size, grid in zip(self.frame_size_vox, self.grid_vox, strict=True)):
            raise ValueError(f"frame_size_vox {self.frame_size_vox} must be multiples of {self.grid_vox} (Z, Y, X)")
        if self.is_2d and self.frame_size_vox[0] != 1:
            raise ValueError(f"a 2D network has frames of one slice, not {self.frame_size_vox[0]}")
        if self.guide_frequencies[0] > self.guide_frequencies[1]:
            raise ValueError("guide_frequencies are the smallest, then the largest")
        if not self.is_2d and self.guides in ("cvppp", "c-elegans"):
            raise ValueError("the published guides are for 2D networks")
        wanted = self.n_axes + 1
        if not isinstance(self.guides, str) and (
            len(self.guides) != self.n_guides or any(len(guide) != wanted for guide in self.guides)
        ):
            raise ValueError(f"guides needs {self.n_guides} rows (n_guides) of {wanted} numbers")
        if self.guides in ("cvppp", "c-elegans") and self.n_guides != len(preset("cvppp")):
            raise ValueError(f"the published guides are {len(preset('cvppp'))}, so that is n_guides")
        if self.foreground == "largest-cluster" and self.loss_on != "image":
            raise ValueError("the largest cluster is the background only where loss_on is image")
        return self

    @property
    def n_axes(self) -> int:
        """Axes along which the guides vary."""
        return 2 if self.is_2d else 3

    @property
    def in_channels(self) -> int:
        """Number of image channels the network reads."""
        return self.image_channels

    @property
    def is_2d(self) -> bool:
        """Whether the network sees single slices."""
        return self.dimensions == "2D"

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The embedding and, where it is predicted, the foreground."""
        embedding = Output("embedding", Kind.EMBEDDING, tuple(range(self.n_guides)))
        if self.foreground != "predicted":
            return (embedding,)
        return (embedding, Output("foreground", Kind.FOREGROUND, (self.n_guides,)))

    @property
    def default_workflow(self) -> str:
        """Name of the ready-made workflow, which depends on where the foreground comes from."""
        names = {"predicted": "harmonic-embedding", "given": "harmonic-mask", "largest-cluster": "harmonic-whole"}
        return names[self.foreground]

    @property
    def grid_vox(self) -> Shape3:
        """Pooling grid (Z, Y, X) in voxels, the stride included."""
        levels = 2 ** (len(self.feature_maps) - 1)
        return (1 if self.is_2d else levels, levels * self.stride, levels * self.stride)

    @property
    def receptive_radius_vox(self) -> Shape3:
        """The frame: what the network says about a pixel depends on where in it the pixel lies."""
        z, y, x = self.frame_size_vox
        return (0 if self.is_2d else z, y, x)

    @property
    def tiles_exactly(self) -> bool:
        """No tiling can equal the whole, because the embedding is that of the frame."""
        return False

    @property
    def frame_vox(self) -> Shape3:
        """The frame (Z, Y, X) in voxels."""
        return self.frame_size_vox

    def frame_grid(self, shape_vox: Shape3) -> FrameGrid:
        """Return how frames lie over an image of `shape_vox`."""
        overlap = (0.0 if self.is_2d else self.frame_overlap, self.frame_overlap, self.frame_overlap)
        return FrameGrid(shape_vox, self.frame_size_vox, overlap)

    @property
    def cluster_bandwidth(self) -> float:
        """The bandwidth of mean shift."""
        return self.bandwidth

    @functools.cached_property
    def guide_table(self) -> Guides:
        """The guides in numbers; those of ``fit`` before they are fitted."""
        if not isinstance(self.guides, str):
            return self.guides
        if self.guides == "cvppp" or self.guides == "c-elegans":
            return preset(self.guides)
        rng = np.random.default_rng(self.guide_seed)
        return draw_guides(self.n_guides, self.n_axes, self.guide_frequencies, self.guide_initialisation, rng)

    def adapted(self, labels: Sequence[NDArray[Any]], report: Callable[[str], None]) -> Self:
        """Return the family with guides fitted to training labels; itself unless guides is ``fit``."""
        if self.guides not in ("fit", "random"):
            return self
        rules = FitRules(margin=self.margin, distance=self.guide_distance)
        objects = self.sampled_objects(labels, rules)
        guides = self.guide_table
        if self.guides == "fit":
            guides = fit_guides(guides, objects, rules, self.guide_seed)
        share = share_of_close_pairs(guides, objects, rules)
        report(f"{100 * share:.2g} % of the pairs of objects are closer than the margin of the guides.")
        return type(self)(**{**self.model_dump(), "guides": guides})

    def sampled_objects(self, labels: Sequence[NDArray[Any]], rules: FitRules) -> list[Objects]:
        """Return the objects in frames laid over label images (Z, Y, X), at several places and mirrored."""
        rng = np.random.default_rng(self.guide_seed + 1)
        pieces = [image[z : z + 1] if self.is_2d else image for image in labels for z in _slices(image, self.is_2d)]
        found: list[Objects] = []
        for _ in range(_VIEWS):
            for number in rng.permutation(len(pieces)):
                if len(found) == _MOST_FRAMES_FITTED:
                    return found
                frame = random_frame(pieces[number], self.frame_size_vox, rng)
                found.append(sample_objects(frame, rules, rng))
        return found

    def layout(self) -> Layout:
        """Return the plan of the network."""
        return Layout(
            image_channels=self.image_channels,
            feature_maps=self.feature_maps,
            guides=self.guide_table,
            conditioning=self.conditioning,
            extra_convolution=self.guided_convolutions == "added",
            kernel=self.guided_width_vox,
            predicts_foreground=self.foreground == "predicted",
            stride=self.stride,
        )

    def build(self) -> HarmonicUNet:
        """Return the untrained network."""
        return HarmonicUNet(self.layout())

    def activate(self, logits: torch.Tensor) -> torch.Tensor:
        """Return embeddings as they are, and the foreground as a probability."""
        return torch.cat([logits[:, : self.n_guides], torch.sigmoid(logits[:, self.n_guides :])], 1)

    def targets(self, labels: NDArray[Any], voxel_size_um: VoxelSize | None) -> NDArray[np.float32]:
        """Return (guides + 2, Z, Y, X) float32 of a frame of labels: embedding, foreground, weight in the loss.

        The labels are taken for one frame, whatever their size.
        """
        del voxel_size_um
        return frame_target(labels, self.guide_table, self.target_rules)

    @property
    def target_rules(self) -> TargetRules:
        """What counts how much in the loss."""
        return TargetRules(self.loss_on == "image", self.object_weight, self.edge_weight)

    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the L1 distance of the embeddings and, where it is predicted, the loss of the foreground."""
        return harmonic_terms(logits, target, self.n_guides, self.foreground_weight)


def _slices(image: NDArray[Any], apart: bool) -> range:
    return range(len(image)) if apart else range(1)


def random_frame(labels: NDArray[Any], frame: Shape3, rng: np.random.Generator) -> NDArray[Any]:
    """Return a piece of (Z, Y, X) labels of the size of the frame, mirrored at random; background beyond the image."""
    piece = np.zeros(frame, labels.dtype)
    source, place = [], []
    for have, want in zip(labels.shape, frame, strict=True):
        start = int(rng.integers(min(0, have - want), max(0, have - want) + 1))
        source.append(slice(max(start, 0), min(start + want, have)))
        place.append(slice(max(-start, 0), max(-start, 0) + source[-1].stop - source[-1].start))
    piece[tuple(place)] = labels[tuple(source)]
    flips = tuple(slice(None, None, -1) if rng.random() < 0.5 else slice(None) for _ in frame)
    return piece[flips]


__all__ = ["Guide", "HarmonicFamily", "random_frame"]
