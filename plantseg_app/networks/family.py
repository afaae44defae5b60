"""What every kind of network has to offer, so that one trainer, one predictor and one zoo serve them all.

A family is the settings of an architecture: a frozen object that a model card stores, that builds its network,
makes the targets it learns from, and says what its output channels mean. To add one, write one folder under
`plantseg_app/networks/` with one subclass. Decoding embeddings to labels is the work of steps, not of a family.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from plantseg_app.algorithms.frames import FrameGrid
from plantseg_app.core.registry import Registry
from plantseg_app.core.step import readable_errors
from plantseg_app.core.volume import Kind, Shape3, VoxelSize
from plantseg_app.errors import RequestError
from plantseg_app.networks.memory import NetworkCost, network_cost
from plantseg_app.networks.weights import check_fit, put_weights, read_weights


@dataclasses.dataclass(frozen=True)
class Output:
    """One thing that a network predicts.

    Attributes
    ----------
    name
        Its name in the predict step, for example ``"boundary"``.
    kind
        The kind of volume it becomes.
    channels
        The output channels it consists of.
    """

    name: str
    kind: Kind
    channels: tuple[int, ...]


class NetworkFamily(BaseModel, abc.ABC):
    """The settings of one network architecture, and what follows from them.

    Class attributes
    ----------------
    kind
        The name of the family in a model card.
    title
        Its name for people.
    is_trainable
        Whether networks of it can be built and trained here, or only be run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    title: ClassVar[str]
    is_trainable: ClassVar[bool] = True

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Register every concrete family under its kind."""
        super().__pydantic_init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            FAMILIES.add(cls.kind, cls)

    @property
    @abc.abstractmethod
    def in_channels(self) -> int:
        """Number of image channels the network reads."""

    @property
    @abc.abstractmethod
    def is_2d(self) -> bool:
        """Whether the network sees single slices."""

    @property
    @abc.abstractmethod
    def outputs(self) -> tuple[Output, ...]:
        """What it predicts, the main thing first."""

    @property
    @abc.abstractmethod
    def default_workflow(self) -> str:
        """Name of the ready-made workflow that turns its outputs into cells."""

    @property
    @abc.abstractmethod
    def grid_vox(self) -> tuple[int, int, int]:
        """Pooling grid (Z, Y, X): tiles that start on its multiples see the same pooling as the whole image."""

    @property
    @abc.abstractmethod
    def receptive_radius_vox(self) -> tuple[int, int, int]:
        """How far (Z, Y, X) an output voxel sees at most: the halo that makes tiles exact."""

    @property
    def tile_halo_vox(self) -> tuple[int, int, int]:
        """Context (Z, Y, X) on the pooling grid that makes aligned tiles exact: the radius rounded up, or less.

        A tile starts and ends on the grid, and not every voxel of a grid cell sees equally far.
        """
        radius, grid = self.receptive_radius_vox, self.grid_vox
        z, y, x = (-(-r // g) * g for r, g in zip(radius, grid, strict=True))
        return z, y, x

    @property
    @abc.abstractmethod
    def tiles_exactly(self) -> bool:
        """Whether tiling can equal the untiled network; false when a norm layer averages over the tile."""

    @property
    def frame_vox(self) -> Shape3 | None:
        """The frame (Z, Y, X) to whose coordinates the network is tied, and which it is always shown; None: none.

        Larger images are seen in overlapping frames (`frame_grid`), each with embeddings of its own.
        """
        return None

    def frame_grid(self, shape_vox: Shape3) -> FrameGrid:
        """Return how frames lie over an image; only for families with `frame_vox`."""
        return FrameGrid(shape_vox, self.frame_vox or shape_vox, (0.0, 0.0, 0.0))

    @property
    def cluster_bandwidth(self) -> float | None:
        """How far apart embeddings of one object lie at most, for clustering; None where it makes no embedding."""
        return None

    @property
    def cluster_separation(self) -> float | None:
        """How far apart embeddings of different objects should lie; None where it makes no embedding."""
        return None if self.cluster_bandwidth is None else 2 * self.cluster_bandwidth

    @property
    def learns_overlaps(self) -> bool:
        """Whether it learns objects that overlap: `targets` then takes layers (L, Z, Y, X), too."""
        return False

    @property
    def mirrors_borders(self) -> bool:
        """Whether training patches are continued beyond the image as in a mirror; otherwise there is nothing."""
        return self.frame_vox is None

    def adapted(self, labels: Sequence[NDArray[Any]], report: Callable[[str], None]) -> Self:
        """Return the family with what it takes from training labels before the network is built; most: itself.

        Parameters
        ----------
        labels
            The labels (Z, Y, X) that will be trained on.
        report
            Told, in sentences, what was found.
        """
        del labels, report
        return self

    @property
    def largest_input_vox(self) -> Shape3 | None:
        """The largest piece (Z, Y, X), its halo included, that the network can be shown; None: any."""
        return None

    @property
    def only_float32(self) -> bool:
        """Whether the network runs in single precision alone."""
        return False

    def for_objects_alone(self) -> Self:
        """Return the family for labels that say where some objects are and nothing of the background; most: itself."""
        return self

    def weights_of(self, other: NetworkFamily, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the weights of another family's network for this one, as far as they can be taken over; most: all."""
        del other
        return dict(weights)

    @abc.abstractmethod
    def build(self) -> torch.nn.Module:
        """Return the untrained network; it maps (N, C, Z, Y, X), or (N, C, Y, X) in 2D, to logits.

        Raises
        ------
        RequestError
            If there is none: not every network can be trained here.
        """

    def load(self, path: Path) -> torch.nn.Module:
        """Return the network with the weights in the file `path`.

        Raises
        ------
        InputError
            If the file cannot be used or does not fit.
        """
        weights = read_weights(path)
        with torch.device("meta"):
            # Before it is built, so that no card can ask for a network larger than its weights.
            check_fit(self.build(), weights, str(path))
        network = self.build()
        put_weights(network, weights, str(path))
        return network

    def cost(self, dtype: torch.dtype, network: torch.nn.Module | None = None) -> NetworkCost:
        """Return what one forward pass takes for each voxel when its activations are of `dtype`.

        Costs follow from the architecture, so an untrained network will do where there is none yet.
        """
        if network is None:
            with torch.random.fork_rng(devices=[]):
                network = self.build()
        return network_cost(network, self.in_channels, self.grid_vox, dtype)

    @abc.abstractmethod
    def activate(self, logits: torch.Tensor) -> torch.Tensor:
        """Return what the logits mean, for example probabilities; voxel by voxel."""

    @property
    def finishes(self) -> bool:
        """Whether `finish` has anything to do: it then needs all channels of the whole map."""
        return False

    def finish(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what becomes of all activated maps (C, Z, Y, X) of a whole image; of most networks: themselves."""
        return maps

    @abc.abstractmethod
    def targets(self, labels: NDArray[Any], voxel_size_um: VoxelSize | None) -> NDArray[np.float32]:
        """Return (C, Z, Y, X) float32, what the network should say about (Z, Y, X) `labels`."""

    @abc.abstractmethod
    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the named terms whose sum is minimised."""

    def to_plain(self) -> dict[str, Any]:
        """Return plain data for a model card; `make_family` reads it back."""
        return {"kind": self.kind, **self.model_dump(mode="json")}


def workflow_for_maps(outputs: Sequence[Output]) -> str:
    """Return the name of the ready-made workflow for a network whose outputs are maps: the main one decides.

    >>> workflow_for_maps([Output("nuclei", Kind.FOREGROUND, (0,)), Output("boundary", Kind.BOUNDARY, (1,))])
    'nuclei-mask-outline'
    """
    if outputs[0].kind not in (Kind.FOREGROUND, Kind.NUCLEI):
        return "membranes-gasp"
    has_outlines = any(output.name == "boundary" and output.kind is Kind.BOUNDARY for output in outputs)
    return "nuclei-mask-outline" if has_outlines else "nuclei-mask"


FAMILIES: Registry[type[NetworkFamily]] = Registry("network family")
"""All families by kind; filled by importing `plantseg_app.networks.families`."""


def trainable_families() -> list[str]:
    """Return the kinds of all families whose networks can be trained."""
    return [kind for kind in FAMILIES.names() if FAMILIES.get(kind).is_trainable]


def make_family(plain: Mapping[str, Any]) -> NetworkFamily:
    """Build a family from the mapping in a model card.

    Raises
    ------
    RequestError
        If the kind or a setting is unknown, or a value is out of range.
    """
    settings = dict(plain)
    family = FAMILIES.get(str(settings.pop("kind", "")))
    try:
        return family(**settings)
    except ValidationError as error:
        raise RequestError(readable_errors(error, family.kind, list(family.model_fields))) from error
