"""Why a correction was not made."""

from __future__ import annotations

from plantseg_app.errors import RequestError


class Refused(RequestError):
    """A tool cannot be used like this; the message is one sentence that says why, and what to do. Nothing changed."""
