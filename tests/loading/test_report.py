"""The report of what would run."""

from __future__ import annotations

import msgspec

from scaleout.config import TLS, Backoff, Config, Endpoint
from scaleout.loading import from_mapping, report
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
    shown = {"uri", "name", "processor", "format"}
    assert all(each in shown or each in settings for each in msgspec.structs.asdict(endpoint))
