"""Consumes many high-volume WebSocket feeds at once, on all cores, without losing count of a message.

    import scaleout

    summary = scaleout.run(scaleout.Config(endpoints=[scaleout.Endpoint(uri="wss://example.org/feed")]))

`run` blocks and handles signals; `await serve(config)` runs in a loop of yours. `load` reads a configuration
file. Processors name `Context` in their signature and raise `Reject`.
"""

from __future__ import annotations

from scaleout.config import TLS, Backoff, Config, Endpoint
from scaleout.context import Context
from scaleout.errors import (
    ChannelError,
    ConfigError,
    Fault,
    IllegalTransitionError,
    MissingExtraError,
    ProcessorError,
    Reject,
    ScaleoutError,
    SendError,
    SimulatorError,
    SinkClosedError,
    SinkError,
    WorkerError,
)
from scaleout.loading import load
from scaleout.runner import run, serve
from scaleout.supervisor.status import Summary

__all__ = [
    "TLS",
    "Backoff",
    "ChannelError",
    "Config",
    "ConfigError",
    "Context",
    "Endpoint",
    "Fault",
    "IllegalTransitionError",
    "MissingExtraError",
    "ProcessorError",
    "Reject",
    "ScaleoutError",
    "SendError",
    "SimulatorError",
    "SinkClosedError",
    "SinkError",
    "Summary",
    "WorkerError",
    "load",
    "run",
    "serve",
]
