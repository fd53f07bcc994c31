"""What `scaleout check` prints: everything that would run, with nothing secret in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from scaleout.config import TLS, Backoff, Config, Endpoint
from scaleout.secrets import Redactor, redact_uri
from scaleout.signatures import Processor
from scaleout.units import format_duration, format_size

FORMATS = {
    "json": "no processor: JSON, checked",
    "text": "no processor: text",
    "binary": "no processor: binary",
}

_DEFAULTS = Endpoint(uri="")


def report(config: Config, processors: Mapping[str, Processor], workers: int) -> str:
    """Describe a run before it starts, as an aligned table with a few lines below.

    Args:
        config: checked, so that every endpoint has its name.
        processors: by the endpoint's name.
        workers: how many processes there would be.
    """
    rows = [("ENDPOINT", "URI", "MESSAGES", "SETTINGS")]
    rows += [_row(endpoint, processors.get(endpoint.name)) for endpoint in config.endpoints]
    count = len(config.endpoints)
    facts = [
        ("endpoints", str(count)),
        ("workers", str(workers) + (" (by default)" if config.workers == 0 else "")),
        ("sinks", ", ".join("standard output" if sink == "-" else redact_uri(sink) for sink in config.sink)),
        ("records", "with endpoint and receive time" if config.envelope else "the result alone"),
        ("ends", _end(config)),
        ("summary", config.summary or ""),
        ("dead letters", config.dead_letters or "counted, not kept"),
    ]
    lines = [*_aligned(rows), "", *_aligned([fact for fact in facts if fact[1]])]
    return Redactor(config.secrets)("\n".join(lines))


def _row(endpoint: Endpoint, processor: Processor | None) -> tuple[str, str, str, str]:
    messages = FORMATS[endpoint.format]
    if processor is not None:
        messages = f"{processor.spec}: {processor.describe()}"
    return endpoint.name, redact_uri(endpoint.uri), messages, ", ".join(_settings(endpoint)) or "defaults"


def _settings(endpoint: Endpoint) -> list[str]:
    """What differs from the defaults, in few words; never a header's value or a message."""
    return [
        f"{name} {write(getattr(endpoint, name))}"
        for name, write in _WRITERS.items()
        if getattr(endpoint, name) != getattr(_DEFAULTS, name)
    ]


def _end(config: Config) -> str:
    ends = []
    if config.duration is not None:
        ends.append(f"after {format_duration(config.duration)}")
    if config.limit is not None:
        ends.append(f"after {config.limit:,} messages")
    return ", ".join([*ends, "when stopped, or when every endpoint has ended"])


def _tls(tls: TLS) -> str:
    parts = [
        f"{name} {getattr(tls, name)}" for name in ("ca", "cert", "key") if getattr(tls, name) is not None
    ]
    return " ".join(parts if tls.verify else [*parts, "UNVERIFIED"])


def _backoff(backoff: Backoff) -> str:
    return f"{format_duration(backoff.initial)} to {format_duration(backoff.maximum)} by {backoff.factor:g}"


def _count(messages: Sequence[object]) -> str:
    return f"{len(messages)} message{'' if len(messages) == 1 else 's'}"


def _proxy(proxy: str | bool) -> str:
    return "none" if proxy is False else redact_uri(str(proxy))


def _or_off(seconds: float) -> str:
    return format_duration(seconds) if seconds else "off"


_WRITERS: Mapping[str, Callable[..., str]] = {
    "subscribe": _count,
    "headers": ", ".join,
    "subprotocols": ", ".join,
    "tls": _tls,
    "proxy": _proxy,
    "reconnect": str,
    "backoff": _backoff,
    "compression": str,
    "max_message_size": format_size,
    "open_timeout": format_duration,
    "ping_interval": _or_off,
    "ping_timeout": _or_off,
    "weight": lambda weight: f"{weight:g}",
    "linger": format_duration,
}


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns two spaces apart, the last one ragged."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
