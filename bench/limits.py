"""Limits that the system sets to a process."""

from __future__ import annotations

import contextlib
import resource


def raise_file_limit() -> None:
    """Allow as many open files as may be had, for this process and its children: a connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Where the system says that there is no limit, it may still refuse to do without one.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
