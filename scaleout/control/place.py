"""Where a control socket may be."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

MAX_PATH_BYTES = 107 if sys.platform == "linux" else 103
"""What the system's address of a Unix socket has room for."""


def length_problem(path: str) -> str | None:
    """What is wrong with the length of a socket's path, in one line; None if nothing is."""
    size = len(os.fsencode(path))
    if size <= MAX_PATH_BYTES:
        return None
    return f"a socket's path has at most {MAX_PATH_BYTES} bytes, this one has {size}: choose a shorter one"


def problem_of(path: str) -> str | None:
    """What is wrong with a path that a socket is to be made at, in one line; None if nothing is."""
    problem = length_problem(path)
    if problem is not None:
        return problem
    try:
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            return f"{path} is there already, and isn't a socket: choose another path, or remove it"
    except FileNotFoundError:
        if not Path(path).parent.is_dir():
            return f"there is no directory {Path(path).parent}"
    except OSError as exc:
        return f"{path}: {exc.strerror or exc}"
    return None
