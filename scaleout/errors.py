"""One tree of exceptions. Every message says what happened, where, and what the user can do.

ScaleoutError
├── ConfigError           bad configuration or command line: a list of faults, exit code 2
├── ProcessorError        a processor that can't be imported or whose signature can't be read
├── MissingExtraError     an optional dependency isn't installed
├── ChannelError          the pipe between supervisor and worker carried something unreadable
├── WorkerError           a worker can't be started, or keeps dying before it is ready
├── SinkError             a sink didn't take the data; the write is kept and retried
│   └── SinkClosedError   the reader of the sink has gone for good (`| head`)
├── SendError             an outgoing message can't be sent on its connection
├── ControlError          a live run can't be reached through its control socket, or refuses what is asked
│   └── NoRunError        there is no run at the control socket, or it has ended
├── IllegalTransitionError  a state machine was asked for a step that its table doesn't have
├── SimulatorError        a process of the simulator couldn't start, or has died
└── Reject                raised by processors: this message goes to the dead letters
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class ScaleoutError(Exception):
    """Base class of all errors of this package."""


class Fault(msgspec.Struct, frozen=True):
    """One fault of a configuration: where it is, what was expected and what was found."""

    source: str
    """The file, or `command line`, or `Config` for a configuration made in Python."""
    key: str
    """The key's path, such as `endpoints[2].backoff.factor`; empty for the file as a whole."""
    problem: str
    """What was expected and what was found, in one line."""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.source, self.key, self.problem) if part)


class ConfigError(ScaleoutError):
    """The configuration can't be used.

    Attributes:
        faults: everything that is wrong with it, each printable as one line.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class ProcessorError(ScaleoutError):
    """A processor can't be imported, or its signature can't be read."""


class MissingExtraError(ScaleoutError):
    """An optional dependency isn't installed.

    Args:
        feature: what needs it, as the subject of a sentence.
        extra: the name of the extra that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional dependency: pip install 'scaleout[{extra}]'")


class ChannelError(ScaleoutError):
    """The pipe between the supervisor and a worker carried something that can't be read."""


class WorkerError(ScaleoutError):
    """A worker can't be started, or keeps dying before it is ready."""


class SinkError(ScaleoutError):
    """A sink didn't take the data: nothing is lost, the write is kept and retried."""


class SinkClosedError(SinkError):
    """The reader of the sink has gone for good, so that the run has nobody left to write for."""


class SendError(ScaleoutError):
    """An outgoing message can't be sent on its connection."""


class ControlError(ScaleoutError):
    """A live run can't be reached through its control socket, or refuses what is asked."""


class MoveError(ScaleoutError):
    """An endpoint can't be moved to another worker: it stays where it was, and nothing is lost."""


class NoRunError(ControlError):
    """There is no run at the control socket, or it has ended."""


class IllegalTransitionError(ScaleoutError):
    """A state machine was asked for a step that its table doesn't have."""


class SimulatorError(ScaleoutError):
    """A process of the simulator couldn't start, or has died."""


class Reject(ScaleoutError):
    """Raised by a processor to send the message to the dead letters: `raise Reject("why")`."""
