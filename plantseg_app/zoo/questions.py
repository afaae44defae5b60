"""What files leave open and only a person can say: what the outputs show, and whether a program in them may run once.

>>> Answers(outputs=("nuclei", "boundary")).outputs
('nuclei', 'boundary')
"""

from __future__ import annotations

import dataclasses

from plantseg_app.errors import RequestError


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a person says about files that become a model.

    Attributes
    ----------
    outputs
        What each output channel shows: boundary, foreground, nuclei, background, or any other word; empty: as the files
        say.
    confirmed_source
        The sha256 of a file of source code that the person has read and agrees to run once; empty: none.
    """

    outputs: tuple[str, ...] = ()
    confirmed_source: str = ""


NO_ANSWERS = Answers()
"""Nobody has said anything."""


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """Source code that would have to run.

    Attributes
    ----------
    name
        Its name in the package.
    text
        What a person should read before.
    sha256
        Its checksum; `Answers.confirmed_source` once the person agrees.
    """

    name: str
    text: str
    sha256: str


class SourceQuestion(RequestError):
    """A model can be added only by running source code that came with it, and nobody has agreed to that.

    Attributes
    ----------
    source
        The file to read.
    """

    def __init__(self, message: str, source: SourceFile) -> None:
        super().__init__(message)
        self.source = source

    def __reduce__(self) -> tuple[type[SourceQuestion], tuple[str, SourceFile]]:
        """Let it travel from the process that met it to the window that asks."""
        return type(self), (str(self), self.source)
