"""A dictionary of named classes that answers an unknown name with a suggestion.

>>> registry = Registry[type]("animal")
>>> registry.add("cat", str)
>>> registry.get("cta")
Traceback (most recent call last):
plantseg_app.errors.RequestError: There is no animal "cta". Did you mean "cat"?
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from plantseg_app.errors import RequestError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Named things of one sort, in the order of their names.

    Parameters
    ----------
    noun
        What one entry is called in an error message, for example ``"step"``.
    """

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T) -> None:
        """Register `entry` under `name`.

        Raises
        ------
        ValueError
            If the name is taken by another entry: a mistake of the programmer, found at import.
        """
        known = self._entries.get(name)
        if known is not None and known is not entry:
            raise ValueError(f"Two {self._noun}s are named {name!r}: {known!r} and {entry!r}; rename one.")
        self._entries[name] = entry

    def get(self, name: str) -> T:
        """Return the entry called `name`.

        Raises
        ------
        RequestError
            If there is none; the message suggests the nearest name.
        """
        if name not in self._entries:
            raise RequestError(f'There is no {self._noun} "{name}". {did_you_mean(name, self._entries)}')
        return self._entries[name]

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._entries)

    def __iter__(self) -> Iterator[T]:
        return (self._entries[name] for name in self.names())

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries
