"""The standard streams: taken care of where the caller closed them, where nobody reads, and in workers."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

STDOUT, STDERR = 1, 2


def fill_gaps() -> None:
    """Put /dev/null where a standard stream was closed before the start.

    Otherwise the next file or socket takes its number: the event loop refuses to close that, and what is printed
    by mistake ends up in it.
    """
    null = os.open(os.devnull, os.O_RDWR)
    while null <= STDERR:  # the lowest free number is always the one that is given
        os.set_inheritable(null, True)
        null = os.open(os.devnull, os.O_RDWR)
    os.close(null)
    if sys.stderr is None:  # `print(file=None)` would print to standard output
        sys.stderr = open(STDERR, "w", closefd=False)  # noqa: SIM115  # for as long as the process lives


def let_go() -> None:
    """Flush what was printed; what can't be written must not fail again when the process ends, as exit code 120."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except OSError:
                _discard(stream)


def tell(text: str) -> None:
    """Print for people, on standard error; what nobody can read any more is no reason to fail."""
    with contextlib.suppress(OSError):
        show(text, sys.stderr)


def show(text: str, out: TextIO) -> None:
    """Print and flush.

    Raises:
        OSError: it can't be written.
    """
    print(text, file=out, flush=True)


def _discard(out: TextIO) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, out.fileno())
    os.close(null)


def leave_stdout_to_sinks() -> None:
    """Let what this process and its children print go to standard error; sink data alone goes to the other."""
    fill_gaps()
    os.dup2(STDERR, STDOUT)
