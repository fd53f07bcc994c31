"""`python -m scaleout deadletters`: what people do with dead letters."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from scaleout import exits, privatefiles, streams
from scaleout.deadletters import records, text
from scaleout.deadletters.choosing import choose, choose_dead, usage
from scaleout.deadletters.letters import Letter, Selection, Status
from scaleout.deadletters.store import Store
from scaleout.errors import SinkError
from scaleout.monitor.text import plural

WATCH_S = 0.5
"""How often `--watch` looks for letters: another process' writing wakes nobody."""
FIRST_LETTERS = 200
"""They set the widths of the table's columns, so that a long one, and one that grows, is printed as it comes."""

Action = Callable[[argparse.Namespace, Store], int]


def run(namespace: argparse.Namespace) -> int:
    """Do what the arguments say.

    Returns:
        The exit code: 0, or 1 where something failed or, after a retry, letters are dead still.

    Raises:
        ConfigError: bad usage, no such letters, or a file that isn't a store.
    """
    action: Action = namespace.action
    try:
        store = Store(Path(namespace.dead_letters))
    except SinkError as exc:
        raise usage("--dead-letters", str(exc)) from exc
    try:
        return action(namespace, store)
    except BrokenPipeError:  # `| head` has seen enough
        return exits.OK
    except SinkError as exc:
        streams.tell(f"scaleout: {exc}")
        return exits.FAILED
    finally:
        with contextlib.suppress(SinkError):
            store.close()


# list, show, stats


def list_letters(namespace: argparse.Namespace, store: Store) -> int:
    """Print the letters, oldest first, and with `--watch` those that come."""
    selection = choose(namespace, store)
    payload_bytes = None if namespace.json else text.EXCERPT_BYTES
    letters = store.letters(selection, payload_bytes=payload_bytes)
    first = list(islice(letters, FIRST_LETTERS))
    if namespace.watch:
        letters = _follow(store, selection, first[-1].id if first else 0, payload_bytes)
    elif not first and not namespace.json:
        streams.tell("no dead letters" if selection == Selection() else "no such letters")
        return exits.OK
    with contextlib.suppress(KeyboardInterrupt) if namespace.watch else contextlib.nullcontext():
        if namespace.json:
            for letter in chain(first, letters):
                _write(records.json_line(records.record_of(letter)), flush=namespace.watch)
        else:
            _print_table(first, letters, selection, namespace.watch)
    sys.stdout.flush()
    return exits.OK


def _print_table(first: list[Letter], letters: Iterator[Letter], selection: Selection, watch: bool) -> None:
    width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100
    with_status = selection.statuses != (Status.DEAD,)
    table = text.Table(first, width, with_status=with_status, is_open=watch)
    print(table.header, flush=watch)
    for letter in chain(first, letters):
        print(table.line(letter), flush=watch)


def _follow(store: Store, selection: Selection, after: int, payload_bytes: int | None) -> Iterator[Letter]:
    """The letters that come from now on, for ever."""
    while True:
        for letter in store.letters(selection, after=after, payload_bytes=payload_bytes):
            after = letter.id
            yield letter
        time.sleep(WATCH_S)


def show(namespace: argparse.Namespace, store: Store) -> int:
    """Print all about some letters."""
    pages = (text.page_of(letter) for letter in store.letters(choose(namespace, store)))
    for number, page in enumerate(pages):
        print(f"\n{page}" if number else page)
    sys.stdout.flush()
    return exits.OK


def stats(namespace: argparse.Namespace, store: Store) -> int:
    """Print counts."""
    groups = store.groups(choose(namespace, store))
    totals, by_status = store.totals(), store.by_status()
    if namespace.json:
        _write(records.json_line(records.counts_record(groups, totals, by_status)))
    else:
        print(text.counts_of(groups, totals, by_status))
    sys.stdout.flush()
    return exits.OK


def _write(line: bytes, flush: bool = False) -> None:
    sys.stdout.buffer.write(line)
    if flush:
        sys.stdout.buffer.flush()


# export, discard


def export(namespace: argparse.Namespace, store: Store) -> int:
    """Write the letters as NDJSON."""
    selection = choose_dead(namespace, store) if namespace.status is None else choose(namespace, store)
    if namespace.output is None:
        for letter in store.letters(selection):
            _write(records.json_line(records.record_of(letter)))
        sys.stdout.buffer.flush()
        return exits.OK
    path = Path(namespace.output)
    written = 0
    with _new_file(path) as file:
        for letter in store.letters(selection):
            file.write(records.json_line(records.record_of(letter)))
            written += 1
    streams.tell(f"{plural(written, 'letter')} exported to {path}")
    return exits.OK


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A private file that is there in the end as a whole or not at all; or a FIFO or device that is there.

    Raises:
        ConfigError: there is such a file already.
        OSError: it can't be written.
    """
    try:
        file, is_new = privatefiles.create(path), True
    except FileExistsError:
        if stat.S_ISREG(path.stat().st_mode):
            raise usage("--output", f"{path} exists already: name another file, or remove it") from None
        file, is_new = path.open("wb"), False
    try:
        with file:
            yield file
    except BaseException:
        if is_new:
            path.unlink(missing_ok=True)
        raise


def discard(namespace: argparse.Namespace, store: Store) -> int:
    """Mark letters as discarded."""
    count = store.discard(choose_dead(namespace, store), time.time_ns())
    streams.tell(f"{plural(count, 'letter')} discarded")
    return exits.OK
