"""`python -m scaleout deadletters retry`: in a live run or in place, and what people are told of it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from scaleout import exits, loading, streams
from scaleout.config import Config
from scaleout.control.client import Control
from scaleout.deadletters.choosing import choose_dead, usage
from scaleout.deadletters.editing import edit
from scaleout.deadletters.inplace import InPlace, retriers
from scaleout.deadletters.letters import Letter
from scaleout.deadletters.live import InLiveRun
from scaleout.deadletters.retrying import Edit, Retrying
from scaleout.deadletters.store import Store
from scaleout.monitor.text import plural, printable

MOST_TOLD = 20
"""Letters that a retry names one by one."""


def retry(namespace: argparse.Namespace, store: Store) -> int:
    """Retry letters, in place or in a live run, and say what has become of them."""
    selection = choose_dead(namespace, store)
    telling = _Telling()
    change = edit if namespace.edit else None
    if namespace.control is not None:
        retrying = _in_live_run(namespace, store, telling, change)
    else:
        retrying = _in_place(namespace, store, store.endpoints(selection), telling, change)
    try:
        retrying.retry(selection)
    finally:
        telling.finish()
        counts = retrying.counts
        left = f"; {counts.left:,} left as they were" if counts.left else ""
        streams.tell(f"{counts.equation()}{left}")
    return exits.OK if counts.is_all_well else exits.FAILED


def _in_live_run(
    namespace: argparse.Namespace, store: Store, telling: _Telling, change: Edit | None
) -> Retrying:
    for option, value in (
        ("--config", namespace.config),
        ("--sink", namespace.sink),
        ("--no-envelope", namespace.envelope),
    ):
        if value is not None:
            raise usage(option, "the run behind --control has its own: leave this out")
    return InLiveRun(store, Control(namespace.control), telling.tell, change)


def _in_place(
    namespace: argparse.Namespace,
    store: Store,
    endpoints: Mapping[str, int],
    telling: _Telling,
    change: Edit | None,
) -> Retrying:
    for option, value in (("--config", namespace.config), ("--sink", namespace.sink)):
        if value is None:
            where = "to retry letters in place, or --control for a live run"
            raise usage(option, f"expected, {where}")
    config = _load(namespace)
    return InPlace(store, config, retriers(config, namespace.config, endpoints), telling.tell, change)


def _load(namespace: argparse.Namespace) -> Config:
    overrides = {"sink": namespace.sink, "dead_letters": namespace.dead_letters}
    if namespace.envelope is not None:
        overrides["envelope"] = namespace.envelope
    return loading.load(namespace.config, overrides=overrides)


class _Telling:
    """Names the letters that aren't done with, the first of them."""

    def __init__(self) -> None:
        self._told = 0

    def tell(self, letter: Letter, what: str) -> None:
        """Say what has become of a letter."""
        self._told += 1
        if self._told <= MOST_TOLD:
            streams.tell(f"letter {letter.id} of {printable(letter.endpoint)}: {printable(what)}")

    def finish(self) -> None:
        """Say how many weren't named."""
        if self._told > MOST_TOLD:
            streams.tell(f"… and {plural(self._told - MOST_TOLD, 'letter')} more")
