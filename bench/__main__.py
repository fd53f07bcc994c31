"""`python -m bench`: runs all cases, or the ones that are named; writes their results and prints a table each."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from bench import idle, latency, moving, page, parts, reconnect, report, scale, standalone, startup
from bench.cases import CASES, Case, quick
from bench.days import command as days
from bench.days import report as days_report
from bench.errors import BenchError
from bench.measure import choose_cores, describe_cores, measure
from bench.peers import choose_sides, find_missing_feed
from scaleout.arguments import at_least, number
from scaleout.errors import SimulatorError
from scaleout.hints import did_you_mean

RESULTS = Path(__file__).parent / "results"
STANDALONE: list[standalone.Case] = [parts, reconnect, moving, latency, idle, startup, scale]
"""Modules that measure something of their own, rather than sides beside each other; run after the others."""
BY_NAME = {module.NAME: module for module in STANDALONE}
ALL = [*CASES, *(module.NAME for module in STANDALONE)]
HEADLINES = [name for name in ALL if name not in CASES or CASES[name].is_headline]

ROUNDS, SECONDS = 5, 6.0
QUICK_ROUNDS, QUICK_SECONDS = 1, 0.6


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run what is asked for; exits with 1 where a side failed or miscounted, 2 on bad usage."""
    argv = sys.argv[1:] if argv is None else argv
    if list(argv[:1]) == [days.NAME]:
        days.main(argv[1:], RESULTS)
        sys.exit(0)
    arguments = _parser().parse_args(argv)
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    seconds = arguments.seconds or (QUICK_SECONDS if arguments.quick else SECONDS)
    names = list(dict.fromkeys(arguments.cases)) or (HEADLINES if arguments.quick else ALL)
    is_doubtful = False
    try:
        for name in names:
            try:
                if name in CASES:
                    case = quick(CASES[name]) if arguments.quick else CASES[name]
                    is_doubtful |= _run(case, rounds, seconds, arguments.results)
                else:
                    path = BY_NAME[name].run(rounds, seconds, arguments.results, _tell)
                    _tell(f"bench: wrote {path}")
            except (BenchError, SimulatorError) as error:  # of this case alone
                _tell(f"bench: {name}: {error}")
                is_doubtful = True
    finally:
        _tell(f"bench: wrote {page.write(arguments.results, [*STANDALONE, days_report])}")
    sys.exit(1 if is_doubtful else 0)


def _run(case: Case, rounds: int, seconds: float, directory: Path) -> bool:
    """Run a case; whether a side miscounted."""
    missing = find_missing_feed(case)
    if missing is not None:
        _tell(f"bench: {case.name} is left out: {missing}")
        return False
    sides, left_out = choose_sides(case)
    for line in left_out:
        _tell(f"bench: {case.name}: {line}")
    cores = choose_cores()
    measured = measure(case, sides, rounds, seconds, cores, _tell)
    result = report.make_report(case, sides, seconds, describe_cores(cores), measured, left_out)
    path = report.save(result, directory)
    print(f"{report.markdown(result)}\n", flush=True)
    _tell(f"bench: wrote {path}")
    return any(side.faults for each in measured for side in each.results.values())


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _duration(text: str) -> float:
    found = number(text)
    if found <= 0:
        raise argparse.ArgumentTypeError(f"expected seconds, more than 0, found {text}")
    return found


def _case_name(text: str) -> str:
    if text not in ALL:
        hint = did_you_mean(text, ALL) or "; --help lists them"
        raise argparse.ArgumentTypeError(f"expected the name of a case, found {text!r}{hint}")
    return text


def _directory(text: str) -> Path:
    """One that can be written to; better known now than after two hours."""
    path = Path(text)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise argparse.ArgumentTypeError(
            f"expected a directory, found {text!r}: {exc.strerror or exc}"
        ) from None
    if not os.access(path, os.W_OK):
        raise argparse.ArgumentTypeError(f"expected a directory that can be written to, found {text!r}")
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure scaleout beside its peers.",
        epilog="\n".join(
            [
                "cases:",
                *(f"  {name:<22}{case.title}" for name, case in CASES.items()),
                *(f"  {module.NAME:<22}{(module.__doc__ or '').splitlines()[0]}" for module in STANDALONE),
                "",
                f"A quick run has these alone: {', '.join(HEADLINES)}.",
                "Placements on synthetic days are simulated with options of their own: python -m bench days --help",
            ]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("cases", nargs="*", type=_case_name, metavar="CASE", help="default: all of them")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one short round of the main cases and sides: a look, not a figure",
    )
    parser.add_argument("--rounds", type=at_least(1), help=f"default {ROUNDS}, quick {QUICK_ROUNDS}")
    parser.add_argument(
        "--seconds",
        type=_duration,
        help=f"how long to measure each side in each round: default {SECONDS:g}, quick {QUICK_SECONDS:g}",
    )
    parser.add_argument(
        "--results",
        type=_directory,
        default=RESULTS,
        help="directory of the result files; made if it is missing",
    )
    return parser


if __name__ == "__main__":
    main()
