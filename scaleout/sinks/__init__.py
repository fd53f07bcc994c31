"""Where results go: one small protocol, and one file for each sink that follows it."""

from __future__ import annotations

from scaleout.sinks.base import Chunk, Encoding, Sink
from scaleout.sinks.uri import check_sink, make_sink, path_of_sink

__all__ = ["Chunk", "Encoding", "Sink", "check_sink", "make_sink", "path_of_sink"]
