"""An endpoint as a table is the same endpoint when it is read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.config import (
    TLS,
    Backoff,
    Cursor,
    Endpoint,
    Heartbeat,
    InvalidShare,
    Quarantine,
    Rate,
    Ready,
    Reply,
)
from scaleout.loading import endpoints_from_tables
from scaleout.loading.tables import table_of

RICH = Endpoint(
    uri="ws://h/${NOT}$$?key=secret",
    name="rich",
    headers={"X": "1"},
    subprotocols=("a", "b"),
    proxy=False,
    subscribe=("text", {"op": "subscribe", "streams": ["{streams}"], "$": None}),
    unsubscribe=({"op": "unsubscribe", "streams": ["{streams}"]},),
    streams=("x", "y"),
    streams_per_connection=1,
    send_rate=Rate(20, 0.5),
    reconnect="on_error",
    backoff=Backoff(initial=0.1),
    quarantine=Quarantine(after=1),
    rotate_after=86_400.0,
    heartbeat=Heartbeat(send="ping", expect="pong"),
    reply=(Reply(match={"op": "ping"}, send="{op}"),),
    ready=Ready(match={"ok": True}),
    max_invalid=InvalidShare(0.07, 30.0),
    sequence="seq",
    weight=2.5,
    worker=1,
    apart="x",
)


def again(endpoint: Endpoint) -> Endpoint:
    table = msgspec.json.decode(msgspec.json.encode(table_of(endpoint)), type=dict[str, Any])
    (read,) = endpoints_from_tables([table], "f", ()).endpoints
    return read


def test_it_is_the_same() -> None:
    assert again(RICH) == RICH
    cursor = Endpoint(uri="wss://h/", name="a", cursor=Cursor(field="u", parameter="since"), processors=0)
    assert again(cursor) == cursor


def test_what_is_as_it_is_by_default_is_left_out() -> None:
    assert table_of(Endpoint(uri="ws://h/", name="a")) == {"uri": "ws://h/", "name": "a"}


def test_files_are_found_from_another_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ca.pem").touch()
    endpoint = Endpoint(uri="wss://h/", name="a", tls=TLS(ca="ca.pem", verify=False))
    assert table_of(endpoint)["tls"] == {"ca": str(tmp_path / "ca.pem"), "verify": False}
    monkeypatch.chdir("/")
    assert again(Endpoint(uri="wss://h/", name="a", tls=TLS(ca=str(tmp_path / "ca.pem")))).tls.ca is not None


@given(
    st.builds(Rate, st.integers(1, 10**6), st.floats(1e-6, 1e6)),
    st.builds(InvalidShare, st.integers(1, 10**6).map(lambda n: n / 10**6), st.floats(1e-6, 1e6)),
)
def test_rates_and_shares(rate: Rate, share: InvalidShare) -> None:
    endpoint = Endpoint(uri="ws://h/", name="a", send_rate=rate, max_invalid=share)
    read = again(endpoint)
    assert read.send_rate == rate
    assert read.max_invalid is not None
    assert read.max_invalid.share == pytest.approx(share.share, rel=1e-9)
    assert read.max_invalid.window == share.window
