"""`python -m bench days`: lives through a synthetic day with every policy, on two cores, and reports."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from bench.days import report
from bench.days.policies import POLICIES
from bench.days.simulation import Figures, live
from bench.days.world import Settings
from bench.report import save
from scaleout.arguments import at_least

NAME = report.NAME
SHARED = (("scaleout",), ("round-robin", "rendezvous", "greedy"))
"""Which policies one process lives through the day with; the day is the same for all."""
QUICK = Settings(endpoints=5_000, workers=50, hours=2.0)


def main(argv: Sequence[str], results: Path) -> None:
    """Simulate, print a table and write the result file."""
    arguments = _parser(results).parse_args(argv)
    preset = QUICK if arguments.quick else Settings()
    endpoints = arguments.endpoints or preset.endpoints
    workers = arguments.workers or preset.workers
    settings = scaled(endpoints, workers, arguments.hours or preset.hours, arguments.seed, arguments.tick)
    # Nothing there has cycles, and looking for them among so many objects takes half the time.
    with ProcessPoolExecutor(len(SHARED), get_context("spawn"), initializer=gc.disable) as pool:
        parts = [pool.submit(run, settings, names) for names in SHARED]
        figures = {name: each for part in parts for name, each in part.result().items()}
    result = report.make_report(settings, {name: figures[name] for name in POLICIES})
    print(f"{report.markdown(result)}\n", flush=True)
    print(f"bench: wrote {save(result, arguments.results)}", file=sys.stderr)


def scaled(endpoints: int, workers: int, hours: float, seed: int, tick_s: float) -> Settings:
    """A day on which as much happens to an endpoint and to a worker as on the default one."""
    whole = Settings()
    by_endpoint, by_worker = endpoints / whole.endpoints, workers / whole.workers
    return Settings(
        endpoints=endpoints,
        workers=workers,
        hours=hours,
        seed=seed,
        tick_s=tick_s,
        messages_per_s=whole.messages_per_s * by_worker,
        bursts_per_hour=whole.bursts_per_hour * by_endpoint,
        restarts_per_hour=whole.restarts_per_hour * by_worker,
        losses_per_hour=whole.losses_per_hour * by_worker,
    )


def run(settings: Settings, names: Sequence[str]) -> dict[str, Figures]:
    """Live through the day with some of the policies."""

    def progress(hour: int) -> None:
        print(f"days: {', '.join(names)}: {hour} of {settings.hours:g} hours", file=sys.stderr, flush=True)

    return live(settings, names, progress)


def _parser(results: Path) -> argparse.ArgumentParser:
    whole = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m bench days",
        description="Simulate placements on synthetic days with the code that plans moves.",
        allow_abbrev=False,
    )
    parser.add_argument("--quick", action="store_true", help="few endpoints, two hours: a look, not a figure")
    parser.add_argument(
        "--endpoints", type=at_least(1), help=f"default {whole.endpoints:,}, quick {QUICK.endpoints:,}"
    )
    parser.add_argument(
        "--workers", type=at_least(1), help=f"default {whole.workers:,}, quick {QUICK.workers:,}"
    )
    parser.add_argument("--hours", type=_positive, help=f"default {whole.hours:g}, quick {QUICK.hours:g}")
    parser.add_argument("--seed", type=int, default=whole.seed, help=f"another day: default {whole.seed}")
    parser.add_argument(
        "--tick",
        type=_positive,
        default=whole.tick_s,
        help=f"seconds from look to look: default {whole.tick_s:g}",
    )
    parser.add_argument("--results", type=Path, default=results, help="directory of the result file")
    return parser


def _positive(text: str) -> float:
    if not 0 < float(text) < float("inf"):
        raise ValueError
    return float(text)
