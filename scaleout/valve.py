"""Backpressure at one place: whatever reads on its behalf is held back together, and let go together."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar


class Source(Protocol):
    """Something that reads, and can be held back."""

    def pause_reading(self, holder: object) -> None:
        """Stop reading until this holder, and all others, let go."""

    def resume_reading(self, holder: object) -> None:
        """Let go."""


Held = TypeVar("Held", bound=Source)


class Valve(Generic[Held]):
    """Holds all of its sources back while it is closed; those that come meanwhile, too."""

    def __init__(self) -> None:
        self._sources: dict[Held, None] = {}
        self.is_closed = False

    def attach(self, source: Held) -> None:
        """From now on this source is held back like the others."""
        self._sources[source] = None
        if self.is_closed:
            source.pause_reading(self)

    def detach(self, source: Held) -> None:
        """Forget a source."""
        self._sources.pop(source, None)

    def close(self) -> None:
        """Hold all sources back."""
        if not self.is_closed:
            self.is_closed = True
            for source in tuple(self._sources):
                source.pause_reading(self)

    def open(self) -> None:
        """Let all sources go, another one first each time: what there is room for must not always be the same's."""
        if not self.is_closed:
            return
        self.is_closed = False
        sources = tuple(self._sources)
        for source in sources:
            source.resume_reading(self)
        if sources and sources[0] in self._sources:
            self._sources[sources[0]] = self._sources.pop(sources[0])
