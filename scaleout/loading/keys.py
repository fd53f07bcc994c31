"""Every key of a configuration and what it takes."""

from __future__ import annotations

from collections.abc import Mapping

from scaleout.config import (
    TLS,
    Backoff,
    Cursor,
    Heartbeat,
    Host,
    Quarantine,
    Ready,
    Rebalance,
    Reply,
    Scaling,
)
from scaleout.loading.checks import (
    choice,
    count_or_auto,
    existing_file,
    feed_uri,
    host_name,
    invalid_share,
    number,
    output_file,
    path,
    proxy,
    rate,
    seconds,
    size,
    socket_path,
    text,
    token,
    truth,
    whole_number,
    worker_id,
)
from scaleout.loading.readers import (
    array,
    function,
    headers,
    leaf,
    never,
    outgoing,
    pattern,
    sink,
    struct,
)
from scaleout.loading.reading import BAD, Reader, Reading, join
from scaleout.secrets import redact_uri


def heartbeat(reading: Reading, raw: object, key: str) -> object:
    """Read how heartbeats look."""
    value = struct(Heartbeat, HEARTBEAT_KEYS)(reading, raw, key)
    if isinstance(value, Heartbeat):
        if value.expect is not None and value.send is None:
            reading.fault(
                join(key, "expect"),
                "is the answer to `send`, which is missing; heartbeats that come by themselves are `match`",
            )
            return BAD
        if value.send is None and value.match is None:
            reading.fault(key, "expected `send` or `match`, found neither")
            return BAD
    return value


def gap_action(reading: Reading, raw: object, key: str) -> object:
    """Read what is done about a gap."""
    if raw in ("resubscribe", "reconnect"):
        return raw
    return function("on_gap", 'MODULE:FUNCTION, "resubscribe" or "reconnect"')(reading, raw, key)


def hosts(reading: Reading, raw: object, key: str) -> object:
    """Read the budgets of hosts."""
    if not isinstance(raw, Mapping):
        return reading.leaf(raw, key, never("a table of hosts"))
    values = {}
    for name, value in raw.items():
        checked = reading.leaf(name, join(key, name), host_name)
        if checked in values and checked is not BAD:
            reading.fault(join(key, name), "expected each host once")
        values[checked] = struct(Host, HOST_KEYS)(reading, value, join(key, name))
    return BAD if BAD in values or BAD in values.values() else values


def scaling(reading: Reading, raw: object, key: str) -> object:
    """Read how many workers there may be, and when there are more or fewer."""
    value = struct(Scaling, SCALING_KEYS)(reading, raw, key)
    if isinstance(value, Scaling):
        if value.max is not None and value.max < value.min:
            reading.fault(join(key, "max"), f"expected at least min, which is {value.min}, found {value.max}")
            return BAD
        if value.down_at >= value.up_at:
            reading.fault(
                join(key, "down_at"),
                f"expected less than up_at, which is {value.up_at:g}, found {value.down_at:g}",
            )
            return BAD
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

QUARANTINE_KEYS: Mapping[str, Reader] = {
    "after": leaf(whole_number("refusals")),
    "probe": leaf(seconds(zero=False)),
}

HEARTBEAT_KEYS: Mapping[str, Reader] = {
    "send": outgoing,
    "every": leaf(seconds(zero=False)),
    "expect": pattern,
    "match": pattern,
}

REPLY_KEYS: Mapping[str, Reader] = {"match": pattern, "send": outgoing}

READY_KEYS: Mapping[str, Reader] = {
    "match": pattern,
    "within": leaf(seconds(zero=False)),
    "refused": pattern,
}

CURSOR_KEYS: Mapping[str, Reader] = {
    "field": leaf(path),
    "parameter": leaf(text("the name of a parameter")),
}

HOST_KEYS: Mapping[str, Reader] = {
    "connects": leaf(rate),
    "concurrent": leaf(whole_number("connections")),
}

REBALANCE_KEYS: Mapping[str, Reader] = {
    "enabled": leaf(truth),
    "by": leaf(choice("messages", "bytes", "cpu")),
    "half_life": leaf(seconds(zero=False)),
    "tolerance": leaf(number("a share of the mean, more than 0, such as 0.1", lambda value: value > 0)),
    "at_once": leaf(whole_number("moves")),
    "per_minute": leaf(whole_number("moves")),
    "cooldown": leaf(seconds(zero=True)),
}

SCALING_KEYS: Mapping[str, Reader] = {
    "min": leaf(whole_number("workers")),
    "max": leaf(whole_number("workers")),
    "up_at": leaf(number("a share of a core, more than 0 and up to 1", lambda value: 0 < value <= 1)),
    "down_at": leaf(number("a share of a core, more than 0 and up to 1", lambda value: 0 < value <= 1)),
    "up_after": leaf(seconds(zero=False)),
    "down_after": leaf(seconds(zero=False)),
}

ENDPOINT_KEYS: Mapping[str, Reader] = {
    "uri": leaf(feed_uri, redact_uri),
    "name": leaf(text("a text on one line")),
    "headers": headers,
    "subprotocols": array(leaf(token), "texts"),
    "tls": tls,
    "proxy": leaf(proxy, redact_uri),
    "subscribe": array(outgoing, "texts, tables and arrays"),
    "unsubscribe": array(outgoing, "texts, tables and arrays"),
    "streams": array(leaf(text("the name of a stream")), "texts"),
    "streams_per_connection": leaf(whole_number("streams")),
    "send_rate": leaf(rate),
    "producer": function("producer", 'MODULE:FUNCTION such as "feeds:produce"'),
    "processor": function("processor", 'MODULE:FUNCTION such as "feeds:on_trade"'),
    "processors": leaf(count_or_auto("processes", zero=True)),
    "format": leaf(choice("json", "text", "binary")),
    "reconnect": leaf(choice("always", "on_error", "never")),
    "backoff": backoff,
    "quarantine": struct(Quarantine, QUARANTINE_KEYS),
    "standby": leaf(truth),
    "rotate_after": leaf(seconds(zero=False)),
    "handover": leaf(choice("splice", "overlap", "break")),
    "identity": leaf(path),
    "goodbye": pattern,
    "stale_after": leaf(seconds(zero=False)),
    "heartbeat": heartbeat,
    "reply": array(struct(Reply, REPLY_KEYS, "match", "send"), "tables"),
    "ready": struct(Ready, READY_KEYS, "match"),
    "cursor": struct(Cursor, CURSOR_KEYS, "field"),
    "max_invalid": leaf(invalid_share),
    "sequence": leaf(path),
    "sequence_key": leaf(path),
    "sequence_first": leaf(path),
    "sequence_previous": leaf(path),
    "sequence_scope": leaf(choice("endpoint", "connection")),
    "gap_records": leaf(truth),
    "on_gap": gap_action,
    "backpressure": leaf(choice("block", "drop_oldest", "drop_newest", "latest")),
    "latest_key": leaf(path),
    "high_water": leaf(whole_number("messages")),
    "low_water": leaf(whole_number("messages")),
    "high_water_bytes": leaf(size),
    "ordered": leaf(truth),
    "max_concurrency": leaf(whole_number("calls")),
    "timeout": leaf(seconds(zero=False)),
    "compression": leaf(choice("off", "deflate")),
    "max_message_size": leaf(size),
    "open_timeout": leaf(seconds(zero=False)),
    "ping_interval": leaf(seconds(zero=True)),
    "ping_timeout": leaf(seconds(zero=True)),
    "weight": leaf(number("a number greater than 0", lambda value: value > 0)),
    "worker": leaf(worker_id),
    "apart": leaf(text("the name of a group")),
    "linger": leaf(seconds(zero=True)),
}

RUN_KEYS: Mapping[str, Reader] = {
    "workers": leaf(count_or_auto("processes")),
    "pin": leaf(truth),
    "scaling": scaling,
    "rebalance": struct(Rebalance, REBALANCE_KEYS),
    "sink": array(sink, "texts", or_one=True),
    "sink_backlog": leaf(size),
    "envelope": leaf(truth),
    "duration": leaf(seconds(zero=False)),
    "limit": leaf(whole_number("messages")),
    "summary": leaf(output_file),
    "dead_letters": leaf(output_file),
    "max_dead_letters": leaf(whole_number("messages")),
    "max_dead_letter_bytes": leaf(size),
    "control": leaf(socket_path),
    "state": leaf(output_file),
    "hosts": hosts,
    "view": leaf(choice("auto", "plain", "none")),
    "log_level": leaf(choice("debug", "info", "warning", "error")),
    "log_format": leaf(choice("text", "json")),
    "heartbeat_timeout": leaf(seconds(zero=False)),
    "drain_timeout": leaf(seconds(zero=False)),
}
