"""Every key of a configuration and what it takes."""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from websockets.exceptions import InvalidProxy, InvalidURI
from websockets.proxy import parse_proxy
from websockets.uri import parse_uri

from scaleout.config import TLS, Backoff
from scaleout.errors import MissingExtraError, ProcessorError
from scaleout.processors import load_processor
from scaleout.reading import BAD, Check, Reader, Reading, UnusableError, WrongError, found, join
from scaleout.secrets import redact_uri
from scaleout.units import parse_duration, parse_size

_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_LONGEST_S = 36500 * 86400.0
_LARGEST_INTEGER = 2**63 - 1
_DEEPEST = 100


def leaf(check: Check, show: Callable[[str], str] = str) -> Reader:
    """A reader of one value."""

    def read(reading: Reading, raw: object, key: str) -> object:
        return reading.leaf(raw, key, check, show)

    return read


def array(item: Reader, of: str, *, or_one: bool = False) -> Reader:
    """A reader of an array as a tuple.

    Args:
        of: what its items are, in words.
        or_one: whether a single text stands for an array of it.
    """

    def read(reading: Reading, raw: object, key: str) -> object:
        if or_one and isinstance(raw, str):
            value = item(reading, raw, key)
            return BAD if value is BAD else (value,)
        if not isinstance(raw, list | tuple):
            return reading.leaf(raw, key, _never(f"{'a text or ' if or_one else ''}an array of {of}"))
        values = [item(reading, each, f"{key}[{index}]") for index, each in enumerate(raw)]
        return BAD if any(value is BAD for value in values) else tuple(values)

    return read


def _never(expected: str) -> Check:
    def check(value: object) -> object:
        raise WrongError(expected)

    return check


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


def whole_number(what: str) -> Check:
    """A check of a whole number from 1 up."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST_INTEGER:
            raise WrongError(f"a whole number of {what}, 1 or more")
        return value

    return check


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
        raise WrongError(f"{expected} ({invalid.msg})") from None
    except ValueError as error:
        raise WrongError(f"{expected} ({_without_value(error)})") from None
    if scheme.startswith("socks") and importlib.util.find_spec("python_socks") is None:
        raise UnusableError(str(MissingExtraError("a SOCKS proxy", "socks")))
    return value


def _without_value(error: ValueError) -> str:
    """Why a URI can't be parsed, less the part of it that the standard library quotes."""
    return "invalid port" if "ort " in str(error) else "invalid host or user information"


def token(value: object) -> str:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise WrongError("a subprotocol's name: letters, digits and punctuation, without spaces and commas")
    return value


def header_value(value: object) -> str:
    if not isinstance(value, str) or not value.replace("\t", " ").isprintable():
        raise WrongError("a text on one line")
    return value


def headers(reading: Reading, raw: object, key: str) -> object:
    """Read a table of header names and values; values are never shown."""
    if not isinstance(raw, Mapping):
        return reading.leaf(raw, key, _never("a table of header names and values"), lambda _: "…")
    values: dict[str, object] = {}
    for name, value in raw.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            reading.fault(join(key, name), "expected a header's name: letters, digits and dashes")
        elif value is not None:
            values[name] = reading.leaf(value, join(key, name), header_value, lambda _: "…")
    return BAD if any(value is BAD for value in values.values()) else values


def outgoing(reading: Reading, raw: object, key: str) -> object:
    """Read a message to send: a text as it is, a table or an array as JSON."""

    def check(value: object) -> object:
        if not isinstance(value, str | list | tuple | Mapping):
            raise WrongError("a text, a table or an array")
        _check_json(value, _DEEPEST)
        return reading.expand_all(value)

    # `leaf` expands a text on its own, and once is enough.
    return reading.leaf(raw, key, _as_it_is if isinstance(raw, str) else check)


def _as_it_is(value: object) -> object:
    return value


def _check_json(value: object, levels: int) -> None:
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
                _check_json(item, levels - 1)
        case Mapping():
            for name, item in value.items():
                if not isinstance(name, str):
                    raise UnusableError(f"expected texts as the keys of a table, found {found(name)}")
                _check_unicode(name)
                _check_json(item, levels - 1)
        case _:
            raise UnusableError(f"expected what JSON can say, found {found(value)} in the message")


def _check_unicode(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnusableError(
            "expected Unicode characters, found half of a surrogate pair in the message"
        ) from None


def processor(reading: Reading, raw: object, key: str) -> object:
    """Read the name of a processor, and import it where the source is read for that."""

    def check(value: object) -> object:
        if not isinstance(value, str) or not value.isprintable() or not all(value.partition(":")):
            raise WrongError('MODULE:FUNCTION such as "feeds:on_trade"')
        if reading.imports_processors:
            try:
                load_processor(value)
            except ProcessorError as error:
                raise UnusableError(str(error)) from None
        return value

    return reading.leaf(raw, key, check)


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


def sink(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise WrongError('a path, "-" or a URI')
    from scaleout.sinks import check_sink

    problem = check_sink(value)
    if problem is not None:
        raise UnusableError(problem)
    return value


def tls(reading: Reading, raw: object, key: str) -> object:
    values = reading.table(raw, key, TLS_KEYS)
    if isinstance(raw, Mapping) and raw.get("key") is not None and raw.get("cert") is None:
        reading.fault(join(key, "cert"), "expected the certificate that tls.key belongs to, found nothing")
    return TLS(**values)  # type: ignore[arg-type]


def backoff(reading: Reading, raw: object, key: str) -> object:
    result = Backoff(**reading.table(raw, key, BACKOFF_KEYS))  # type: ignore[arg-type]
    if result.maximum < result.initial:
        reading.fault(
            key, f"expected maximum ({result.maximum:g} s) to be at least initial ({result.initial:g} s)"
        )
    return result


TLS_KEYS: Mapping[str, Reader] = {
    "ca": leaf(existing_file),
    "cert": leaf(existing_file),
    "key": leaf(existing_file),
    "verify": leaf(truth),
}

BACKOFF_KEYS: Mapping[str, Reader] = {
    "initial": leaf(seconds(zero=False)),
    "maximum": leaf(seconds(zero=False)),
    "factor": leaf(number("a number, 1 or more", lambda value: value >= 1)),
}

ENDPOINT_KEYS: Mapping[str, Reader] = {
    "uri": leaf(feed_uri, redact_uri),
    "name": leaf(text("a text on one line")),
    "headers": headers,
    "subprotocols": array(leaf(token), "texts"),
    "tls": tls,
    "proxy": leaf(proxy, redact_uri),
    "subscribe": array(outgoing, "texts, tables and arrays"),
    "processor": processor,
    "format": leaf(choice("json", "text", "binary")),
    "reconnect": leaf(choice("always", "on_error", "never")),
    "backoff": backoff,
    "compression": leaf(choice("off", "deflate")),
    "max_message_size": leaf(size),
    "open_timeout": leaf(seconds(zero=False)),
    "ping_interval": leaf(seconds(zero=True)),
    "ping_timeout": leaf(seconds(zero=True)),
    "weight": leaf(number("a number greater than 0", lambda value: value > 0)),
    "linger": leaf(seconds(zero=True)),
}

RUN_KEYS: Mapping[str, Reader] = {
    "workers": leaf(whole_number("processes")),
    "sink": array(leaf(sink, redact_uri), "texts", or_one=True),
    "envelope": leaf(truth),
    "duration": leaf(seconds(zero=False)),
    "limit": leaf(whole_number("messages")),
    "summary": leaf(output_file),
    "dead_letters": leaf(output_file),
    "view": leaf(choice("auto", "plain", "none")),
    "log_level": leaf(choice("debug", "info", "warning", "error")),
    "log_format": leaf(choice("text", "json")),
    "heartbeat_timeout": leaf(seconds(zero=False)),
    "drain_timeout": leaf(seconds(zero=False)),
}
