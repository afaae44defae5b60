"""How to read many files where they do not say themselves, as settings that a form can show and check.

>>> ReadSettings(channel="1", axes=" czyx ").options().to_text()
'axes=CZYX channel=1'
>>> ReadSettings().options().given()
{}
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from plantseg_app.core.fields import Micrometre, PerAxis
from plantseg_app.io.format import KNOWN_AXES
from plantseg_app.run.jobs import ReadOptions

_SILENT = "as the file says"


class ReadSettings(BaseModel):
    """What to take for granted of every file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    voxel_size_um: PerAxis[Micrometre] | None = Field(
        None,
        description="Voxel size Z, Y, X, where the files are silent or wrong.",
        json_schema_extra={"unit": "um", "empty": _SILENT},
    )
    axes: str = Field(
        "",
        description="What the stored axes are, such as ZYX or CZYX, where the files do not say; a minus before a "
        "letter flips that axis.",
    )
    channel: str = Field(
        "", description='Which channel: a number from 0, its name, "gray", or "all". Needed where there are several.'
    )
    time: int | None = Field(
        None, ge=0, description="Which time point, from 0.", json_schema_extra={"empty": "there is one"}
    )
    dataset: str = Field("", description="Data set inside HDF5 files; the usual names are found.")
    nan: Literal["refuse", "replace"] = Field(
        "refuse", title="NaN", description="Whether files with NaN or infinite values are refused, or these replaced."
    )

    @field_validator("axes")
    @classmethod
    def _check_axes(cls, axes: str) -> str:
        axes = axes.strip().upper()
        letters = axes.replace("-", "")
        if not set(letters) <= set(KNOWN_AXES) or len(set(letters)) < len(letters):
            raise ValueError(f'axes are letters of {KNOWN_AXES}, each once; "{axes}" was given')
        return axes

    def options(self) -> ReadOptions:
        """Return the same for a job, with None for what is left to the files."""
        channel = self.channel.strip()
        return ReadOptions(
            dataset=self.dataset.strip() or None,
            axes=self.axes or None,
            channel=int(channel) if channel.isdecimal() else channel or None,
            time=self.time,
            voxel_size_um=self.voxel_size_um,
            nan=None if self.nan == "refuse" else self.nan,
        )
