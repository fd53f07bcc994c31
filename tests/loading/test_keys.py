"""Keys of the three tiers: what each takes, what it comes to, and what is said where it is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scaleout.config import (
    Config,
    Cursor,
    Endpoint,
    Heartbeat,
    Host,
    InvalidShare,
    Quarantine,
    Rate,
    Ready,
    Rebalance,
    Reply,
    Scaling,
)
from scaleout.errors import ConfigError
from scaleout.loading import check_config, from_mapping, load
from scaleout.loading.sources import given_fields

URI = "wss://h/ws"

FILE = """
state = "{here}/state.json"
control = "{here}/control.sock"
max_dead_letters = 500
max_dead_letter_bytes = "1MiB"

[hosts."Example.org"]
connects = "300/5m"
concurrent = 50

[hosts."[::1]:8443"]
concurrent = 2

[[endpoints]]
name = "a"
uri = "wss://h/ws"
subscribe = [{{ op = "subscribe", args = ["{{streams}}"] }}]
unsubscribe = [{{ op = "unsubscribe", args = ["{{stream}}"] }}]
streams = ["x", "y"]
streams_per_connection = 1
send_rate = "5/s"
quarantine = {{ after = 5, probe = "1m" }}
standby = true
rotate_after = "23h"
goodbye = {{ e = "serverShutdown" }}
stale_after = "30s"
heartbeat = {{ send = "ping", every = 15, expect = "pong", match = {{ type = "heartbeat" }} }}
reply = [{{ match = {{ method = "heartbeat" }}, send = {{ method = "public/test", id = "{{id}}" }} }}]
ready = {{ match = {{ type = "subscribed" }}, within = "5s", refused = {{ type = "error" }} }}
max_invalid = "5%/30s"
sequence = "data.u"
sequence_key = "stream"
sequence_first = "data.U"
sequence_scope = "connection"
gap_records = false
on_gap = "resubscribe"
backpressure = "latest"
latest_key = "data.s"
high_water = 200
low_water = 100
high_water_bytes = "8MiB"
ordered = false
max_concurrency = 7
timeout = "500ms"

[[endpoints]]
name = "b"
uri = "wss://h/b"
cursor = {{ field = "time_us", parameter = "cursor" }}
sequence = "u"
sequence_previous = "pu"
on_gap = "hooks:note"
producer = "hooks:produce"
"""

A = Endpoint(
    name="a",
    uri=URI,
    subscribe=({"op": "subscribe", "args": ["{streams}"]},),
    unsubscribe=({"op": "unsubscribe", "args": ["{stream}"]},),
    streams=("x", "y"),
    streams_per_connection=1,
    send_rate=Rate(5, 1.0),
    quarantine=Quarantine(after=5, probe=60.0),
    standby=True,
    rotate_after=23 * 3600.0,
    goodbye={"e": "serverShutdown"},
    stale_after=30.0,
    heartbeat=Heartbeat(send="ping", every=15.0, expect="pong", match={"type": "heartbeat"}),
    reply=(Reply(match={"method": "heartbeat"}, send={"method": "public/test", "id": "{id}"}),),
    ready=Ready(match={"type": "subscribed"}, within=5.0, refused={"type": "error"}),
    max_invalid=InvalidShare(0.05, 30.0),
    sequence="data.u",
    sequence_key="stream",
    sequence_first="data.U",
    sequence_scope="connection",
    gap_records=False,
    on_gap="resubscribe",
    backpressure="latest",
    latest_key="data.s",
    high_water=200,
    low_water=100,
    high_water_bytes=8 * 2**20,
    ordered=False,
    max_concurrency=7,
    timeout=0.5,
)
B = Endpoint(
    name="b",
    uri="wss://h/b",
    cursor=Cursor(field="time_us", parameter="cursor"),
    sequence="u",
    sequence_previous="pu",
    on_gap="hooks:note",
    producer="hooks:produce",
)


def whole(here: Path) -> Config:
    return Config(
        endpoints=(A, B),
        state=f"{here}/state.json",
        control=f"{here}/control.sock",
        max_dead_letters=500,
        max_dead_letter_bytes=2**20,
        hosts={"example.org": Host(connects=Rate(300, 300.0), concurrent=50), "[::1]:8443": Host(concurrent=2)},
    )  # fmt: skip


def test_every_key_is_read(tmp_path: Path) -> None:
    file = tmp_path / "feeds.toml"
    file.write_text(FILE.format(here=tmp_path))
    assert load(file) == whole(tmp_path)


def test_the_same_from_python(tmp_path: Path) -> None:
    config = whole(tmp_path)
    assert check_config(config) == config
    raw = given_fields(config)
    assert from_mapping(raw, "Config", environment={}) == config


def test_cursors_are_kept_beside_the_file(tmp_path: Path) -> None:
    file = tmp_path / "feeds.toml"
    file.write_text('[[endpoints]]\nuri = "ws://h"\ncursor = { field = "t", parameter = "c" }')
    assert load(file).state == str(tmp_path / "feeds.state.json")
    file.write_text('[[endpoints]]\nuri = "ws://h"')
    assert load(file).state is None
    assert check_config(Config(endpoints=(B,))).state is None


def problem(raw: Mapping[str, object]) -> str:
    with pytest.raises(ConfigError) as caught:
        from_mapping(raw, "feeds.toml", environment={})
    (line,) = str(caught.value).splitlines()
    return line.removeprefix("feeds.toml: ")


RATE = 'expected so many in a time, such as "20/s" or "300/5m", found '
SHARE = 'expected a share of the messages in a time, such as "5%/30s", found '
PATH = 'expected the path of a field, such as "data.u", found '
MESSAGE = "expected a text, a table or an array, found "


@pytest.mark.parametrize(
    ("keys", "place", "words"),
    [
        *(
            ({"send_rate": each}, "send_rate", RATE)
            for each in (5, "5", "0/s", "5/0s", "-1/s", "5/x", "1.5/s", "9999999/s", "/s", "5/")
        ),
        *(
            ({"max_invalid": each}, "max_invalid", SHARE)
            for each in (5, "5/30s", "0%/30s", "101%/30s", "5%/0s", "5%", "%/5s")
        ),
        *(({key: "a..b"}, key, PATH) for key in ("sequence", "latest_key")),
        ({"sequence": 5}, "sequence", PATH),
        ({"streams": "x"}, "streams", "expected an array of texts, found 'x'"),
        ({"streams": ["a", ""]}, "streams[1]", "expected the name of a stream, found ''"),
        (
            {"streams_per_connection": 0},
            "streams_per_connection",
            "expected a whole number of streams, 1 or more",
        ),
        ({"quarantine": {"after": 0}}, "quarantine.after", "expected a whole number of refusals, 1 or more"),
        ({"quarantine": {"probe": 0}}, "quarantine.probe", "expected more than 0 seconds"),
        ({"quarantine": {"prob": 1}}, "quarantine.prob", 'did you mean "probe"?'),
        ({"standby": 1}, "standby", "expected true or false, found 1"),
        ({"rotate_after": 0}, "rotate_after", "expected more than 0 seconds, found 0"),
        ({"goodbye": 5}, "goodbye", MESSAGE),
        ({"stale_after": -1}, "stale_after", "expected more than 0 seconds, found -1"),
        (
            {"heartbeat": {"expect": "pong", "match": "x"}},
            "heartbeat.expect",
            "is the answer to `send`, which is missing",
        ),
        ({"heartbeat": {"every": 5}}, "heartbeat", "expected `send` or `match`, found neither"),
        ({"heartbeat": "ping"}, "heartbeat", "expected a table, found 'ping'"),
        ({"heartbeat": {"send": 5}}, "heartbeat.send", MESSAGE),
        ({"reply": {"match": "a"}}, "reply", "expected an array of tables, found a table"),
        ({"reply": [{"match": "a"}]}, "reply[0].send", "expected a value, found nothing"),
        ({"reply": [{"match": "a", "send": 1}]}, "reply[0].send", MESSAGE),
        ({"ready": {"within": 5}}, "ready.match", "expected a value, found nothing"),
        ({"ready": {"match": "x", "within": 0}}, "ready.within", "expected more than 0 seconds"),
        ({"cursor": {"parameter": "c"}}, "cursor.field", "expected a value, found nothing"),
        ({"cursor": {"field": ".", "parameter": "c"}}, "cursor.field", PATH),
        (
            {"cursor": {"field": "t", "parameter": ""}},
            "cursor.parameter",
            "expected the name of a parameter, found ''",
        ),
        ({"sequence": "u", "sequence_scope": "key"}, "sequence_scope", 'expected "endpoint" or "connection"'),
        ({"gap_records": "no"}, "gap_records", "expected true or false"),
        (
            {"sequence": "u", "on_gap": "ignore"},
            "on_gap",
            'expected MODULE:FUNCTION, "resubscribe" or "reconnect", found',
        ),
        ({"producer": "feeds"}, "producer", 'expected MODULE:FUNCTION such as "feeds:produce", found'),
        (
            {"backpressure": "drop"},
            "backpressure",
            'expected "block" or "drop_oldest" or "drop_newest" or "latest"',
        ),
        ({"high_water": 0}, "high_water", "expected a whole number of messages, 1 or more"),
        ({"high_water_bytes": 0}, "high_water_bytes", "expected more than 0 bytes"),
        ({"ordered": "yes"}, "ordered", "expected true or false"),
        ({"max_concurrency": 0}, "max_concurrency", "expected a whole number of calls, 1 or more"),
        ({"timeout": 0}, "timeout", "expected more than 0 seconds"),
    ],
)
def test_what_is_said_of_an_endpoints_keys(keys: dict[str, Any], place: str, words: str) -> None:
    line = problem({"endpoints": [{"uri": URI, **keys}]})
    assert line.startswith(f"endpoints[0].{place}: ")
    assert words in line


@pytest.mark.parametrize(
    ("keys", "place", "words"),
    [
        ({"hosts": []}, "hosts", "expected a table of hosts, found an array"),
        ({"hosts": {"wss://h": {}}}, 'hosts."wss://h"', 'expected a host such as "example.org"'),
        ({"hosts": {"h": {"connects": 5}}}, "hosts.h.connects", RATE),
        (
            {"hosts": {"h": {"concurrent": 0}}},
            "hosts.h.concurrent",
            "expected a whole number of connections, 1 or more",
        ),
        ({"hosts": {"h": {"conects": "5/s"}}}, "hosts.h.conects", 'did you mean "connects"?'),
        ({"hosts": {"h": 5}}, "hosts.h", "expected a table, found 5"),
        ({"hosts": {"h": {}, "H": {}}}, "hosts.H", "expected each host once"),
        ({"state": ""}, "state", "expected the name of a file"),
        ({"state": "/no/such/place/file"}, "state", "expected a file in a directory that exists"),
        ({"control": "/"}, "control", "/"),
        ({"state": "x", "summary": "x"}, "state", "expected a file of its own, found that of summary"),
        ({"state": "x", "sink": "x"}, "state", "expected a file of its own, found that of sink[0]"),
        ({"control": "x", "state": "x"}, "control", "expected a file of its own, found that of state"),
        ({"max_dead_letters": 0}, "max_dead_letters", "expected a whole number of messages, 1 or more"),
        ({"max_dead_letter_bytes": "x"}, "max_dead_letter_bytes", "expected a whole number of bytes"),
    ],
)
def test_what_is_said_of_the_runs_keys(keys: dict[str, Any], place: str, words: str) -> None:
    line = problem({**keys, "endpoints": [{"uri": URI}]})
    assert line.startswith(f"{place}: ")
    assert words in line


HOOKS = """
async def produce():
    yield "x"
async def no_generator():
    pass
def note(gap):
    pass
"""


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"producer": "some_hooks:no_generator"}, "isn't an async generator function"),
        ({"sequence": "u", "on_gap": "some_hooks:missing"}, "missing"),
        ({"sequence": "u", "on_gap": "some_hooks:note"}, None),
        ({"producer": "some_hooks:produce"}, None),
    ],
)
def test_functions_are_imported_where_that_is_asked_for(
    keys: dict[str, Any], words: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some_hooks.py").write_text(HOOKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    raw = {"endpoints": [{"uri": URI, **keys}]}
    from_mapping(raw, "feeds.toml", environment={})
    if words is None:
        from_mapping(raw, "feeds.toml", environment={}, import_processors=True)
        return
    with pytest.raises(ConfigError, match=words):
        from_mapping(raw, "feeds.toml", environment={}, import_processors=True)


def test_keys_of_moving_and_scaling(tmp_path: Path) -> None:
    file = tmp_path / "feeds.toml"
    file.write_text(
        """
        workers = "auto"
        scaling = { min = 2, max = 4, up_at = 0.9, down_at = 0.2, up_after = "2s", down_after = "1m" }
        [rebalance]
        enabled = false
        by = "cpu"
        half_life = "5s"
        tolerance = 0.2
        at_once = 1
        per_minute = 6
        cooldown = 0
        [[endpoints]]
        uri = "wss://h/ws"
        handover = "overlap"
        identity = "data.id"
        processors = "auto"
        processor = "json:loads"
        worker = 3
        apart = "btc"
        """
    )
    config = load(file)
    assert config.workers == "auto"
    assert config.scaling == Scaling(min=2, max=4, up_at=0.9, down_at=0.2, up_after=2, down_after=60)
    assert config.rebalance == Rebalance(
        enabled=False, by="cpu", half_life=5, tolerance=0.2, at_once=1, per_minute=6, cooldown=0
    )
    (made,) = config.endpoints
    assert (made.handover, made.identity, made.processors) == ("overlap", "data.id", "auto")
    assert (made.worker, made.apart) == (3, "btc")
    assert check_config(config) == config


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"scaling": {"min": 3, "max": 2}}, "scaling.max: expected at least min, which is 3, found 2"),
        ({"scaling": {"up_at": 0.3}}, "scaling.down_at: expected less than up_at, which is 0.3, found 0.35"),
        ({"rebalance": {"by": "bits"}}, 'rebalance.by: expected "messages"'),
        (
            {"workers": 2, "endpoints": [{"uri": URI, "worker": 2}]},
            "endpoints[0].worker: expected the id of a",
        ),
        (
            {"endpoints": [{"uri": URI, "processors": -1}]},
            "endpoints[0].processors: expected a whole number of",
        ),
        ({"endpoints": [{"uri": URI, "handover": "jump"}]}, "endpoints[0].handover: expected"),
    ],
)
def test_faults_of_moving_and_scaling(raw: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_mapping({"endpoints": [{"uri": URI}], **raw}, "feeds.toml", environment={})
    (fault,) = caught.value.faults
    assert expected in str(fault)


def test_rates_to_place_endpoints_by_are_kept_beside_the_file(tmp_path: Path) -> None:
    file = tmp_path / "feeds.toml"
    two = '[[endpoints]]\nuri = "wss://h/a"\n[[endpoints]]\nuri = "wss://h/b"\n'
    file.write_text(two)
    assert load(file).state == str(tmp_path / "feeds.state.json")
    file.write_text("workers = 1\n" + two)
    assert load(file).state is None
