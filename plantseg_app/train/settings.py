"""Everything a training depends on, as one frozen object that YAML, the window and Python fill in alike.

Knows no torch and reads no image.

>>> settings = TrainSettings.from_plain({
...     "output": "my-model", "family": {"kind": "boundary", "feature_maps": [16, 32]},
...     "data": {"train": ["stack.h5"], "split": {"fraction": 0.25}}})
>>> settings.patches.shape_vox, settings.loss.name
((32, 96, 96), 'bce-dice')
>>> TrainSettings.from_plain({"output": "m", "data": {"train": ["a.h5"]}, "optimiser": {"rtae": 1}})
Traceback (most recent call last):
plantseg_app.errors.RequestError: The training settings: optimiser has no setting "rtae". Did you mean "rate"?
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from plantseg_app.core.fields import Fraction, Micrometre, PerAxis, Seed, SigmaVox
from plantseg_app.errors import RequestError
from plantseg_app.train.settings_errors import readable_problems
from plantseg_app.zoo.card import Normalisation
from plantseg_app.zoo.facts import DOI_PATTERN, NAME_PATTERN

_VOXEL: dict[str, Any] = {"unit": "voxel"}
_STEP: dict[str, Any] = {"unit": "step"}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StackFiles(_Part):
    """Where one labelled image lies: both in one HDF5 file (`path`), or in two files (`image` and `labels`).

    A `*` in both (and in `ignore`) stands for the same text and makes one stack a match; these divide a `share`.
    """

    path: str = Field("", description="An HDF5 file that holds image and labels.")
    image: str = Field("", description="The image file.")
    labels: str = Field("", description="The file of labels.")
    ignore: str = Field("", description="A mask file: where it is not 0 nothing is learned.")
    image_dataset: str | None = Field(None, description="Data set of the image; the usual names are found.")
    labels_dataset: str | None = Field(None, description="Data set of the labels; the usual names are found.")
    axes: str | None = Field(None, description="What the stored axes are, such as ZYX, where the file does not say.")
    channel: int | str | None = Field(None, description='Channel of the image from 0, its name, "gray", or "all".')
    voxel_size_um: tuple[Micrometre, Micrometre, Micrometre] | None = Field(
        None, description="Voxel size Z, Y, X where the file is silent or wrong.", json_schema_extra={"unit": "um"}
    )
    layered: bool = Field(
        False,
        description="The labels are layers of objects that may overlap, or one mask a plane; layers that this program "
        "wrote are recognised.",
    )
    share: float | None = Field(
        None, gt=0, le=1, description="Share of the training patches from here; empty: by the labelled voxels."
    )

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        if bool(self.path) == bool(self.image or self.labels) or bool(self.image) != bool(self.labels):
            raise ValueError("give either path, or image and labels")
        if ("*" in self.image) != ("*" in self.labels):
            raise ValueError("image and labels both need a * or neither")
        return self

    def at(self, folder: Path) -> StackFiles:
        """Return the same with relative paths taken from `folder`."""
        names = ("path", "image", "labels", "ignore")
        return self.model_copy(update={n: str(folder / getattr(self, n)) for n in names if getattr(self, n)})


def _short_form(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


Stacks = tuple[Annotated[StackFiles, BeforeValidator(_short_form)], ...]


class SplitSettings(_Part):
    """How a validation part is cut off the training stacks when no validation stacks are given."""

    fraction: float = Field(0.2, gt=0, lt=0.9, description="Share of each stack, or of the list, that validates.")
    axis: Literal["z", "y", "x", "stacks"] = Field(
        "x", description="Cut a slab off the end of this axis of every stack; stacks: keep whole stacks apart."
    )


class DataSettings(_Part):
    """The images a network learns from, and those it is judged on."""

    train: Stacks = Field((), description="Labelled stacks to learn from; a plain path is an HDF5 file with both.")
    validation: Stacks = Field((), description="Labelled stacks to judge on; never augmented.")
    split: SplitSettings | None = Field(None, description="Cut the validation part off the training stacks instead.")
    ignore_label: int | None = Field(
        None, ge=-1, description="Label where nothing is known and nothing is learned, for example -1 or 0."
    )
    normalisation: Normalisation | None = Field(
        None,
        description="How grey values are brought to one range; empty: as the model that is the start, else "
        "percentiles 1 and 99.8.",
    )
    annotated_share: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Learn as if this share of the objects of each training stack had been annotated and nothing else, "
        "background included; they are drawn once. Empty: everything is annotated.",
        json_schema_extra={"empty": "everything"},
    )
    annotated_seed: Seed = Field(0, description="Seed of that draw.")
    voxel_size_um: tuple[Micrometre, Micrometre, Micrometre] | None = Field(
        None,
        description="Rescale stacks to this voxel size Z, Y, X; empty: that of the start.",
        json_schema_extra={"unit": "um"},
    )
    memory_mb: int = Field(
        4096, ge=1, description="Stacks beyond this are kept on the disk.", json_schema_extra={"unit": "MB"}
    )


class PatchSettings(_Part):
    """The pieces of the stacks a step learns from."""

    shape_vox: PerAxis[Annotated[int, Field(ge=1, le=4096)]] = Field(
        (32, 96, 96), title="Patch size", description="Z, Y, X; Z is 1 for 2D networks.", json_schema_extra=_VOXEL
    )
    batch: int = Field(2, ge=1, le=4096, description="Patches a batch.", title="Patches a batch")
    accumulate: int = Field(1, ge=1, le=1024, description="Batches whose gradients are summed before a step.")
    anywhere: Fraction = Field(0.1, description="Share of patches drawn anywhere; the rest lie on labelled voxels.")
    min_labelled: Fraction = Field(0.05, description="Least share of labelled voxels in a patch on labelled voxels.")
    workers: int = Field(1, ge=1, le=64, description="Threads that prepare patches in the background.")
    prefetch: int = Field(4, ge=1, le=64, description="Batches prepared ahead.")


class AugmentSettings(_Part):
    """Random changes of the training patches, image, labels and ignore mask together; validation has none.

    A probability is that of a patch to be changed so. Strengths are drawn up to the given limit.
    """

    flip: Fraction = Field(0.5, description="Probability of mirroring, for each axis.")
    flip_z: bool = Field(True, description="Mirror along Z too.")
    rot90: bool = Field(True, description="Turn by a random multiple of 90 degrees in the plane.")
    rotate: Fraction = Field(0.3, description="Probability of a free rotation.")
    rotate_deg: float = Field(45.0, ge=0, le=180, description="Largest rotation in the plane.")
    tilt_deg: float = Field(0.0, ge=0, le=180, description="Largest rotation out of the plane, 3D only.")
    scale: Fraction = Field(0.3, description="Probability of a change of size.")
    scale_factor: float = Field(1.25, ge=1, le=4, description="Largest magnification; its inverse is the smallest.")
    stretch_factor: float = Field(1.1, ge=1, le=4, description="Largest further magnification of single axes.")
    elastic: Fraction = Field(0.15, description="Probability of an elastic deformation (Ronneberger 2015).")
    elastic_amplitude_vox: float = Field(
        3.0, ge=0, le=100, description="Standard deviation of the displacements.", json_schema_extra=_VOXEL
    )
    elastic_spacing_vox: float = Field(
        24.0, ge=4, le=1000, description="Distance of the displaced grid points.", json_schema_extra=_VOXEL
    )
    misaligned_slices: Fraction = Field(0.0, description="Probability that single slices are shifted, 3D only.")
    misaligned_vox: float = Field(4.0, ge=0, le=100, description="Largest shift.", json_schema_extra=_VOXEL)
    gamma: Fraction = Field(0.3, description="Probability of another gamma.")
    gamma_limit: float = Field(1.5, ge=1, le=5, description="Largest gamma; its inverse is the smallest.")
    contrast: Fraction = Field(0.5, description="Probability of another contrast and brightness.")
    contrast_limit: float = Field(1.5, ge=1, le=10, description="Largest contrast; its inverse is the smallest.")
    brightness_limit: float = Field(0.1, ge=0, le=2, description="Largest shift of normalised grey values.")
    blur: Fraction = Field(0.2, description="Probability of a Gaussian blur.")
    blur_sigma_vox: SigmaVox = Field(1.2, description="Largest width of the blur.")
    blur_z: Fraction = Field(0.1, description="Probability of a blur along Z alone, as of a poor axial resolution.")
    blur_z_sigma_vox: SigmaVox = Field(2.0, description="Largest width of the blur along Z.")
    gaussian_noise: Fraction = Field(0.3, description="Probability of Gaussian noise.")
    gaussian_noise_std: float = Field(0.12, ge=0, le=5, description="Largest standard deviation, normalised values.")
    poisson_noise: Fraction = Field(0.2, description="Probability of photon noise.")
    poisson_photons: float = Field(20.0, ge=0.5, le=1e5, description="Fewest photons that make the value 1.")
    slice_jitter: Fraction = Field(0.1, description="Probability of slices of uneven brightness, 3D only.")
    slice_jitter_std: float = Field(0.1, ge=0, le=2, description="Largest standard deviation of the slices' factors.")
    missing_slices: Fraction = Field(0.0, description="Probability that single slices are black, 3D only.")

    @classmethod
    def off(cls) -> Self:
        """Return settings that change nothing."""
        probabilities = (
            "flip", "rotate", "scale", "elastic", "misaligned_slices", "gamma", "contrast", "blur", "blur_z",
            "gaussian_noise", "poisson_noise", "slice_jitter", "missing_slices",
        )  # fmt: skip
        return cls(rot90=False, **dict.fromkeys(probabilities, 0.0))


LossName = Literal["family", "bce", "dice", "bce-dice", "generalised-dice", "cross-entropy", "mse", "l1", "smooth-l1"]


class LossSettings(_Part):
    """What is minimised."""

    name: LossName = Field("bce-dice", description="The loss; family: the one that the kind of network defines.")
    dice_weight: float = Field(1.0, ge=0, le=1000, description="Weight of the Dice term in bce-dice.")
    positive_weight: float = Field(1.0, gt=0, le=1e4, description="Weight of voxels that are 1 in the cross entropy.")
    channel_weights: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (), description="Weight of each output channel; empty: equal."
    )
    smooth_l1_beta: float = Field(1.0, gt=0, le=1e3, description="Where smooth-l1 turns from square to straight.")


class OptimiserSettings(_Part):
    """How weights follow gradients."""

    name: Literal["adam", "adamw", "sgd", "rmsprop"] = Field("adamw", description="The rule.")
    rate: float = Field(1e-3, gt=0, le=10, description="Highest learning rate.", title="Learning rate")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="Pull of the weights towards 0.")
    betas: tuple[Fraction, Fraction] = Field((0.9, 0.999), description="Decay of the moments of adam and adamw.")
    momentum: Fraction = Field(0.9, description="Momentum of sgd.")
    rho: Fraction = Field(0.9, description="Decay of the mean square of rmsprop.")
    clip: float = Field(2.0, ge=0, le=1e6, description="Largest norm of the gradient; 0 does not limit it.")
    average: float = Field(
        0.998, ge=0, lt=1, description="Decay of the running average of the weights that is kept; 0: no average."
    )


class ScheduleSettings(_Part):
    """How the learning rate changes."""

    name: Literal["constant", "plateau", "cosine", "exponential", "staircase"] = Field(
        "cosine", description="The shape."
    )
    warmup_steps: int = Field(50, ge=0, description="Steps in which the rate rises.", json_schema_extra=_STEP)
    final_fraction: Fraction = Field(0.002, description="Share of the rate that cosine and exponential end with.")
    factor: float = Field(0.5, gt=0, lt=1, description="plateau and staircase multiply the rate by this.")
    stair_steps: int = Field(10000, ge=1, description="Steps between two falls of staircase.", json_schema_extra=_STEP)
    patience: int = Field(10, ge=1, description="Validations without improvement before plateau does so.")


class StoppingSettings(_Part):
    """When a training ends: whatever comes first."""

    steps: int = Field(5000, ge=1, le=10**9, description="Number of steps.", json_schema_extra=_STEP)
    minutes: float = Field(
        0.0, ge=0, description="Time, validation included; 0 for no limit.", json_schema_extra={"unit": "min"}
    )
    second_phase_at: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of the training after which the second phase begins, with the best network of the first; "
        "for layering networks, which then complete overlaps. 1: no second phase; empty: two thirds.",
    )
    patience: int = Field(0, ge=0, description="Stop after this many validations without improvement; 0: never.")
    smallest_rate: float = Field(0.0, ge=0, description="Stop when the learning rate falls below this.")


class ValidationSettings(_Part):
    """How often and by what a network is judged."""

    every: int = Field(
        250, ge=1, title="Judge every", description="Steps from one to the next.", json_schema_extra=_STEP
    )
    metric: Literal["auto", "adapted-rand-error", "average-precision", "symmetric-best-dice", "loss"] = Field(
        "auto",
        description="auto: average precision for networks with a mask, symmetric best Dice for W-Net and SPOCO, else "
        "the adapted Rand error.",
    )
    crop_vox: PerAxis[Annotated[int, Field(ge=1, le=100000)]] = Field(
        (64, 256, 256), description="Largest central piece of a stack that is judged.", json_schema_extra=_VOXEL
    )
    stacks: int = Field(24, ge=1, description="At most this many stacks, spread over the list.")
    threshold: Fraction = Field(0.4, description="Boundary probability above which no seed lies.")
    beta: Fraction = Field(0.6, description="How readily cells are kept apart, as in the step gasp.")
    min_size: int = Field(50, ge=0, description="Smallest superpixel, or object.", json_schema_extra=_VOXEL)


class CheckpointSettings(_Part):
    """Which states are kept beside the best and the last one."""

    every: int = Field(0, ge=0, description="Keep one each so many steps; 0: none.", json_schema_extra=_STEP)


class CardSettings(_Part):
    """What the card of the finished model says."""

    id: str = Field("", pattern=f"({NAME_PATTERN})|^$", description="Its id; empty: the folder's name.")
    title: str = Field("", description="Its name for people.")
    description: str = Field("", description="One or two sentences.")
    segments: str = Field("", description="What it finds, for example cell boundaries.")
    modality: str = Field("", description="For example confocal.")
    organism: str = Field("", description="Whose images they are.")
    tissue: str = Field("", description="Which organ, tissue or culture.")
    channels: tuple[str, ...] = Field(("membrane",), min_length=1, description="What each input channel shows.")
    object_diameter_um: Micrometre | None = Field(None, description="Typical size of the objects.")
    workflow: str = Field("", description="The ready-made workflow that suits it; empty: that of the kind of network.")
    licence: str = Field("not stated", description="The licence of the weights.")
    authors: tuple[str, ...] = Field(("unknown",), min_length=1, description="Who made it.")
    citation: str = Field("", description="What to cite, in words.")
    doi: str = Field("", pattern=DOI_PATTERN, description="The DOI to cite, without https://doi.org/.")
    data: str = Field("", description="Where the images come from; a DOI where there is one.")
    data_licence: str = Field("", description="Their licence.")


class TrainSettings(_Part):
    """One training: what is learned, from what, how, and what comes out."""

    output: str = Field(description="Folder of the finished model; checkpoints go to its sub-folder run.")
    family: dict[str, Any] | None = Field(
        None, description="The network, as in a model card; not needed when starting from a model."
    )
    start_from: str = Field("", description="A model's id or folder whose weights are the start; empty: from scratch.")
    data: DataSettings = Field(DataSettings(), description="Images.")
    patches: PatchSettings = Field(PatchSettings(), description="Patches.")
    augment: AugmentSettings = Field(AugmentSettings(), description="Augmentation.")
    loss: LossSettings = Field(LossSettings(), description="Loss.")
    optimiser: OptimiserSettings = Field(OptimiserSettings(), description="Optimiser.")
    schedule: ScheduleSettings = Field(ScheduleSettings(), description="Learning rate.")
    stopping: StoppingSettings = Field(StoppingSettings(), description="End.")
    validation: ValidationSettings = Field(ValidationSettings(), description="Validation.")
    checkpoints: CheckpointSettings = Field(CheckpointSettings(), description="Checkpoints.")
    card: CardSettings = Field(CardSettings(), description="Card of the model.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Type of the convolutions; auto: 16 bits where the hardware has them."
    )
    channels_last: bool = Field(True, description="Memory layout with the channels together, which is faster.")
    device: str = Field("auto", description="auto, cpu, cuda:0 or mps.")
    seed: Seed = Field(0, description="Seed of everything random.")
    tensorboard: bool = Field(False, description="Write scalars and example images for TensorBoard.")

    @model_validator(mode="after")
    def _check_network(self) -> Self:
        if self.family is None and not self.start_from:
            raise ValueError("give a family (for example {kind: boundary}) or a model to start_from")
        return self

    @property
    def normalisation(self) -> Normalisation:
        """How grey values are brought to one range."""
        return self.data.normalisation or Normalisation(method="percentile", low=1.0, high=99.8)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], where: str = "The training settings") -> Self:
        """Check plain settings.

        Raises
        ------
        RequestError
            Naming every wrong entry, what was given and what is allowed.
        """
        try:
            return cls(**{str(key): value for key, value in plain.items()})
        except ValidationError as error:
            raise RequestError(f"{where}: {readable_problems(error, cls)}") from error

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read settings from a YAML file; relative paths in it are taken from its folder.

        Files in the vocabulary of pytorch-3dunet are read too, see `plantseg_app.train.pytorch3dunet_config`.

        Raises
        ------
        RequestError
            If the file is missing, not YAML, or an entry is wrong.
        """
        from plantseg_app.train.pytorch3dunet_config import is_pytorch3dunet, translate

        file = Path(path)
        try:
            plain = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError(f"The training settings {file} cannot be read: {error}") from error
        except yaml.YAMLError as error:
            raise RequestError(f"The training settings {file} are not readable YAML: {error}") from error
        if not isinstance(plain, Mapping):
            raise RequestError(f"The training settings {file} must be a mapping such as output: my-model.")
        if is_pytorch3dunet(plain):
            plain = translate(plain, str(file))
        return cls.from_plain(plain, str(file)).at(file.resolve().parent)

    def at(self, folder: Path) -> Self:
        """Return the same with relative paths taken from `folder`."""
        data = self.data.model_copy(
            update={
                "train": tuple(files.at(folder) for files in self.data.train),
                "validation": tuple(files.at(folder) for files in self.data.validation),
            }
        )
        start = self.start_from
        if start and (folder / start).exists():
            start = str(folder / start)
        return self.model_copy(update={"output": str(folder / self.output), "data": data, "start_from": start})

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some entries changed, checked again.

        Raises
        ------
        RequestError
            If an entry is unknown or out of range.
        """
        return self.from_plain({**self.model_dump(), **changes})

    def to_yaml(self) -> str:
        """Return the text that `from_yaml` reads back to equal settings."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)
