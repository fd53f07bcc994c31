"""What `scaleout check` prints: everything that would run, with nothing secret in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from scaleout.config import TLS, Backoff, Config, Cursor, Endpoint, Host, InvalidShare, Quarantine, Rate
from scaleout.core.hosts import shortages
from scaleout.secrets import Redactor, redact_uri
from scaleout.signatures import Processor
from scaleout.units import format_duration, format_size

FORMATS = {
    "json": "no processor: JSON, checked",
    "text": "no processor: text",
    "binary": "no processor: binary",
}

_DEFAULTS = Endpoint(uri="")
_BACKLOG = Config().sink_backlog


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
        ("workers", _workers(config, workers)),
        ("pinned", "each worker to a core" if config.pin else ""),
        ("sinks", ", ".join(map(_sink, config.sink))),
        ("sink backlog", "" if config.sink_backlog == _BACKLOG else format_size(config.sink_backlog)),
        ("records", "with endpoint and receive time" if config.envelope else "the result alone"),
        ("ends", _end(config)),
        ("summary", config.summary or ""),
        ("dead letters", config.dead_letters or "counted, not kept"),
        ("control", config.control or ""),
        ("state", config.state or ""),
        ("hosts", ", ".join(_budget(name, host) for name, host in config.hosts.items())),
        *(("warning", shortage) for shortage in shortages(config)),
    ]
    lines = [*_aligned(rows), "", *_aligned([fact for fact in facts if fact[1]])]
    return Redactor(config.secrets)("\n".join(lines))


def _workers(config: Config, workers: int) -> str:
    if config.workers == "auto":
        most = config.scaling.max
        return f"{workers} at first, up to {'as many as cores' if most is None else most}, by the load"
    return str(workers) + (" (by default)" if config.workers == 0 else "")


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


def _budget(name: str, host: Host) -> str:
    limits = [f"connects {_rate(host.connects)}"] if host.connects else []
    limits += [f"concurrent {host.concurrent}"] if host.concurrent else []
    return " ".join([name, *limits])


def _sink(sink: str) -> str:
    if sink == "-":
        return "standard output"
    return sink if sink.startswith("file:") else redact_uri(sink)  # the query of a file's holds no secret


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


def _rate(rate: Rate) -> str:
    return f"{rate.count}/{_period(rate.period)}"


def _share(limit: InvalidShare) -> str:
    return f"{limit.share * 100:.4g}%/{_period(limit.window)}"


def _period(seconds: float) -> str:
    """As in a file, where a 1 is left out."""
    text = format_duration(seconds)
    return text[1:] if text.startswith("1") and text[1:].isalpha() else text


def _quarantine(quarantine: Quarantine) -> str:
    return f"after {quarantine.after}, probed every {format_duration(quarantine.probe)}"


def _cursor(cursor: Cursor) -> str:
    return f"{cursor.field} as {cursor.parameter}" if cursor.parameter else cursor.field


def _names(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else f"{len(value)}"


def _is_set(value: object) -> str:
    return "yes" if value else "no"


def _or_off(seconds: float) -> str:
    return format_duration(seconds) if seconds else "off"


_WRITERS: Mapping[str, Callable[..., str]] = {
    "subscribe": _count,
    "headers": ", ".join,
    "subprotocols": ", ".join,
    "streams": _names,
    "streams_per_connection": str,
    "unsubscribe": _count,
    "send_rate": _rate,
    "producer": str,
    "processors": str,
    "quarantine": _quarantine,
    "standby": _is_set,
    "rotate_after": format_duration,
    "handover": str,
    "identity": str,
    "goodbye": _is_set,
    "stale_after": format_duration,
    "heartbeat": _is_set,
    "reply": _count,
    "ready": _is_set,
    "cursor": _cursor,
    "max_invalid": _share,
    "sequence": str,
    "sequence_key": str,
    "sequence_first": str,
    "sequence_previous": str,
    "sequence_scope": str,
    "gap_records": _is_set,
    "on_gap": str,
    "backpressure": str,
    "latest_key": str,
    "high_water": str,
    "low_water": str,
    "high_water_bytes": format_size,
    "ordered": _is_set,
    "max_concurrency": str,
    "timeout": format_duration,
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
    "worker": str,
    "apart": str,
    "linger": format_duration,
}


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns two spaces apart, the last one ragged."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
