"""Which sides can run here."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from bench.cases import Case, Side
from bench.errors import MissingPeerError
from bench.feed import missing_recording
from bench.sides import node_ws

PACKAGES = {
    "picows_msgspec": {"picows": "picows"},
    "aiohttp_msgspec": {"aiohttp": "aiohttp"},
    "websocket_client_orjson": {"websocket": "websocket-client", "orjson": "orjson"},
}
"""What a side's program imports, and what that is called where packages are found."""


def find_missing(side: Side) -> str | None:
    """Why a side can't run; None where it can. What npm can bring is brought."""
    if side.program == "node_ws":
        try:
            node_ws.require()
        except MissingPeerError as error:
            return str(error)
    packages = PACKAGES.get(side.program, {})
    missing = [package for module, package in packages.items() if importlib.util.find_spec(module) is None]
    if not missing:
        return None
    return f"{' and '.join(missing)} not installed: pip install 'scaleout[bench]'"


def find_missing_feed(case: Case) -> str | None:
    """Why a case can't run; None where it can."""
    if case.feed.tls and importlib.util.find_spec("trustme") is None:
        return "trustme, which makes certificates, is not installed: pip install 'scaleout[bench]'"
    return missing_recording(case.feed)


def choose_sides(case: Case) -> tuple[Sequence[Side], list[str]]:
    """The sides of a case that can run, and a line for each that can't."""
    problems = {side.name: find_missing(side) for side in case.sides}
    left_out = [f"{name} is left out: {problem}" for name, problem in problems.items() if problem]
    return [side for side in case.sides if problems[side.name] is None], left_out
