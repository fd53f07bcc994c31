"""Which modules are compiled where that was possible at installation, and how to do without: `SCALEOUT_PURE=1`.

Each of them is a Python file that runs as it is. A file of C types lies beside it (`.pxd`), with which Cython makes
an extension module of the same name; Python prefers that one where it finds both. They know each other's C types:
where one isn't compiled the others can't be, either, and the sources stand for all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

MODULES = (
    "scaleout.core.frames",
    "scaleout.core.headers",
    "scaleout.core.inflate",
    "scaleout.core.plain",
    "scaleout.core.runs",
    "scaleout.core.skipping",
    "scaleout.core.sure",
    "scaleout.worker.encoding",
    "scaleout.worker.envelopes",
    "scaleout.worker.lane",
    "scaleout.worker.polling",
    "scaleout.worker.reading",
    "scaleout.worker.tray",
)
VARIABLE = "SCALEOUT_PURE"
_PACKAGE = Path(__file__).parent


def _source_of(module: str) -> Path:
    return _PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")


def _is_compiled(module: str) -> bool:
    source = _source_of(module)
    return any(source.with_suffix(suffix).exists() for suffix in EXTENSION_SUFFIXES)


class _Sources(MetaPathFinder):
    """Finds the source of a module that may be compiled."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in MODULES:
            return None
        return spec_from_file_location(fullname, _source_of(fullname))


IS_PURE = os.environ.get(VARIABLE, "0") not in ("", "0")
"""Whether the environment wants the sources alone."""
ARE_COMPILED = not IS_PURE and all(map(_is_compiled, MODULES))
"""Whether the modules are used as extension modules: all of them, or none."""

if not ARE_COMPILED:  # the package imports this file before any of them
    sys.meta_path.insert(0, _Sources())
