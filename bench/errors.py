"""What keeps a benchmark from being measured."""

from __future__ import annotations


class BenchError(Exception):
    """Something could not be measured."""


class MissingPeerError(BenchError):
    """A side's library, or program, isn't installed."""
