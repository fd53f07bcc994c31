"""One question and one answer through a run's control socket, and why there is none."""

from __future__ import annotations

import contextlib
import socket
import stat
import time
from pathlib import Path

from scaleout.control.place import length_problem
from scaleout.errors import ControlError, NoRunError

MAX_REPLY_BYTES = 256 * 2**20
_READ_BYTES = 2**16
_BEGINS_WITHIN_S = 0.2
"""A run that begins has its socket there a moment before it listens."""
_AGAIN_S = 0.01


def exchange(path: str, line: bytes, timeout_s: float | None) -> bytes:
    """Send a line, and read one.

    Args:
        path: of the socket.
        line: the question, with its end.
        timeout_s: how long all of that may take; None: as long as it takes.

    Raises:
        NoRunError: there is no run, or it ended before it answered.
        ControlError: the socket can't be used, or what comes is no answer.
    """
    _look(path)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        try:
            _connect(connection, path, deadline)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may have said why
                connection.sendall(line)
            return _read_line(connection, path, deadline)
        except TimeoutError as exc:
            raise ControlError(f"no answer at {path} within {timeout_s:g} s") from exc
        except ConnectionRefusedError as exc:
            raise NoRunError(f"nobody listens at {path}: its run has ended") from exc
        except PermissionError as exc:
            raise ControlError(f"{path} can be used by the user of its run alone") from exc
        except FileNotFoundError as exc:
            raise _no_socket(path) from exc
        except OSError as exc:
            raise ControlError(f"{path} can't be used: {exc.strerror or exc}") from exc


def garbage(path: str) -> ControlError:
    """What to say of an answer that is none."""
    return ControlError(f"what listens at {path} doesn't answer as a run of this version of scaleout does")


def _no_socket(path: str) -> NoRunError:
    return NoRunError(f"there is no {path}: no run has its control socket there")


def _look(path: str) -> None:
    """See that there is a socket: connecting to other files fails with the error of a run that is gone."""
    problem = length_problem(path)
    if problem is not None:
        raise ControlError(problem)
    try:
        is_socket = stat.S_ISSOCK(Path(path).stat().st_mode)
    except FileNotFoundError as exc:
        raise _no_socket(path) from exc
    except (OSError, ValueError) as exc:
        raise ControlError(f"{path} can't be used: {getattr(exc, 'strerror', None) or exc}") from exc
    if not is_socket:
        raise ControlError(f"{path} isn't a socket")


def _connect(connection: socket.socket, path: str, deadline: float | None) -> None:
    until = time.monotonic() + _BEGINS_WITHIN_S
    if deadline is not None:
        until = min(until, deadline)
    while True:
        try:
            connection.connect(path)
        except ConnectionRefusedError:
            if time.monotonic() >= until:
                raise
            time.sleep(_AGAIN_S)
        else:
            return


def _read_line(connection: socket.socket, path: str, deadline: float | None) -> bytes:
    received = bytearray()
    while True:
        if deadline is not None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            connection.settimeout(left_s)
        try:
            part = connection.recv(_READ_BYTES)
        except ConnectionResetError:
            part = b""
        end = part.find(b"\n")
        received += part if end < 0 else part[:end]
        if end >= 0:
            return bytes(received)
        if not part:
            if received:
                raise garbage(path)
            raise NoRunError(f"the run at {path} ended before it answered")
        if len(received) > MAX_REPLY_BYTES:
            raise garbage(path)
