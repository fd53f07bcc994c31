"""`add`, `remove`, `pause` and `resume`: endpoints of a live run come, go and rest."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from scaleout.control.commands.common import add_common, control_of, tell, usage
from scaleout.loading import endpoints_from_file, endpoints_from_toml


def add_arguments_of_add(parser: argparse.ArgumentParser) -> None:
    """Tell a parser what `add` takes."""
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="TOML or JSON: [[endpoints]] and [defaults], or the keys of one endpoint",
    )
    parser.add_argument("--toml", metavar="TEXT", help="the same as a text")
    add_common(parser)


def add(namespace: argparse.Namespace) -> int:
    """Check endpoints, and add them."""
    if (namespace.file is None) == (namespace.toml is None):
        raise usage("which endpoints? give a FILE, or --toml TEXT")
    source = "--toml" if namespace.file is None else namespace.file
    if namespace.file is None:
        config = endpoints_from_toml(namespace.toml, source)
    else:
        config = endpoints_from_file(namespace.file)
    added = control_of(namespace).add(*config.endpoints, secrets=config.secrets, source=source)
    return _tell(namespace, "added", added)


def add_names(parser: argparse.ArgumentParser) -> None:
    """Tell a parser that names of endpoints are taken."""
    parser.add_argument("endpoints", nargs="+", metavar="ENDPOINT", help="names")
    add_common(parser)


def remove(namespace: argparse.Namespace) -> int:
    """Remove endpoints."""
    return _tell(namespace, "removed", control_of(namespace).remove(*namespace.endpoints))


def pause(namespace: argparse.Namespace) -> int:
    """Pause endpoints."""
    return _tell(namespace, "paused", control_of(namespace).pause(*namespace.endpoints))


def add_arguments_of_resume(parser: argparse.ArgumentParser) -> None:
    """Tell a parser what `resume` takes."""
    parser.add_argument(
        "endpoints",
        nargs="*",
        metavar="ENDPOINT",
        help="names (default: all that are paused, quarantined, or wait between two attempts)",
    )
    add_common(parser)


def resume(namespace: argparse.Namespace) -> int:
    """Let endpoints connect at once."""
    return _tell(
        namespace, "resumed", control_of(namespace).resume(*namespace.endpoints), "nothing to resume"
    )


def _tell(namespace: argparse.Namespace, done: str, names: Sequence[str], nothing: str = "nothing") -> int:
    return tell(namespace, {done: names}, f"{done}: {', '.join(names)}" if names else nothing)
