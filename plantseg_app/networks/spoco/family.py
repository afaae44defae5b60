"""The SPOCO family as settings: which U-Net, which losses, which helpers in training, and what a perfect network says.

Examples
--------
>>> family = SpocoFamily(feature_maps=(4, 8))
>>> family.grid_vox, family.outputs[0].kind.value, len(family.outputs[0].channels)
((1, 2, 2), 'embedding', 16)
>>> family.targets(np.ones((1, 16, 16), np.uint32), None).shape
(17, 1, 16, 16)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator

from plantseg_app.algorithms.region_graph import make_dense
from plantseg_app.core.volume import Kind, VoxelSize
from plantseg_app.networks.embedding_family import EmbeddingFamily
from plantseg_app.networks.family import NetworkFamily, Output
from plantseg_app.networks.spoco.consistency import ConsistencyRules
from plantseg_app.networks.spoco.foreground import foreground_loss
from plantseg_app.networks.spoco.loss import LossRules, spoco_terms
from plantseg_app.networks.spoco.network import Layout, SpocoUNet
from plantseg_app.networks.unet import UNet
from plantseg_app.networks.unet_blocks import Norm

_Weight = Annotated[float, Field(ge=0, le=1000)]
_STEP: dict[str, Any] = {"unit": "step"}
_LAST_LAYER = "unet.final_conv."


class SpocoFamily(EmbeddingFamily):
    """A U-Net that gives the pixels of one object like embeddings and those of different objects different ones.

    It learns from all objects of an image or from a few of them: what is not labelled is pushed away from what is, and
    has to look consistent to a second network that follows the first one.

    References
    ----------
    Wolny et al., CVPR 2022, doi:10.1109/CVPR52688.2022.00426.
    """

    kind: ClassVar[str] = "spoco"
    title: ClassVar[str] = "Pixel embeddings (SPOCO)"

    feature_maps: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (16, 32, 64, 128),
        min_length=2,
        max_length=8,
        description="Channels of each level, finest first; published: 16 to 512 in 2D, 64 to 512 in 3D, 16 to 1024 for "
        "electron microscopy.",
    )
    norm: Norm = Field(
        "batch",
        description="Normalisation before each convolution: batch, as published in 2D; group, as published in 3D and "
        "for electron microscopy, with which tiles are not exact; none.",
    )
    embedding_channels: int = Field(16, ge=1, le=256, description="Channels of the embedding.")
    foreground: Literal["none", "predicted"] = Field(
        "none",
        description="predicted: the network also says where objects are. Where no background is known, what is not "
        "labelled stands for it.",
    )
    foreground_weight: _Weight = Field(1.0, description="Weight of the foreground in the loss.")
    pull_margin: float = Field(
        0.5, gt=0, le=100, description="Embeddings this close to the mean of their object are not pulled to it."
    )
    push_margin: float = Field(
        2.0, gt=0, le=100, description="Means of objects are pushed apart up to twice this distance."
    )
    kernel_threshold: float = Field(
        0.9, gt=0, lt=1, description="What the soft mask of an object is at the pull margin; above 0.95 it is unstable."
    )
    pull_weight: _Weight = Field(1.0, description="Weight of the pull.")
    push_weight: _Weight = Field(1.0, description="Weight of the push.")
    regulariser_weight: _Weight = Field(0.001, description="Weight of the length of the objects' means.")
    object_weight: _Weight = Field(
        1.0, description="Weight of the masks of single objects; 0 is the discriminative loss alone."
    )
    object_loss: Literal["dice", "bce"] = Field("dice", description="How soft masks and true ones are compared.")
    anchor: Literal["mean", "random"] = Field(
        "mean",
        description="Where soft masks start: at the mean of their object, or at a random pixel of it near the mean.",
    )
    reach_vox: float | None = Field(
        None,
        gt=0,
        le=100000,
        description="Objects are kept apart from other ones this near to them alone, for images of many like objects; "
        "empty: from all, as published.",
        json_schema_extra={"unit": "voxel", "empty": "everything"},
    )
    loss_every_vox: Literal[1, 2, 4] = Field(
        1,
        description="The loss of embeddings looks at one random pixel of each n x n in a slice; saves time.",
        json_schema_extra={"unit": "voxel"},
    )
    unlabelled_weight: _Weight = Field(1.0, description="Weight of the push from what is not labelled.")
    consistency_weight: _Weight = Field(
        1.0, description="Weight of the consistency with the network that follows; 0: there is none."
    )
    consistency_on: Literal["unlabelled", "everywhere"] = Field(
        "unlabelled", description="Where consistency is asked for; everywhere helps fully labelled images, too."
    )
    most_anchors: int = Field(20, ge=1, le=1000, description="Objects an image is compared by for consistency.")
    teacher_momentum: float = Field(
        0.999, ge=0, lt=1, description="How slowly the second network follows; faster in the first steps."
    )
    adversarial_weight: _Weight = Field(
        0.0, description="Weight of a critic that tells soft masks from true ones; 0.1 as published, 0: there is none."
    )
    critic_steps: int = Field(5, ge=1, le=100, description="Steps of the critic for each one of the network.")
    critic_warmup_steps: int = Field(
        1000, ge=0, description="Steps before the critic has a say; published: 50000.", json_schema_extra=_STEP
    )
    critic_penalty: float = Field(10.0, ge=0, le=1e4, description="Weight of the critic's gradient penalty.")

    @model_validator(mode="after")
    def _check_foreground(self) -> Self:
        if self.foreground == "predicted" and not self.foreground_weight:
            raise ValueError("a foreground of weight 0 is not learned; set foreground to none")
        return self

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The embedding and, where it is predicted, the foreground."""
        embedding = Output("embedding", Kind.EMBEDDING, tuple(range(self.embedding_channels)))
        if self.foreground == "none":
            return (embedding,)
        return (embedding, Output("foreground", Kind.FOREGROUND, (self.embedding_channels,)))

    @property
    def default_workflow(self) -> str:
        """Name of the ready-made workflow, which depends on whether there is a foreground."""
        return "spoco-objects" if self.foreground == "none" else "spoco-foreground"

    def unets(self) -> Sequence[UNet]:
        """Return the one U-Net."""
        return [self.build().unet]

    @property
    def cluster_bandwidth(self) -> float:
        """The pull margin, within which embeddings of one object lie around their mean."""
        return self.pull_margin

    @property
    def cluster_separation(self) -> float:
        """Twice the push margin, up to which means of objects are pushed apart."""
        return 2 * self.push_margin

    @property
    def loss_rules(self) -> LossRules:
        """Margins, weights and forms of the loss."""
        names = LossRules.__dataclass_fields__
        return LossRules(**{name: value for name, value in self.model_dump().items() if name in names})

    @property
    def consistency_rules(self) -> ConsistencyRules:
        """How consistency is measured."""
        return ConsistencyRules(self.pull_margin, self.kernel_threshold, self.most_anchors, self.object_loss == "dice")

    def for_objects_alone(self) -> Self:
        """Return the family without the foreground, which a few objects of one image teach badly."""
        return self.model_copy(update={"foreground": "none"})

    def weights_of(self, other: NetworkFamily, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the weights of a network that has a foreground or has none for one that has none or has it.

        A foreground that the other network does not have starts untrained.
        """
        taken = dict(weights)
        if not isinstance(other, SpocoFamily) or other.foreground == self.foreground:
            return taken
        n_kept = self.embedding_channels * self.stride**2
        fresh = self.build().state_dict() if self.foreground == "predicted" else {}
        for name in [name for name in taken if name.startswith(_LAST_LAYER)]:
            kept = taken[name][:n_kept]
            taken[name] = torch.cat([kept, fresh[name][n_kept:]]) if fresh else kept
        return taken

    def build(self) -> SpocoUNet:
        """Return the untrained network."""
        return SpocoUNet(
            Layout(
                self.image_channels,
                self.feature_maps,
                self.embedding_channels,
                self.is_2d,
                self.norm,
                self.foreground == "predicted",
                self.stride,
            )
        )

    def activate(self, logits: torch.Tensor) -> torch.Tensor:
        """Return embeddings as they are, and the foreground as a probability."""
        n_channels = self.embedding_channels
        return torch.cat([logits[:, :n_channels], torch.sigmoid(logits[:, n_channels:])], 1)

    def targets(self, labels: NDArray[Any], voxel_size_um: VoxelSize | None) -> NDArray[np.float32]:
        """Return (embedding [+ 1] + 1, Z, Y, X) float32: what could be said of `labels` at no loss, then their ids.

        The embeddings of any two objects, the background among them, lie at least twice the push margin apart.
        """
        del voxel_size_um
        ids = object_ids(labels)
        places = spread_points(int(ids.max(initial=0)) + 1, self.embedding_channels, 2 * self.push_margin)
        said = [np.moveaxis(places[ids.astype(np.int64)[0]], -1, 0)]
        if self.foreground == "predicted":
            said.append((ids > 0).astype(np.float32))
        return np.concatenate([*said, ids])

    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the terms that need no second network, against what `targets` made."""
        n_channels, ids = self.embedding_channels, target[:, -1:]
        terms = spoco_terms(logits[:, :n_channels], ids, self.loss_rules)
        return terms | self.foreground_terms(logits[:, n_channels:], ids, None)

    def foreground_terms(
        self, logits: torch.Tensor, ids: torch.Tensor, known: torch.Tensor | None
    ) -> dict[str, torch.Tensor]:
        """Return the term of the foreground (N, 1, ...) where ids are known, if it is predicted."""
        if self.foreground == "none":
            return {}
        return {"foreground": self.foreground_weight * foreground_loss(logits, ids, known)}


def object_ids(labels: NDArray[Any]) -> NDArray[np.float32]:
    """Return (1, Z, Y, X) float32, the labels (Z, Y, X) numbered from 1 without gaps, exact up to 2**24 objects."""
    return make_dense(labels)[0][None].astype(np.float32)


def spread_points(count: int, n_axes: int, distance: float) -> NDArray[np.float32]:
    """Return (count, n_axes) points of a grid, each two at least `distance` apart.

    >>> spread_points(5, 2, 4.0).tolist()
    [[0.0, 0.0], [4.0, 0.0], [8.0, 0.0], [0.0, 4.0], [4.0, 4.0]]
    """
    base = 2
    while base**n_axes < count:
        base += 1
    digits = np.arange(count)[:, None] // base ** np.arange(n_axes, dtype=object) % base
    return np.asarray(distance * digits.astype(np.float32), np.float32)


__all__ = ["SpocoFamily", "object_ids", "spread_points"]
