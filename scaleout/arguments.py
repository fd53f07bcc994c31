"""What several commands' arguments share: numbers, and the option that leaves the envelope out."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def whole_number(text: str) -> int:
    """Read a whole number.

    Raises:
        ArgumentTypeError: it isn't one.
    """
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, found {text!r}") from None


def at_least(least: int) -> Callable[[str], int]:
    """What reads a whole number that is not too small.

    Raises:
        ArgumentTypeError: it isn't one, or less than that.
    """

    def read(text: str) -> int:
        found = whole_number(text)
        if found < least:
            raise argparse.ArgumentTypeError(f"expected a whole number, {least} or more, found {found}")
        return found

    return read


def number_or_auto(text: str) -> int | str:
    """Read a whole number, or `auto`.

    Raises:
        ArgumentTypeError: it is neither.
    """
    return text if text == "auto" else whole_number(text)


def number(text: str) -> float:
    """Read a finite number.

    Raises:
        ArgumentTypeError: it isn't one.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a number, found {text!r}")
    return value


def add_no_envelope(parser: argparse.ArgumentParser) -> None:
    """Tell a parser of `--no-envelope`; without it `envelope` is None."""
    parser.add_argument(
        "--no-envelope",
        dest="envelope",
        action="store_false",
        default=None,
        help="write results alone, without endpoint and receive time",
    )
