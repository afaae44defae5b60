"""Change the number of voxels of an image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import model_validator

from plantseg_app.core.context import Context
from plantseg_app.core.fields import Micrometre, PerAxis
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume, VoxelSize
from plantseg_app.errors import InputError, RequestError, ResourceError

Target = Literal["factor", "voxel-size", "shape", "model", "reference-shape", "reference-voxel-size", "original"]

_ORDERS = {"nearest": 0, "linear": 1, "cubic": 3}
_SETTING_OF = {"factor": "factor", "voxel-size": "voxel_size_um", "shape": "shape_vox", "model": "model"}
_BY_REFERENCE = ("reference-shape", "reference-voxel-size")
_UNCHANGED = (1.0, 1.0, 1.0)


class Rescale(Step):
    """Change the number of voxels while the field of view stays the same; the voxel size follows exactly.

    Say what to reach with one of factor, voxel_size_um, shape_vox or model, or set ``to`` to original or a reference.
    """

    id = "rescale"
    title = "Rescale"
    reads = {
        "image": Port(
            (
                Kind.RAW,
                Kind.BOUNDARY,
                Kind.FOREGROUND,
                Kind.NUCLEI,
                Kind.DISTANCE,
                Kind.LAYERS,
                Kind.LABELS,
                Kind.LAYERED_LABELS,
            ),
            "The image or labels to rescale.",
        ),
        "reference": Port(tuple(Kind), "The image whose shape or voxel size is wanted.", True, False),
    }
    makes = SameAs("image")
    keeps_grid = False

    to: Target = Field(
        "factor",
        description="What to reach; follows from the setting or reference that is given. original is the grid of the "
        "image as it was read.",
    )
    factor: PerAxis[Annotated[float, Field(gt=0.0, le=1000.0)]] = Field(
        _UNCHANGED,
        description="New number of voxels for each old one, along Z, Y, X; 0.5 halves. 2D images keep one slice.",
        json_schema_extra={"when": {"to": ["factor"]}},
    )
    voxel_size_um: PerAxis[Micrometre] | None = Field(
        None,
        description="The voxel size to reach along Z, Y, X in micrometres, as nearly as whole voxels allow.",
        json_schema_extra={"when": {"to": ["voxel-size"]}, "empty": "not given"},
    )
    shape_vox: PerAxis[Annotated[int, Field(ge=1, le=10**6)]] | None = Field(
        None,
        description="The number of voxels to reach along Z, Y, X.",
        json_schema_extra={"unit": "voxel", "when": {"to": ["shape"]}, "empty": "not given"},
    )
    model: str = Field(
        "",
        description="The model whose voxel size to reach.",
        json_schema_extra={"choices": "zoo.models", "when": {"to": ["model"]}},
    )
    interpolation: Literal["nearest", "linear", "cubic"] = Field(
        "linear", description="How values between voxels are found; labels always take the nearest voxel."
    )
    anti_aliasing: bool = Field(
        True, description="Smooth before shrinking, so that fine structures do not make false patterns."
    )

    @model_validator(mode="before")
    @classmethod
    def _choose_target(cls, values: Any) -> Any:
        """Let the one setting that is given say what to reach."""
        if not isinstance(values, dict) or "to" in values:
            return values
        given = [to for to, name in _SETTING_OF.items() if values.get(name) not in (None, "")]
        if len(given) > 1:
            names = " and ".join(_SETTING_OF[to] for to in given)
            raise ValueError(f"{names} are given; give one of them")
        return {**values, "to": given[0]} if given else values

    @model_validator(mode="after")
    def _check_target(self) -> Self:
        wanted = _SETTING_OF.get(self.to)
        unset = {"factor": _UNCHANGED, "voxel_size_um": None, "shape_vox": None, "model": ""}
        if wanted not in (None, "factor") and getattr(self, str(wanted)) == unset[str(wanted)]:
            raise ValueError(f'"to" is "{self.to}", which needs the setting {wanted}')
        extra = [name for name, value in unset.items() if name != wanted and getattr(self, name) != value]
        if extra:
            raise ValueError(
                f'"to" is "{self.to}", so {" and ".join(extra)} must not be given; set "to" to the target wanted'
            )
        return self

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Return the image on its new grid, with its type of numbers."""
        from plantseg_app.algorithms.resample import resample, spacing_for_shape

        image, reference = inputs["image"], inputs.get("reference")
        if reference is not None and self.to not in _BY_REFERENCE and not self._asks_for_nothing:
            context.message(f'rescale: the reference is not used, because "to" is "{self.to}".')
        shape = self._target_shape(image, reference)
        if shape == image.shape_vox:
            return image
        _check_memory(image, shape)
        context.check()
        order = 0 if image.kind.is_labels else _ORDERS[self.interpolation]
        data = resample(image.data, shape, order, anti_aliasing=self.anti_aliasing)
        voxel_size = image.voxel_size_um
        if voxel_size is not None:
            voxel_size = VoxelSize(*spacing_for_shape(image.shape_vox, voxel_size, shape))
            voxel_size = _as_read_if_equal(voxel_size, image.origin.voxel_size_um)
        return image.replace(data=data, voxel_size_um=voxel_size)

    @property
    def _asks_for_nothing(self) -> bool:
        return self.to == "factor" and self.factor == _UNCHANGED

    def _target_shape(self, image: Volume, reference: Volume | None) -> Shape3:
        if self.to == "shape" and self.shape_vox is not None:
            return self.shape_vox
        if self.to == "original":
            return _original_shape(image)
        if reference is not None and (self.to == "reference-shape" or self._asks_for_nothing):
            return reference.shape_vox
        if self.to in _BY_REFERENCE:
            if reference is None:
                raise RequestError(f'rescale: "to" is "{self.to}", which needs an image at the input "reference".')
            if reference.voxel_size_um is None:
                raise InputError(
                    "rescale: the voxel size of the reference is unknown; use the step set-voxel-size on it."
                )
            return _shape_for_voxel_size(image, reference.voxel_size_um)
        if self.to == "model":
            wanted, any_distance = _voxel_size_of_model(self.model)
            return _shape_for_voxel_size(image, wanted._replace(z=image.spacing.z) if any_distance else wanted)
        if self.to == "voxel-size" and self.voxel_size_um is not None:
            return _shape_for_voxel_size(image, VoxelSize(*self.voxel_size_um))
        return _shape_for_factor(image.shape_vox, self.factor)

    def depends_on(self) -> str:
        """Return the voxel size of the model, which may change with it."""
        return str(_voxel_size_of_model(self.model)) if self.to == "model" else ""

    def made_shape(self, shape_vox: Shape3) -> Shape3:
        """Return the new shape where it does not depend on voxel sizes or a reference."""
        if self.to == "shape" and self.shape_vox is not None:
            return self.shape_vox
        return _shape_for_factor(shape_vox, self.factor) if self.to == "factor" else shape_vox

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count old and new image as float32, where the target is known beforehand; splines need float64 and time."""
        n_voxels = math.prod(shape_vox) + math.prod(self.made_shape(shape_vox))
        cubic = self.interpolation == "cubic"
        return Cost(memory_bytes=(16 if cubic else 8) * n_voxels, seconds=(1e-7 if cubic else 3e-8) * n_voxels)


def _shape_for_factor(shape: Shape3, factor: tuple[float, float, float]) -> Shape3:
    z, y, x = (max(1, round(n * f)) for n, f in zip(shape, factor, strict=True))
    return (1 if shape[0] == 1 else z), y, x


def _shape_for_voxel_size(image: Volume, wanted: VoxelSize) -> Shape3:
    """Return the shape that has `wanted` voxels; a 2D image keeps its one slice, whatever it is thick.

    Raises
    ------
    InputError
        If the voxel size of the image is unknown.
    """
    from plantseg_app.algorithms.resample import shape_for_spacing

    if image.voxel_size_um is None:
        raise InputError(
            "rescale: the voxel size of the image is unknown, so another cannot be reached; "
            "use the step set-voxel-size first."
        )
    z, y, x = shape_for_spacing(image.shape_vox, image.voxel_size_um, wanted)
    return (1 if image.is_2d else z), y, x


def _original_shape(image: Volume) -> Shape3:
    """Return the shape that the image had when it was read, or that a crop of it had.

    Raises
    ------
    InputError
        If the image was not read from a file.
    """
    full, place = image.origin.shape_vox, image.place
    if full is None:
        raise InputError(
            "rescale: the image was not read from a file, so it has no original grid; choose another target."
        )
    if place is None:
        return full
    z, y, x = (
        max(1, round((b - a) * n / m))
        for a, b, n, m in zip(place.start_vox, place.stop_vox, full, place.full_shape_vox, strict=True)
    )
    return z, y, x


def _voxel_size_of_model(model: str) -> tuple[VoxelSize, bool]:
    """Return the voxel size of a model, and whether it sees single slices, so that any distance between them will do.

    Raises
    ------
    RequestError
        If the model is unknown or takes any voxel size.
    """
    from plantseg_app.zoo.catalogue import find_model

    card = find_model(model).card
    if card.voxel_size_um is None:
        raise RequestError(f'rescale: the model "{model}" takes images of any voxel size; choose another target.')
    return VoxelSize(*card.voxel_size_um), card.dimensionality == "2D"


def _as_read_if_equal(voxel_size: VoxelSize, as_read: VoxelSize | None) -> VoxelSize:
    """Undo the rounding of there-and-back: return `as_read` where the two differ by nothing else."""
    if as_read is not None and all(math.isclose(a, b, rel_tol=1e-12) for a, b in zip(voxel_size, as_read, strict=True)):
        return as_read
    return voxel_size


def _check_memory(image: Volume, shape: Shape3) -> None:
    """Raise `ResourceError` before a slip of a unit (nm for um) fills the memory."""
    import psutil

    channels = len(image.data) if image.data.ndim == 4 else 1
    needed = channels * math.prod(shape) * image.data.itemsize
    available = psutil.virtual_memory().available
    if needed > available:
        raise ResourceError(
            f"rescale: the result would have {shape} voxels and take {needed / 1e9:.1f} GB, but "
            f"{available / 1e9:.1f} GB are free; check the unit of the voxel size or take a larger one."
        )
