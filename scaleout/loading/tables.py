"""Endpoints as the tables of a file, for another process to read."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from scaleout.config import Endpoint, InvalidShare, Rate
from scaleout.loading.sources import given_fields

_FILES = ("ca", "cert", "key")
"""Of `tls`."""


def table_of(endpoint: Endpoint) -> dict[str, object]:
    """The keys of an endpoint that differ from their defaults, as a file has them, with absolute paths."""
    table = {key: _as_in_a_file(value) for key, value in given_fields(endpoint).items()}
    tls = table.get("tls")
    if isinstance(tls, dict):
        table["tls"] = tls | {
            key: str(Path(tls[key]).absolute()) for key in _FILES if isinstance(tls.get(key), str)
        }
    return table


def _as_in_a_file(value: object) -> object:
    if isinstance(value, Rate):
        return f"{value.count}/{_plain(value.period)}s"
    if isinstance(value, InvalidShare):
        return f"{_plain(round(value.share * 100, 9))}%/{_plain(value.window)}s"
    if isinstance(value, Mapping):
        return {name: _as_in_a_file(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_in_a_file(item) for item in value]
    return value


def _plain(number: float) -> str:
    """The shortest text of a number without an exponent."""
    return format(Decimal(repr(number)), "f")
