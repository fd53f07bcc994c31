"""What a module must have to be a case of its own: it measures what isn't a comparison of sides on one feed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from bench.report import Origin


class Table(Protocol):
    """A module whose result file can be shown as a table."""

    @property
    def NAME(self) -> str:
        """What it is called on the command line; its result file is `NAME.json`."""
        ...

    @property
    def Report(self) -> type[Origin]:
        """What is in the result file."""
        ...

    def markdown(self, result: Any, /) -> str:
        """A `Report` as a table with a few lines around it."""
        ...


class Case(Table, Protocol):
    """A module that measures something; `bench.__main__` lists them."""

    def run(self, rounds: int, seconds: float, directory: Path, progress: Callable[[str], None], /) -> Path:
        """Measure, print a Markdown table, and write the result file.

        Args:
            rounds: how often everything is repeated.
            seconds: how long to measure each thing in each round; short where only a look is wanted.
            directory: where the result file goes.
            progress: called with a line after each round.

        Returns:
            Where the result file is.

        Raises:
            BenchError: something could not be measured.
        """
        ...
