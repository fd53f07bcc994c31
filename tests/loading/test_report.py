"""The report of what would run."""

from __future__ import annotations

from scaleout.config import (
    TLS,
    Backoff,
    Config,
    Cursor,
    Endpoint,
    Heartbeat,
    Host,
    InvalidShare,
    Quarantine,
    Rate,
    Ready,
    Reply,
)
from scaleout.loading import from_mapping, report
from scaleout.loading.report import _WRITERS
from scaleout.signatures import inspect_processor

EXPECTED = """\
ENDPOINT         URI                       MESSAGES                      SETTINGS
btc              wss://***@h/ws?token=***  feeds:f: one message as text  subscribe 1 message, headers a
example.org/eth  wss://example.org/eth     no processor: JSON, checked   defaults
raw              ws://h                    no processor: binary          weight 2, linger 0s

endpoints     3
workers       2
sinks         standard output, trades.jsonl
records       with endpoint and receive time
ends          when stopped, or when every endpoint has ended
dead letters  counted, not kept"""


def f(message: str) -> None: ...


def test_report() -> None:
    config = from_mapping(
        {
            "workers": 2,
            "sink": ["-", "trades.jsonl"],
            "endpoints": [
                {
                    "name": "btc",
                    "uri": "wss://user:${KEY}@h/ws?token=${KEY}",
                    "headers": {"a": "${KEY}"},
                    "subscribe": ["${KEY}"],
                    "processor": "feeds:f",
                },
                {"uri": "wss://example.org/eth"},
                {"name": "raw", "uri": "ws://h", "format": "binary", "linger": 0, "weight": 2},
            ],
        },
        "feeds.toml",
        environment={"KEY": "swordfish"},
    )
    text = report(config, {"btc": inspect_processor(f, "feeds:f")}, 2)
    assert "swordfish" not in text
    assert text == EXPECTED


def test_pinning_is_shown_where_it_is_asked_for() -> None:
    endpoints = (Endpoint(name="a", uri="ws://h"),)
    assert "pinned        each worker to a core\n" in report(Config(endpoints=endpoints, pin=True), {}, 1)
    assert "pinned" not in report(Config(endpoints=endpoints), {}, 1)


def test_columns_are_aligned() -> None:
    endpoints = tuple(Endpoint(name="n" * i, uri=f"ws://{'h' * (9 - i)}") for i in range(1, 8))
    lines = report(Config(endpoints=endpoints), {}, 1).splitlines()[:8]
    assert len({line.index("no processor") for line in lines[1:]}) == 1
    assert {line.index("MESSAGES") for line in lines[:1]} == {lines[1].index("no processor")}
    assert all(line == line.rstrip() for line in lines)


def test_a_sink_backlog_is_shown_where_it_is_set() -> None:
    endpoints = (Endpoint(name="a", uri="ws://h"),)
    assert "sink backlog  256KiB\n" in report(Config(endpoints=endpoints, sink_backlog=2**18), {}, 1)
    assert "sink backlog" not in report(Config(endpoints=endpoints), {}, 1)


def test_every_setting_can_be_written() -> None:
    endpoint = Endpoint(
        name="a",
        uri="wss://h",
        headers={"A": "secret"},
        subprotocols=("v1", "v2"),
        tls=TLS(ca="ca.pem", verify=False),
        proxy="http://u:p@h:1",
        subscribe=("x", "y"),
        reconnect="never",
        backoff=Backoff(initial=1, maximum=90, factor=3),
        compression="deflate",
        max_message_size=2**20,
        open_timeout=1.5,
        ping_interval=0,
        ping_timeout=60,
        weight=0.5,
        linger=0.1,
    )
    text = report(
        Config(endpoints=(endpoint,), duration=90.0, limit=10**6, envelope=False, summary="s.json"), {}, 4
    )
    settings = (
        "subscribe 2 messages, headers A, subprotocols v1, v2, tls ca ca.pem UNVERIFIED, proxy http://***@h:1,"
        " reconnect never, backoff 1s to 90s by 3, compression deflate, max_message_size 1MiB,"
        " open_timeout 1500ms, ping_interval off, ping_timeout 1m, weight 0.5, linger 100ms"
    )
    assert settings in text
    assert "workers       4 (by default)" in text
    assert "ends          after 90s, after 1,000,000 messages, when stopped" in text
    assert "records       the result alone" in text
    assert "summary       s.json" in text


def test_every_setting_of_the_three_tiers_can_be_written() -> None:
    endpoint = Endpoint(
        name="a",
        uri="wss://h",
        unsubscribe=("x",),
        streams=("x", "y"),
        streams_per_connection=5,
        send_rate=Rate(5, 1.0),
        producer="feeds:produce",
        quarantine=Quarantine(after=5, probe=60.0),
        standby=True,
        rotate_after=23 * 3600.0,
        goodbye="bye",
        stale_after=30.0,
        heartbeat=Heartbeat(send="secret"),
        reply=(Reply(match="a", send="secret"),),
        ready=Ready(match="a"),
        cursor=Cursor(field="t", parameter="since"),
        max_invalid=InvalidShare(0.05, 30.0),
        sequence="data.u",
        sequence_key="s",
        sequence_first="U",
        sequence_previous="pu",
        sequence_scope="connection",
        gap_records=False,
        on_gap="reconnect",
        backpressure="latest",
        latest_key="data.s",
        high_water=2000,
        low_water=20,
        high_water_bytes=2**23,
        ordered=False,
        max_concurrency=7,
        timeout=0.5,
    )
    hosts = {"h": Host(connects=Rate(300, 300.0), concurrent=50), "i": Host(concurrent=2)}
    text = report(Config(endpoints=(endpoint,), hosts=hosts, state="s.json", control="c.sock"), {}, 4)
    settings = (
        "streams 2, streams_per_connection 5, unsubscribe 1 message, send_rate 5/s, producer feeds:produce,"
        " quarantine after 5, probed every 1m, standby yes, rotate_after 23h, goodbye yes, stale_after 30s,"
        " heartbeat yes, reply 1 message, ready yes, cursor t as since, max_invalid 5%/30s, sequence data.u,"
        " sequence_key s, sequence_first U, sequence_previous pu, sequence_scope connection, gap_records no,"
        " on_gap reconnect, backpressure latest, latest_key data.s, high_water 2000, low_water 20,"
        " high_water_bytes 8MiB, ordered no, max_concurrency 7, timeout 500ms"
    )
    assert settings in text
    assert "hosts         h connects 300/5m concurrent 50, i concurrent 2" in text
    assert "state         s.json" in text
    assert "control       c.sock" in text
    assert "secret" not in text


def test_a_budget_without_room_for_standbys_is_warned_of() -> None:
    endpoint = Endpoint(uri="ws://h/", name="a", standby=True)
    text = report(Config(endpoints=(endpoint,), hosts={"h": Host(concurrent=1)}), {}, 1)
    assert 'warning       hosts."h".concurrent = 1 leaves no room for the standby of "a"' in text
    assert "warning" not in report(Config(endpoints=(endpoint,), hosts={"h": Host(concurrent=2)}), {}, 1)


def test_no_setting_is_forgotten() -> None:
    shown = {"uri", "name", "processor", "format"}
    assert {*_WRITERS, *shown} == set(Endpoint.__struct_fields__)
