"""Checks of single values: each returns what the value means, or raises what was expected instead."""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeGuard
from urllib.parse import urlsplit

from websockets.exceptions import InvalidProxy, InvalidURI
from websockets.proxy import parse_proxy
from websockets.uri import parse_uri

from scaleout.config import InvalidShare, Rate
from scaleout.control.place import problem_of
from scaleout.errors import MissingExtraError
from scaleout.loading.reading import Check, UnusableError, WrongError, found
from scaleout.units import parse_duration, parse_size

TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
"""What HTTP takes as the name of a header or of a subprotocol."""

_RATE = re.compile(r"\s*([0-9]{1,9})\s*/\s*(\S.*?)\s*")
_SHARE = re.compile(r"\s*([0-9]{1,3}(?:\.[0-9]{1,9})?)\s*%\s*/\s*(\S.*?)\s*")
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_MOST = 10**6

_LONGEST_S = 36500 * 86400.0
_LARGEST_INTEGER = 2**63 - 1
_DEEPEST = 100


def text(expected: str) -> Check:
    """A check of a text that isn't empty and fits on one line."""

    def check(value: object) -> str:
        if not isinstance(value, str) or not value or not value.isprintable():
            raise WrongError(expected)
        return value

    return check


def choice(*choices: str) -> Check:
    """A check of a text that is one of a few."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise WrongError(" or ".join(f'"{each}"' for each in choices))
        return value

    return check


def truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise WrongError("true or false")
    return value


def _is_whole(value: object, least: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _LARGEST_INTEGER


def whole_number(what: str) -> Check:
    """A check of a whole number from 1 up."""

    def check(value: object) -> int:
        if not _is_whole(value, 1):
            raise WrongError(f"a whole number of {what}, 1 or more")
        return value

    return check


def count_or_auto(what: str, *, zero: bool = False) -> Check:
    """A check of a whole number, or of the word that leaves it to the program.

    Args:
        what: is counted.
        zero: whether there may be none.
    """
    least = 0 if zero else 1

    def check(value: object) -> int | str:
        if value == "auto":
            return "auto"
        if not _is_whole(value, least):
            raise WrongError(f'a whole number of {what}, {least} or more, or "auto"')
        return value

    return check


def worker_id(value: object) -> int:
    """Check the id of a worker."""
    if not _is_whole(value, 0):
        raise WrongError("the id of a worker: a whole number, 0 or more")
    return value


def number(expected: str, accepts: Callable[[float], bool]) -> Check:
    """A check of a finite number in a range."""

    def check(value: object) -> float:
        as_float = _finite(value)
        if as_float is None or not accepts(as_float):
            raise WrongError(expected)
        return as_float

    return check


def seconds(*, zero: bool) -> Check:
    """A check of a duration, as a number of seconds or a text.

    Args:
        zero: whether 0 makes sense.
    """

    def check(value: object) -> float:
        try:
            duration_s = parse_duration(value) if isinstance(value, str) else _finite(value)
        except ValueError:
            duration_s = None
        if duration_s is None:
            raise WrongError('a number of seconds or a text such as "5ms"')
        if duration_s < 0 or (duration_s == 0 and not zero):
            raise WrongError("0 seconds or more" if zero else "more than 0 seconds")
        if duration_s > _LONGEST_S:
            raise WrongError("100 years or less")
        return duration_s

    return check


def size(value: object) -> int:
    try:
        size_bytes = parse_size(value) if isinstance(value, str) else value
    except ValueError:
        size_bytes = None
    if isinstance(size_bytes, bool) or not isinstance(size_bytes, int):
        raise WrongError('a whole number of bytes or a text such as "4MiB"')
    if not 0 < size_bytes <= _LARGEST_INTEGER:
        raise WrongError("more than 0 bytes" if size_bytes <= 0 else "less than 8 EiB")
    return size_bytes


def rate(value: object) -> Rate:
    """Check how often something may happen, such as "300/5m" or "20/s"."""
    if isinstance(value, Rate):
        return value
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    try:
        if found is not None and 0 < int(found[1]) <= _MOST:
            return Rate(int(found[1]), _period(found[2]))
    except ValueError:
        pass
    raise WrongError('so many in a time, such as "20/s" or "300/5m"')


def invalid_share(value: object) -> InvalidShare:
    """Check a share of messages in a time, such as "5%/30s"."""
    if isinstance(value, InvalidShare):
        return value
    found = _SHARE.fullmatch(value) if isinstance(value, str) else None
    try:
        if found is not None and 0 < float(found[1]) <= 100:
            return InvalidShare(float(found[1]) / 100, _period(found[2]))
    except ValueError:
        pass
    raise WrongError('a share of the messages in a time, such as "5%/30s"')


def _period(text: str) -> float:
    """A time with a unit, whose number may be left out where it is 1."""
    period_s = parse_duration(text if text[:1].isdigit() or text[:1] == "." else f"1{text}")
    if not 0 < period_s <= _LONGEST_S:
        raise ValueError("not a period")
    return period_s


def path(value: object) -> str:
    """Check the path of a field in a message, such as "data.u"."""
    if not isinstance(value, str) or not all(value.split(".")) or not value.isprintable():
        raise WrongError('the path of a field, such as "data.u"')
    return value


def host_name(value: object) -> str:
    """Check a host, with or without a port."""
    found = _HOST.fullmatch(value) if isinstance(value, str) else None
    if not isinstance(value, str) or found is None or int(found[1] or 1) not in range(1, 65536):
        raise WrongError('a host such as "example.org" or "example.org:8443"')
    return value.lower()


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        as_float = float(value)
    except OverflowError:
        return None
    return as_float if math.isfinite(as_float) else None


def feed_uri(value: object) -> str:
    """Check the URI of an endpoint."""
    expected = "a ws:// or wss:// URI"
    if not isinstance(value, str) or not value:
        raise WrongError(expected)
    if not value.isprintable() or " " in value:
        raise WrongError(f"{expected} without spaces and control characters")
    try:
        parse_uri(value)
    except InvalidURI as invalid:
        raise WrongError(f"{expected} ({invalid.msg})") from None
    except ValueError as error:
        raise WrongError(f"{expected} ({_without_value(error)})") from None
    if urlsplit(value).port == 0:
        raise WrongError(f"{expected} (invalid port)")
    return value


def proxy(value: object) -> str | bool:
    """Check the proxy of an endpoint: a URI, or whether to ask the environment for one."""
    expected = "true, false, or an http://, https://, socks4:// or socks5:// URI"
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        raise WrongError(expected)
    try:
        scheme = parse_proxy(value).scheme
    except InvalidProxy as invalid:
        # What the library says about a scheme quotes it, and that can be a piece of a secret.
        hint = "" if "scheme" in invalid.msg else f" ({invalid.msg})"
        raise WrongError(f"{expected}{hint}") from None
    except ValueError as error:
        raise WrongError(f"{expected} ({_without_value(error)})") from None
    if scheme.startswith("socks") and importlib.util.find_spec("python_socks") is None:
        raise UnusableError(str(MissingExtraError("a SOCKS proxy", "socks")))
    return value


def _without_value(error: ValueError) -> str:
    """Why a URI can't be parsed, less the part of it that the standard library quotes."""
    return "invalid port" if "ort " in str(error) else "invalid host or user information"


def token(value: object) -> str:
    if not isinstance(value, str) or not TOKEN.fullmatch(value):
        raise WrongError("a subprotocol's name: letters, digits and punctuation, without spaces and commas")
    return value


def header_value(value: object) -> str:
    if not isinstance(value, str) or not value.replace("\t", " ").isprintable():
        raise WrongError("a text on one line")
    return value


def check_json(value: object, levels: int = _DEEPEST) -> None:
    """Check that a message to send is what JSON can say."""
    if levels == 0:
        raise WrongError(f"a message nested less than {_DEEPEST} levels deep")
    match value:
        case str():
            _check_unicode(value)
        case None | bool():
            return
        case int() if -(2**63) <= value < 2**64:
            return
        case float() if math.isfinite(value):
            return
        case list() | tuple():
            for item in value:
                check_json(item, levels - 1)
        case Mapping():
            for name, item in value.items():
                if not isinstance(name, str):
                    raise UnusableError(f"expected texts as the keys of a table, found {found(name)}")
                _check_unicode(name)
                check_json(item, levels - 1)
        case _:
            raise UnusableError(f"expected what JSON can say, found {found(value)} in the message")


def _check_unicode(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnusableError(
            "expected Unicode characters, found half of a surrogate pair in the message"
        ) from None


def existing_file(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise WrongError("the name of a file")
    if not Path(value).is_file():
        raise WrongError("a file that exists")
    return value


def output_file(value: object) -> str:
    """Check the name of a file that the run will write."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise WrongError("the name of a file")
    path = Path(value)
    if path.is_dir():
        raise WrongError("the name of a file, not of a directory")
    if not path.parent.is_dir():
        raise WrongError("a file in a directory that exists")
    return value


def socket_path(value: object) -> str:
    """Check where a control socket is to be."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise WrongError("the path of a socket")
    problem = problem_of(value)
    if problem is not None:
        raise UnusableError(problem)
    return value
