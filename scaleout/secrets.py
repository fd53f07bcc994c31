"""Redaction: what came from the environment, and what a URI hides, never reaches a text for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

BLOT = "***"

SHORTEST_SECRET = 4
"""Shorter values would blot out half of every text and hide nothing."""

_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@")


_learnt: dict[str, None] = {}


def learn(secrets: Iterable[str]) -> None:
    """Hide these values, too, from now on, wherever this process redacts texts: they came into a live run."""
    _learnt.update(dict.fromkeys(secrets))


def learnt() -> tuple[str, ...]:
    """What this process has learnt, for others to learn it."""
    return tuple(_learnt)


class Redactor:
    """Replaces every secret in a text, also where it is escaped as in a URI or in JSON.

    Args:
        secrets: the values to hide, beside those that the process learns; those of fewer than 4 characters
            are ignored.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(secrets)
        self._count = len(_learnt)
        self._pattern = _pattern(self._secrets)

    def __call__(self, text: str) -> str:
        if self._count != len(_learnt):
            self._count = len(_learnt)
            self._pattern = _pattern(self._secrets)
        return text if self._pattern is None else self._pattern.sub(BLOT, text)

    def optional(self, text: str | None) -> str | None:
        """The same, where there may be no text."""
        return None if text is None else self(text)


def _pattern(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """What finds these secrets, and those that were learnt; None: there are none."""
    spellings = {
        spelling
        for secret in (*secrets, *_learnt)
        if len(secret) >= SHORTEST_SECRET
        for spelling in (
            secret,
            json.dumps(secret)[1:-1],
            repr(secret)[1:-1],
            quote(secret, "", errors="replace"),
        )
    }
    longest_first = sorted(spellings, key=lambda spelling: (-len(spelling), spelling))
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def redact_uri(uri: str) -> str:
    """Replace the user information and the values of the query; any text is taken."""
    rest, hash_sign, fragment = uri.partition("#")
    address, question_mark, query = rest.partition("?")
    redacted = _USERINFO.sub(rf"\1{BLOT}@", address) + question_mark
    redacted += "&".join(_redact_parameter(parameter) for parameter in query.split("&"))
    return redacted + hash_sign + (BLOT if fragment else "")


def _redact_parameter(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    if equals:
        return f"{name}={BLOT}"
    return BLOT if parameter else ""
