"""`move`, `rebalance` and `scale`: what the workers of a live run have, and how many there are."""

from __future__ import annotations

import argparse

from scaleout import exits
from scaleout.arguments import at_least
from scaleout.control.commands.common import add_common, control_of, tell
from scaleout.control.text import move_text
from scaleout.monitor.text import plural


def add_arguments_of_move(parser: argparse.ArgumentParser) -> None:
    """Tell a parser what `move` takes."""
    parser.add_argument("endpoint", metavar="ENDPOINT", help="its name")
    parser.add_argument(
        "worker", type=at_least(0), metavar="WORKER_ID", help="the worker that is to have it, as in `status`"
    )
    add_common(parser)


def add_arguments_of_scale(parser: argparse.ArgumentParser) -> None:
    """Tell a parser what `scale` takes."""
    parser.add_argument("workers", type=at_least(1), metavar="N", help="how many workers there are to be")
    add_common(parser)


def move(namespace: argparse.Namespace) -> int:
    """Move an endpoint, and wait until it is there."""
    done = control_of(namespace).move(namespace.endpoint, namespace.worker)
    return tell(namespace, {"moved": done}, move_text(done))


def rebalance(namespace: argparse.Namespace) -> int:
    """Balance the workers, and wait until that is done."""
    moves = control_of(namespace).rebalance()
    tell(namespace, {"moves": moves}, "\n".join(map(move_text, moves)) or "nothing to move")
    return exits.FAILED if any(move.problem is not None for move in moves) else exits.OK


def scale(namespace: argparse.Namespace) -> int:
    """Have so many workers, and wait until they are there."""
    workers = control_of(namespace).scale(namespace.workers)
    text = f"{plural(len(workers), 'worker')}: {', '.join(map(str, workers))}"
    return tell(namespace, {"workers": workers}, text)
