"""The run's control socket as a file: private, never two of them, and gone at the end."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from scaleout.control.place import problem_of
from scaleout.errors import ConfigError, Fault

PROBE_S = 1.0
"""How long somebody who listens already may take to let this process in."""


@contextlib.contextmanager
def listening(path: str | None) -> Iterator[socket.socket | None]:
    """A private socket that listens at a path, and is removed at the end; None without a path.

    Raises:
        ConfigError: it can't be there, or another run has its socket there.
    """
    if path is None:
        yield None
        return
    problem = problem_of(path)
    if problem is not None:
        raise _fault(problem)
    try:
        listener = _listen(path)
        mark = _mark_of(path)
    except OSError as exc:
        raise _fault(f"can't listen at {path}: {exc.strerror or exc}") from exc
    try:
        yield listener
    finally:
        listener.close()
        with contextlib.suppress(OSError):
            if _mark_of(path) == mark:
                Path(path).unlink()


def _fault(problem: str) -> ConfigError:
    return ConfigError([Fault("", "control", problem)])


def _mark_of(path: str) -> tuple[int, int]:
    status = Path(path).lstat()
    return status.st_dev, status.st_ino


def _listen(path: str) -> socket.socket:
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.setblocking(False)
        _bind_privately(listener, path)
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: str) -> None:
    """Remove the socket of a run that is gone.

    Raises:
        ConfigError: somebody listens, or that can't be found out.
    """
    try:
        mark = _mark_of(path)
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_S)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            if _mark_of(path) == mark:
                Path(path).unlink()
            return
        except PermissionError:
            raise _fault(f"{path} is the socket of another user's run") from None
        except FileNotFoundError:
            return
        except OSError:  # its queue is full, or it takes its time: somebody is there
            pass
    raise _fault(f"another run listens at {path}: choose another path, or end that run")


def _bind_privately(listener: socket.socket, path: str) -> None:
    """Bind so that nobody else can connect, not for a moment."""
    try:
        os.fchmod(listener.fileno(), 0o600)  # Linux gives the file the mode of the socket
        listener.bind(path)
    except OSError as exc:
        if exc.errno != errno.EINVAL:
            raise
        before = os.umask(0o177)  # of the whole process, which elsewhere is the only way
        try:
            listener.bind(path)
        finally:
            os.umask(before)
    Path(path).chmod(0o600)
