"""What the commands to a live run share: where it is, and how the outcome is told."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Mapping

import msgspec

from scaleout import exits, streams
from scaleout.control.client import Control
from scaleout.errors import ConfigError, Fault
from scaleout.loading import COMMAND_LINE


def add_common(parser: argparse.ArgumentParser, json_help: str = "as one JSON object") -> None:
    """Tell a parser what all of them take."""
    parser.add_argument("--control", metavar="PATH", required=True, help="the socket of the run")
    parser.add_argument("--json", action="store_true", help=json_help)


def control_of(namespace: argparse.Namespace) -> Control:
    """The run that is meant."""
    return Control(namespace.control)


def usage(problem: str, key: str = "") -> ConfigError:
    """What to say of arguments that make no sense."""
    return ConfigError([Fault(COMMAND_LINE, key, problem)])


def tell(namespace: argparse.Namespace, result: Mapping[str, object], text: str) -> int:
    """Print what was done: for programs, or for people."""
    if namespace.json:
        return show(msgspec.json.encode(result).decode())
    streams.tell(text)
    return exits.OK


def show(text: str) -> int:
    """Print what was asked for."""
    with contextlib.suppress(BrokenPipeError):  # `| head` has seen enough
        streams.show(text, sys.stdout)
    return exits.OK
