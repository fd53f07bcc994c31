"""Files that their owner alone may read: made anew, or replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO


def create(path: Path) -> BinaryIO:
    """Open a new file for writing.

    Raises:
        FileExistsError: there is one already.
        OSError: it can't be made.
    """
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def replace(path: Path, content: bytes) -> None:
    """Put a file in the place of the one that is there, if any: whole or not at all.

    Raises:
        OSError: it can't be written.
    """
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        with create(part) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
