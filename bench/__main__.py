"""`python -m bench`: runs all cases, or the ones that are named; writes their results and prints a table each."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from bench import moving, reconnect, report, standalone
from bench.cases import CASES
from bench.days import command as days
from bench.measure import BenchError, choose_cores, describe_cores, measure
from scaleout.arguments import at_least
from scaleout.errors import SimulatorError

RESULTS = Path(__file__).parent / "results"
PEERS = ("picows",)
STANDALONE: list[standalone.Case] = [reconnect, moving]
"""Modules that measure something of their own, rather than sides beside each other; run after the others."""
ALL = [*CASES, *(module.NAME for module in STANDALONE)]

ROUNDS, SECONDS = 5, 6.0
QUICK_ROUNDS, QUICK_SECONDS = 3, 2.0


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run what is asked for; exits with 1 where a side failed or miscounted, 2 where a peer is missing."""
    argv = sys.argv[1:] if argv is None else argv
    if list(argv[:1]) == [days.NAME]:
        days.main(argv[1:], RESULTS)
        sys.exit(0)
    arguments = _parser().parse_args(argv)
    missing = [peer for peer in PEERS if importlib.util.find_spec(peer) is None]
    if missing:
        print(
            f"bench: {', '.join(missing)} is not installed: pip install 'scaleout[bench]' "
            "(in the repository: pip install -e '.[bench]')",
            file=sys.stderr,
        )
        sys.exit(2)
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    seconds = arguments.seconds or (QUICK_SECONDS if arguments.quick else SECONDS)
    names = list(dict.fromkeys(arguments.cases)) or ALL
    try:
        doubtful = [
            _run(name, rounds, seconds, arguments.connections, arguments.results)
            for name in names
            if name in CASES
        ]
        for module in STANDALONE:
            if module.NAME in names:
                path = module.run(rounds, seconds, arguments.results, _tell)
                print(f"bench: wrote {path}", file=sys.stderr)
    except (BenchError, SimulatorError) as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(1 if any(doubtful) else 0)


def _run(name: str, rounds: int, seconds: float, connections: int | None, directory: Path) -> bool:
    """Run a case; whether a side miscounted."""
    make = CASES[name]
    case = make(connections) if connections is not None else make()
    cores = choose_cores()
    measured = measure(case, rounds, seconds, cores, _tell)
    result = report.make_report(case, seconds, describe_cores(cores), measured)
    path = report.save(result, directory)
    print(f"{report.markdown(result)}\n", flush=True)
    print(f"bench: wrote {path}", file=sys.stderr)
    return any(side.faults for each in measured for side in each.results.values())


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure scaleout beside its peers.",
        epilog="A simulation with options of its own, of placements on synthetic days: python -m bench days --help",
        allow_abbrev=False,
    )
    parser.add_argument("cases", nargs="*", choices=[[], *ALL], metavar="CASE", help=", ".join(ALL))
    parser.add_argument("--quick", action="store_true", help="few short rounds: a look, not a figure")
    parser.add_argument("--rounds", type=at_least(1), help=f"default {ROUNDS}, quick {QUICK_ROUNDS}")
    parser.add_argument(
        "--seconds",
        type=float,
        help=f"of receiving, for each side in each round: default {SECONDS:g}, quick {QUICK_SECONDS:g}",
    )
    parser.add_argument("--connections", type=at_least(1), help="instead of the case's own number")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the result files")
    return parser


if __name__ == "__main__":
    main()
