"""Which connections count against the budget of which host, and where a budget is too small for spares."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from functools import lru_cache
from urllib.parse import urlsplit

from scaleout.config import Config, Endpoint
from scaleout.core.streams import assign


def budget_of(uri: str, budgeted: Collection[str]) -> str | None:
    """The budget that a URI falls under: of its host and port, or of its host.

    Args:
        uri: where a connection goes to.
        budgeted: the hosts, or host:port, with a budget.
    """
    if not budgeted:
        return None
    parts = urlsplit(uri)
    host = (parts.hostname or "").lower()
    shown = f"[{host}]" if ":" in host else host
    port = parts.port or (443 if parts.scheme.lower() == "wss" else 80)
    return next((name for name in (f"{shown}:{port}", shown) if name in budgeted), None)


@lru_cache(maxsize=2**17)
def host_of(uri: str) -> str:
    """The host and port of a URI, as far as it is known; kept, for the placement asks every second for each."""
    return urlsplit(uri).netloc.rpartition("@")[2].lower()


def streams_per_connection(endpoint: Endpoint) -> int | None:
    """How many streams of an endpoint one connection carries, at the most; None: any number."""
    return 1 if "{stream}" in endpoint.uri else endpoint.streams_per_connection


def connections_of(endpoint: Endpoint) -> int:
    """How many connections an endpoint needs, beside which there may be spares."""
    return len(assign(endpoint.streams, streams_per_connection(endpoint))) if endpoint.streams else 1


def shortages(config: Config) -> Iterator[str]:
    """Find the budgets that leave no room for the spares that endpoints are to have; a line for each."""
    needed: Counter[str] = Counter()
    wanting: defaultdict[str, list[str]] = defaultdict(list)
    for endpoint in config.endpoints:
        host = budget_of(endpoint.uri, config.hosts)
        if host is not None:
            needed[host] += connections_of(endpoint)
            what = _spare_of(endpoint)
            if what is not None:
                wanting[host].append(f'the {what} of "{endpoint.name}"')
    for host, spares in wanting.items():
        concurrent = config.hosts[host].concurrent
        if concurrent is not None and concurrent <= needed[host]:
            others = f" and {len(spares) - 1} more" if len(spares) > 1 else ""
            yield (
                f'hosts."{host}".concurrent = {concurrent} leaves no room for {spares[0]}{others}: '
                f"first connections need {needed[host]}"
            )


def _spare_of(endpoint: Endpoint) -> str | None:
    if endpoint.standby:
        return "standby"
    return "rotation" if endpoint.rotate_after is not None else None
