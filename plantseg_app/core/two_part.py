"""Steps in two parts: a costly first one, and a quick second one that follows the settings a person tries out.

A preview keeps what the first part made and runs the second alone while a slider moves. Running such a step as any
other does one after the other, so there is one implementation and both give the same result.

>>> issubclass(TwoPartStep, Step)
True
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

from plantseg_app.core.context import Context
from plantseg_app.core.step import Step
from plantseg_app.core.volume import Volume


class TwoPartStep(Step):
    """A step that is run by `prepare` and `complete`.

    Class attributes
    ----------------
    prepared_by
        The settings on which `prepare` depends; all others count in `complete` alone.
    """

    prepared_by: ClassVar[tuple[str, ...]] = ()

    @abc.abstractmethod
    def prepare(self, inputs: Mapping[str, Volume], context: Context) -> Any:
        """Do the part that depends on the inputs and on the settings `prepared_by`; the result is never changed."""

    @abc.abstractmethod
    def complete(self, prepared: Any, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Make the result of what `prepare` made of the same inputs."""

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Do both parts."""
        return self.complete(self.prepare(inputs, context), inputs, context)
