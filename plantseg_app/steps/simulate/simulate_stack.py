"""Draw the image that a microscope would take of cells that are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field as Range

from plantseg_app.core.context import Context
from plantseg_app.core.fields import Fraction, Seed
from plantseg_app.core.step import Cost, Field, Port, Step
from plantseg_app.core.volume import Kind, Shape3, Volume, VoxelSize

if TYPE_CHECKING:
    from plantseg_app.algorithms.simulate.microscope import Microscope

Width = Annotated[float, Range(ge=0.0, le=20.0, json_schema_extra={"unit": "um"})]
Photons = Annotated[float, Range(gt=0.0, le=100_000.0, json_schema_extra={"unit": "photons"})]
Noise = Annotated[float, Range(ge=0.0, le=1000.0, json_schema_extra={"unit": "photons"})]
PerMicrometre = Annotated[float, Range(ge=0.0, le=1.0, json_schema_extra={"unit": "1/um"})]
Saturated = Annotated[float, Range(ge=0.0, le=50.0, json_schema_extra={"unit": "%"})]
Brightness = Annotated[float, Range(ge=0.0, le=5.0)]

_HAZE_UM = (5.0, 2.5, 2.5)
_FIELD_UM = 15.0


class SimulateStack(Step):
    """Draw the image that a microscope would take of known cells: stained walls, blur, loss of light, photons, camera.

    Brightness is given in units of a usual wall. The cells stay what they are, so the image and the labels together are
    data to train with, and to measure methods by. Where the voxel size is unknown it counts as 1 um.
    """

    id = "simulate-stack"
    title = "Simulate a microscope image"
    reads = {"labels": Port((Kind.LABELS,), "The cells; 0 is outside the tissue.")}
    makes = Kind.RAW

    modality: Literal["confocal", "light-sheet"] = Field(
        "confocal",
        description="confocal: light is lost along Z; light-sheet: along Z and along the sheet (X), and the sheet "
        "casts shadows.",
    )
    psf_lateral_um: Width = Field(0.4, description="Width (at half of its height) of the image of a point in Y and X.")
    psf_axial_um: Width = Field(1.2, description="Width (at half of its height) of the image of a point in Z.")
    photons: Photons = Field(60.0, description="Photons from a voxel of a usual wall; few make a noisy image.")
    read_noise: Noise = Field(2.0, description="Standard deviation of the noise of the camera.")
    background: Fraction = Field(0.02, description="Light that reaches every voxel.")
    attenuation_per_um: PerMicrometre = Field(
        0.01, description="Share of the light that is lost on each micrometre of tissue."
    )
    haze: Brightness = Field(0.15, description="Light from planes that are out of focus.")
    staining_variation: Brightness = Field(
        0.25, description="How much the brightness differs from wall to wall (standard deviation of its logarithm)."
    )
    faint_walls: Fraction = Field(0.02, description="Share of the walls that hardly took the stain.")
    cytoplasm: Brightness = Field(0.1, description="Brightness of the insides of cells.")
    bleed_through: Brightness = Field(0.1, description="Brightness of nuclei, which shine through from their channel.")
    unevenness: Brightness = Field(0.1, description="How much the illumination varies over the field of view.")
    stripes: Fraction = Field(0.12, description="Strength of the shadows (light-sheet).")
    saturated: Saturated = Field(0.2, description="Share of the voxels that are brighter than the camera records.")
    pixel_type: Literal["uint8", "uint16"] = Field("uint8", description="Type of the grey values.")
    seed: Seed = Field(0, description="The same seed gives the same image.")

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Return the image as `pixel_type`."""
        from plantseg_app.algorithms.simulate.microscope import render

        context.check()
        labels = inputs["labels"]
        microscope = self.microscope(labels.spacing)
        return labels.replace(data=render(np.random.default_rng(self.seed), labels.data, microscope), kind=Kind.RAW)

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Return what was measured, with a margin: 52 bytes and 0.4 microseconds a voxel."""
        n_voxels = int(np.prod(shape_vox, dtype=np.int64))
        return Cost(memory_bytes=65 * n_voxels, seconds=5e-7 * n_voxels)

    def microscope(self, spacing: VoxelSize) -> Microscope:
        """Return the image model with these settings, its lengths in voxels of this size."""
        from plantseg_app.algorithms.simulate import microscope as model

        axial = model.sigma_vox(self.psf_axial_um, spacing.z)
        lateral = tuple(model.sigma_vox(self.psf_lateral_um, size) for size in spacing[1:])
        haze = tuple(width / size for width, size in zip(_HAZE_UM, spacing, strict=True))
        wide = tuple(_FIELD_UM / size for size in spacing)
        is_sheet = self.modality == "light-sheet"
        return model.Microscope(
            staining=model.Staining(variation=self.staining_variation, weak_share=self.faint_walls),
            interior=model.Interior(
                cytoplasm=self.cytoplasm, nuclei_low=0.5 * self.bleed_through, nuclei_high=1.5 * self.bleed_through
            ),
            optics=model.Optics(
                psf_sigma_vox=(axial, lateral[0], lateral[1]),
                haze=self.haze,
                haze_sigma_vox=(haze[0], haze[1], haze[2]),
            ),
            illumination=model.Illumination(
                attenuation=tuple(
                    model.Attenuation(per_vox=self.attenuation_per_um * spacing[axis], axis=axis)
                    for axis in ((0, 2) if is_sheet else (0,))
                ),
                unevenness=self.unevenness,
                unevenness_vox=(wide[0], wide[1], wide[2]),
                stripes=self.stripes if is_sheet else 0.0,
            ),
            camera=model.Camera(
                photons=self.photons,
                background=self.background,
                read_noise_photons=self.read_noise,
                white_percentile=100.0 - self.saturated,
                dtype=self.pixel_type,
            ),
        )
