"""Which letters a command line means."""

from __future__ import annotations

import argparse
import datetime
import time

from scaleout import loading
from scaleout.deadletters.letters import Selection, Status
from scaleout.deadletters.store import Store
from scaleout.errors import ConfigError, Fault
from scaleout.units import parse_duration

ANY = "any"
"""In place of a status."""


def usage(key: str, problem: str) -> ConfigError:
    """Bad usage, to be raised."""
    return ConfigError([Fault(loading.COMMAND_LINE, key, problem)])


def choose(namespace: argparse.Namespace, store: Store) -> Selection:
    """The letters that the arguments mean: dead ones, unless ids or a status say otherwise.

    Raises:
        ConfigError: a letter that they name isn't there.
    """
    ids = tuple(dict.fromkeys(getattr(namespace, "ids", ())))
    status = getattr(namespace, "status", None)
    statuses: tuple[Status, ...] = (Status.DEAD,)
    if status == ANY or (status is None and ids):
        statuses = ()
    elif status is not None:
        statuses = (Status(status),)
    if ids:
        _check_there(store, ids)
    return _selection(namespace, ids, statuses)


def choose_dead(namespace: argparse.Namespace, store: Store) -> Selection:
    """The dead letters to do something about.

    Raises:
        ConfigError: a letter that they name isn't there, or isn't dead any more; or nothing says which ones.
    """
    ids = tuple(dict.fromkeys(namespace.ids))
    if ids:
        for number, status in _check_there(store, ids).items():
            if status is not Status.DEAD:
                raise usage(str(number), f"this letter is {status.value} already")
    selection = _selection(namespace, ids, (Status.DEAD,))
    if selection == Selection() and not namespace.all:
        filters = "--endpoint, --stage, --reason or --since"
        raise usage("", f"which letters? give their ids, or {filters}, or --all for all of them")
    return selection


def _check_there(store: Store, ids: tuple[int, ...]) -> dict[int, Status]:
    found = store.statuses(ids)
    missing = [str(number) for number in ids if number not in found]
    if missing:
        problem = f"{store.path} has no such letter: it never was, or has left for lack of room"
        raise usage(missing[0], problem)
    return found


def _selection(
    namespace: argparse.Namespace, ids: tuple[int, ...], statuses: tuple[Status, ...]
) -> Selection:
    return Selection(
        ids=ids,
        endpoints=tuple(getattr(namespace, "endpoint", None) or ()),
        stages=tuple(getattr(namespace, "stage", None) or ()),
        reason=getattr(namespace, "reason", None),
        since_ns=getattr(namespace, "since", None),
        statuses=statuses,
    )


def letter_id(text: str) -> int:
    """Read a letter's id.

    Raises:
        ArgumentTypeError: it isn't one.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise argparse.ArgumentTypeError(f"expected the number of a letter, found {text!r}")
    return int(text)


def since(text: str) -> int:
    """Read how long ago, or a time, as a Unix time in ns.

    Raises:
        ArgumentTypeError: it is neither.
    """
    try:
        return time.time_ns() - round(parse_duration(text) * 1e9)
    except (ValueError, OverflowError):
        pass
    try:
        return round(datetime.datetime.fromisoformat(text).timestamp() * 1e9)
    except (ValueError, OverflowError):
        expected = "expected how long ago, such as 2h, or a time such as 2026-01-31T12:00"
        raise argparse.ArgumentTypeError(f"{expected}, found {text!r}") from None
