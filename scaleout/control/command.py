"""The commands to a live run: `python -m scaleout status | resume | send | streams`."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time

import msgspec

from scaleout import exits, streams
from scaleout.control.client import Control
from scaleout.control.text import status_text
from scaleout.errors import ConfigError, Fault


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--control", metavar="PATH", required=True, help="the socket of the run")
    parser.add_argument("--json", action="store_true", help="as one JSON object")


def _tell(namespace: argparse.Namespace, result: dict[str, object], text: str) -> int:
    """Print what was done: for programs, or for people."""
    if namespace.json:
        return _print(msgspec.json.encode(result).decode())
    streams.tell(text)
    return exits.OK


def _print(text: str) -> int:
    with contextlib.suppress(BrokenPipeError):  # `| head` has seen enough
        streams.show(text, sys.stdout)
    return exits.OK


# status


def add_status(parser: argparse.ArgumentParser) -> None:
    """Tell a parser what `status` takes."""
    _add_common(parser)


def show_status(namespace: argparse.Namespace) -> int:
    """Print the status."""
    status = Control(namespace.control).status()
    if namespace.json:
        return _print(msgspec.json.encode(status).decode())
    return _print(status_text(status, time.time()))


# resume


def add_resume(parser: argparse.ArgumentParser) -> None:
    """Tell a parser what `resume` takes."""
    parser.add_argument(
        "endpoints",
        nargs="*",
        metavar="ENDPOINT",
        help="names (default: all that are quarantined or wait between two attempts)",
    )
    _add_common(parser)


def resume(namespace: argparse.Namespace) -> int:
    """Let endpoints connect at once."""
    resumed = Control(namespace.control).resume(*namespace.endpoints)
    text = f"resumed: {', '.join(resumed)}" if resumed else "nothing to resume"
    return _tell(namespace, {"resumed": resumed}, text)


# send


def add_send(parser: argparse.ArgumentParser) -> None:
    """Tell a parser what `send` takes."""
    parser.add_argument("endpoint", metavar="ENDPOINT", help="its name")
    parser.add_argument(
        "text", metavar="TEXT", help="the message; one that begins with a dash comes after --"
    )
    _add_common(parser)


def send(namespace: argparse.Namespace) -> int:
    """Send a text."""
    Control(namespace.control).send(namespace.endpoint, namespace.text)
    return _tell(namespace, {"sent": namespace.endpoint}, f"sent to {namespace.endpoint}")


# streams


def add_streams(parser: argparse.ArgumentParser) -> None:
    """Tell a parser what `streams` takes."""
    parser.add_argument("endpoint", metavar="ENDPOINT", help="its name")
    for option, what in (("--add", "to add"), ("--remove", "to take away")):
        parser.add_argument(
            option,
            type=_names,
            action="extend",
            default=[],
            metavar="STREAM,STREAM",
            help=f"streams {what}; repeatable",
        )
    _add_common(parser)


def _names(text: str) -> list[str]:
    return [name for each in text.split(",") if (name := each.strip())]


def change_streams(namespace: argparse.Namespace) -> int:
    """Add streams, and take others away."""
    add, remove = namespace.add, namespace.remove
    if not add and not remove:
        raise ConfigError([Fault("command line", "", "which streams? give --add, or --remove, or both")])
    Control(namespace.control).change_streams(namespace.endpoint, add, remove)
    changes = [f"{what} {', '.join(names)}" for what, names in (("added", add), ("removed", remove)) if names]
    result = {"endpoint": namespace.endpoint, "added": add, "removed": remove}
    return _tell(namespace, result, f"{namespace.endpoint}: {'; '.join(changes)}")
