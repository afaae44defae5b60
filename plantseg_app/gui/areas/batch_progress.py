"""How much of a batch is done and how long the rest takes; files count by their size, for large ones take longer.

Draws nothing and reads no file.

>>> progress = BatchProgress([30.0, 10.0], began=100.0)
>>> progress.fraction(0.0), progress.seconds_left(0.0, now=101.0)
(0.0, None)
>>> progress.finish(30.0)
>>> progress.fraction(0.0), progress.seconds_left(5.0, now=107.0)
(0.75, 1.0)
"""

from __future__ import annotations

from collections.abc import Sequence

_LEAST_KNOWN = 0.02


class BatchProgress:
    """Counts what is done.

    Parameters
    ----------
    weights
        How much work each file is, in any unit.
    began
        When the batch began, in seconds of any clock.
    """

    def __init__(self, weights: Sequence[float], began: float) -> None:
        self._total = sum(weights)
        self._over = 0.0
        self._worked = 0.0
        self._began = began

    def finish(self, weight: float, skipped: bool = False) -> None:
        """Count a file; one that was skipped says nothing of how fast the work goes."""
        self._over += weight
        if not skipped:
            self._worked += weight

    def fraction(self, running: float) -> float:
        """Return how much of the batch is done, 0 to 1; `running` is the finished weight of the file that runs."""
        return min(1.0, (self._over + running) / self._total) if self._total else 1.0

    def seconds_left(self, running: float, now: float) -> float | None:
        """Return how long the rest takes at the speed so far; None as long as that is a mere guess."""
        worked = self._worked + running
        if worked <= _LEAST_KNOWN * self._total:
            return None
        return (now - self._began) / worked * max(0.0, self._total - self._over - running)
