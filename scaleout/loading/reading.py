"""Reading foreign values one by one: each is checked, and its fault kept with its place."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Final

from scaleout.errors import Fault
from scaleout.hints import did_you_mean

BAD: Final = object()
"""What a reader returns for a value it reported a fault for."""

Check = Callable[[object], object]
"""Turns a raw value into the wanted one, or raises `WrongError`."""

_REFERENCE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_SHOWN = 60
_LARGEST_SHOWN = 2**64


class WrongError(ValueError):
    """A value isn't what its key takes; the message says what was expected, in words."""


class UnusableError(ValueError):
    """A value can't be used; the message is the whole problem."""


class Reading:
    """One source being read: where its texts find their variables, and what is wrong with it.

    Args:
        source: the file's name, or what else to call it in faults.
        environment: what `${NAME}` is looked up in; None takes every text as it is.
        faults: where faults go; shared between the sources of one configuration.
        secrets: where the values of variables go.
        function_problem: says what is wrong with a function (in the role of `processor`, `producer` or `on_gap`;
            its name), None if nothing is.
    """

    def __init__(
        self,
        source: str,
        environment: Mapping[str, str] | None,
        faults: list[Fault],
        secrets: dict[str, None],
        function_problem: Callable[[str, str], str | None],
    ) -> None:
        self.source = source
        self.environment = environment
        self.faults = faults
        self.secrets = secrets
        self.function_problem = function_problem

    def fault(self, key: str, problem: str) -> None:
        self.faults.append(Fault(self.source, key, problem))

    def leaf(self, raw: object, key: str, check: Check, show: Callable[[str], str] = str) -> object:
        """Check one value.

        Args:
            show: what of a text may be printed. The text is the one in the source: variables stay names.

        Returns:
            What `check` made of it, or `BAD` after reporting a fault.
        """
        try:
            return check(self.expand(raw) if isinstance(raw, str) else raw)
        except WrongError as wrong:
            self.fault(key, f"expected {wrong}, found {found(raw, show)}")
        except UnusableError as unusable:
            self.fault(key, str(unusable))
        return BAD

    def table(self, raw: object, key: str, readers: Mapping[str, Reader]) -> dict[str, object]:
        """Check the keys of a table that are there; null stands for a key that isn't.

        Returns:
            The values that could be read.
        """
        values: dict[str, object] = {}
        if not isinstance(raw, Mapping):
            self.fault(key, f"expected a table, found {found(raw)}")
            return values
        for name, value in raw.items():
            place = join(key, name)
            reader = readers.get(name) if isinstance(name, str) else None
            if reader is None:
                self.fault(place, f"unknown key{suggestion(str(name), readers)}")
            elif value is not None and (read := reader(self, value, place)) is not BAD:
                values[name] = read
        return values

    def expand(self, text: str) -> str:
        """Replace `${NAME}` by the variable's value and `$$` by a dollar sign.

        Raises:
            UnusableError: a variable isn't set, or isn't a name.
        """
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UnusableError(
                "expected a text of Unicode characters, found half of a surrogate pair"
            ) from None
        if self.environment is None or "$" not in text:
            return text
        missing = [name for name in _REFERENCE.findall(text) if name and name not in self.environment]
        if missing:
            raise UnusableError("; ".join(f"the environment variable {name} isn't set" for name in missing))
        return _REFERENCE.sub(self._replacement, text)

    def expand_all(self, value: object) -> object:
        """Expand every text within arrays and tables; keys stay as they are."""
        if isinstance(value, str):
            return self.expand(value)
        if isinstance(value, Mapping):
            return {name: self.expand_all(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.expand_all(item) for item in value]
        return value

    def _replacement(self, match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if match[1] is None or self.environment is None:
            raise UnusableError("'${' isn't followed by NAME}; write $${ where it stands for itself")
        value = self.environment[match[1]]
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UnusableError(f"the environment variable {match[1]} isn't valid UTF-8") from None
        if value:
            self.secrets[value] = None
        return value


Reader = Callable[[Reading, object, str], object]
"""Reads the value of one key: (source, raw value, key's path) → value or `BAD`."""


def join(path: str, key: object) -> str:
    """The path of a key within the table at `path`."""
    text = str(key)
    part = text if _BARE_KEY.fullmatch(text) else json.dumps(text)
    return f"{path}.{part}" if path else part


def suggestion(key: str, known: Collection[str]) -> str:
    """The end of a sentence about an unknown key: the nearest known one, or all where they are few."""
    hint = did_you_mean(key.lower().replace("-", "_"), known, json.dumps)
    return hint or (f"; known are {', '.join(known)}" if len(known) < 6 else "")


def found(raw: object, show: Callable[[str], str] = str) -> str:
    """Say what a value is, in a few words and on one line."""
    match raw:
        case None:
            return "null"
        case bool():
            return "true" if raw else "false"
        case str():
            text = show(raw)
            return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…")
        case int() if abs(raw) >= _LARGEST_SHOWN:
            return "a number of more than 64 bits"
        case int() | float():
            return str(raw)
        case Mapping():
            return "a table"
        case list() | tuple():
            return "an array"
        case datetime.date() | datetime.time():
            return "a date or time"
    return f"a Python {type(raw).__name__}"
