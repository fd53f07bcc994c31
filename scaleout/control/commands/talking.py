"""`send` and `streams`: what is said on the connections of a live run."""

from __future__ import annotations

import argparse

from scaleout.control.commands.common import add_common, control_of, tell, usage


def add_arguments_of_send(parser: argparse.ArgumentParser) -> None:
    """Tell a parser what `send` takes."""
    parser.add_argument("endpoint", metavar="ENDPOINT", help="its name")
    parser.add_argument(
        "text", metavar="TEXT", help="the message; one that begins with a dash comes after --"
    )
    add_common(parser)


def send(namespace: argparse.Namespace) -> int:
    """Send a text."""
    control_of(namespace).send(namespace.endpoint, namespace.text)
    return tell(namespace, {"sent": namespace.endpoint}, f"sent to {namespace.endpoint}")


def add_arguments_of_streams(parser: argparse.ArgumentParser) -> None:
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
    add_common(parser)


def _names(text: str) -> list[str]:
    return [name for each in text.split(",") if (name := each.strip())]


def change_streams(namespace: argparse.Namespace) -> int:
    """Add streams, and take others away."""
    add, remove = namespace.add, namespace.remove
    if not add and not remove:
        raise usage("which streams? give --add, or --remove, or both")
    control_of(namespace).change_streams(namespace.endpoint, add, remove)
    changes = [f"{what} {', '.join(names)}" for what, names in (("added", add), ("removed", remove)) if names]
    result = {"endpoint": namespace.endpoint, "added": add, "removed": remove}
    return tell(namespace, result, f"{namespace.endpoint}: {'; '.join(changes)}")
