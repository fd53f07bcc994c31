"""The entry of a worker process: what it runs is imported there, and not by the parent, which only names it."""

from __future__ import annotations

from multiprocessing.connection import Connection

from scaleout.tally import Allowance, Tally


def worker_main(control: Connection, results: Connection, tally: Tally, allowance: Allowance | None) -> None:
    """Be a worker."""
    from scaleout.worker import main

    main.worker_main(control, results, tally, allowance)
