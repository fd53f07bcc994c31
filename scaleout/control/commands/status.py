"""`status`: a live run as it is, once or again and again."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator

import msgspec

from scaleout import exits, streams
from scaleout.arguments import number
from scaleout.control.client import Control
from scaleout.control.commands.common import add_common, control_of, show
from scaleout.control.commands.screen import screen
from scaleout.control.text import screen_text, status_line, status_text, totals_text
from scaleout.control.views import Status

EVERY_S = 1.0
SHORTEST_S = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell a parser what `status` takes."""
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_interval,
        const=EVERY_S,
        metavar="SECONDS",
        help="again and again, until the run ends or Ctrl-C (default: every second)",
    )
    add_common(parser, "as one JSON object; with --watch one a line")


def _interval(text: str) -> float:
    seconds = number(text)
    if not SHORTEST_S <= seconds <= 86400:
        raise argparse.ArgumentTypeError(
            f"expected {SHORTEST_S:g} seconds or more, up to a day, found {text}"
        )
    return seconds


def run(namespace: argparse.Namespace) -> int:
    """Print the status."""
    control = control_of(namespace)
    if namespace.watch is not None:
        return _watch(control, namespace.watch, namespace.json)
    status = control.status()
    return show(_json(status) if namespace.json else status_text(status, time.time()))


def _json(status: Status) -> str:
    return msgspec.json.encode(status).decode()


def _watch(control: Control, interval_s: float, as_json: bool) -> int:
    """Print the status until the run ends, or until somebody has seen enough."""
    last, has_ended = None, False
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError), _painter(as_json) as paint:
        for last in control.watch(interval_s):
            paint(last)
        has_ended = True
    if has_ended:
        said = "" if last is None else f"; at the last look: {totals_text(last.totals)}"
        streams.tell(f"the run has ended{said}")
    return exits.OK


@contextlib.contextmanager
def _painter(as_json: bool) -> Iterator[Callable[[Status], None]]:
    """How a status is shown: as an object, on the whole screen, or as a line where there is no screen."""
    if as_json or not sys.stdout.isatty():
        write = _json if as_json else status_line
        yield lambda status: streams.show(write(status), sys.stdout)
        return
    with screen(sys.stdout) as paint:
        yield lambda status: paint(screen_text(status, time.time()))
