"""Consumes many high-volume WebSocket feeds at once, on all cores, without losing count of a message.

    import scaleout

    summary = scaleout.run(scaleout.Config(endpoints=[scaleout.Endpoint(uri="wss://example.org/feed")]))

`run` blocks and handles signals; `await serve(config)` runs in a loop of yours. `load` reads a configuration
file. Processors name `Context` in their signature and raise `Reject`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import scaleout.compiled  # noqa: F401 (before what may be compiled)
from scaleout.config import (
    TLS,
    Backoff,
    Config,
    Cursor,
    Endpoint,
    Heartbeat,
    Host,
    InvalidShare,
    Quarantine,
    Rate,
    Ready,
    Reply,
)
from scaleout.context import Context
from scaleout.errors import (
    ChannelError,
    ConfigError,
    ControlError,
    Fault,
    IllegalTransitionError,
    MissingExtraError,
    NoRunError,
    ProcessorError,
    Reject,
    ScaleoutError,
    SendError,
    SimulatorError,
    SinkClosedError,
    SinkError,
    WorkerError,
)

if TYPE_CHECKING:
    from scaleout.control.client import Control
    from scaleout.core.sequence import Gap
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
    "Control",
    "ControlError",
    "Cursor",
    "Endpoint",
    "Fault",
    "Gap",
    "Heartbeat",
    "Host",
    "IllegalTransitionError",
    "InvalidShare",
    "MissingExtraError",
    "NoRunError",
    "ProcessorError",
    "Quarantine",
    "Rate",
    "Ready",
    "Reject",
    "Reply",
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

_ON_DEMAND = {
    "Control": "scaleout.control.client",
    "Gap": "scaleout.core.sequence",
    "Summary": "scaleout.supervisor.status",
    "load": "scaleout.loading",
    "run": "scaleout.runner",
    "serve": "scaleout.runner",
}
"""Imported when first asked for: workers, which import this package too, start faster without."""


def __getattr__(name: str) -> object:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_ON_DEMAND[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
