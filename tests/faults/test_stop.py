"""Every way a run ends: drained, balanced, in time, without a traceback, and with no process left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from scaleout.simulator import SimulatorConfig, SimulatorProcess

STOPPED_WITHIN_S = 3.0


def firehose(endpoints: int = 4, **options: Any) -> SimulatorProcess:
    return SimulatorProcess(SimulatorConfig(endpoints=endpoints, firehose=True, **options))


def endpoints_of(simulator: SimulatorProcess, **keys: object) -> list[dict[str, object]]:
    return [{"name": name, "uri": uri, **keys} for name, uri in simulator.endpoints]


class Numbered(msgspec.Struct):
    seq: int


_numbered = msgspec.json.Decoder(Numbered)


def check_whole(run: Any) -> None:
    """The output is without a gap from number 0 at each endpoint, and is what the summary says."""
    summary = run.summary
    assert summary["balanced"]
    for name, lines in run.data().items():
        assert [_numbered.decode(line).seq for line in lines] == list(range(len(lines)))
        assert summary["endpoints"][name]["delivered"] == len(lines)
    assert summary["totals"]["in_flight"] == summary["totals"]["lost"] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_under_a_firehose(number: signal.Signals, launch: Callable[..., Any]) -> None:
    with firehose() as simulator:
        run = launch({"endpoints": endpoints_of(simulator)}, start_new_session=True)
        run.wait_until(lambda: run.size() > 2_000_000)
        family = psutil.Process(run.process.pid).children(recursive=True)
        stopped_at = time.monotonic()
        os.killpg(run.process.pid, number)  # as a terminal does: every process gets it
        assert run.wait() == 0, run.stderr
        assert time.monotonic() - stopped_at < STOPPED_WITHIN_S
        codes = {record.close_code for record in simulator.connections}
    assert codes <= {1001, 1006}
    assert not psutil.wait_procs(family, timeout=5)[1]
    assert "Traceback" not in run.stderr
    check_whole(run)


def test_signal_while_many_sockets_are_full(launch: Callable[..., Any]) -> None:
    """What the peers go on to send is not looked at more than it takes to find their goodbyes."""
    with firehose(64) as simulator:
        run = launch({"endpoints": endpoints_of(simulator)}, start_new_session=True)
        run.wait_until(lambda: run.stderr.count("INFO    live") == 64 and run.size() > 2_000_000)
        stopped_at = time.monotonic()
        os.killpg(run.process.pid, signal.SIGTERM)
        assert run.wait() == 0, run.stderr
        assert time.monotonic() - stopped_at < STOPPED_WITHIN_S
    check_whole(run)


def test_a_second_signal_ends_at_once(tmp_path: Path, launch: Callable[..., Any]) -> None:
    os.mkfifo(tmp_path / "out.fifo")
    with firehose() as simulator:
        run = launch({"endpoints": endpoints_of(simulator), "sink": "out.fifo", "drain_timeout": 60})
        with (tmp_path / "out.fifo").open("rb") as reader:
            reader.readline()
            family = psutil.Process(run.process.pid).children(recursive=True)
            run.process.terminate()
            run.wait_until(lambda: "stopping" in run.stderr)
            run.process.terminate()
            stopped_at = time.monotonic()
            assert run.wait() == 3, run.stderr
            assert time.monotonic() - stopped_at < 8
    assert not run.summary["balanced"]
    assert run.summary["totals"]["in_flight"] > 0
    assert not psutil.wait_procs(family, timeout=5)[1]


def test_signals_while_the_sinks_are_closed(tmp_path: Path, launch: Callable[..., Any]) -> None:
    """Until the summary is there a signal cuts nothing short."""
    os.mkfifo(tmp_path / "out.fifo")
    with firehose() as simulator:
        run = launch(
            {"endpoints": endpoints_of(simulator), "sink": "out.fifo", "limit": 10, "drain_timeout": 0.1}
        )
        run.wait_until(lambda: "stopping" in run.stderr)
        deadline = time.monotonic() + 30
        while run.process.poll() is None and not (tmp_path / "summary.json").exists():
            assert time.monotonic() < deadline, run.stderr
            run.process.terminate()
            time.sleep(0.05)
        code = run.wait()
    totals = run.summary["totals"]
    assert totals["in_flight"] + totals["lost"] == totals["received"] == 10
    assert code == (3 if totals["in_flight"] else 0)


def test_a_first_signal_while_a_run_drains_by_itself_changes_nothing(
    tmp_path: Path, launch: Callable[..., Any]
) -> None:
    os.mkfifo(tmp_path / "out.fifo")
    with firehose() as simulator:
        run = launch({"endpoints": endpoints_of(simulator), "sink": "out.fifo", "limit": 10})
        run.wait_until(lambda: "stopping" in run.stderr)
        run.process.terminate()
        with (tmp_path / "out.fifo").open("rb") as reader:
            assert len(reader.read().splitlines()) == 10
        assert run.wait() == 0, run.stderr
    assert run.summary["totals"]["delivered"] == 10


def test_a_worker_that_ends_before_its_last_words_are_read_has_not_died(
    tmp_path: Path, launch: Callable[..., Any]
) -> None:
    """The sink takes nothing, and what the worker had left fits into the pipe."""
    os.mkfifo(tmp_path / "out.fifo")
    with firehose(1) as simulator:
        keys = {"sink": "out.fifo", "limit": 22_500, "drain_timeout": 1, "workers": 1}
        run = launch({"endpoints": endpoints_of(simulator), **keys})
        assert run.wait() == 3, run.stderr
    assert "exit code 0" not in run.stderr


def test_a_summary_that_can_not_be_written(tmp_path: Path, launch: Callable[..., Any]) -> None:
    (tmp_path / "gone").mkdir()
    with firehose(1) as simulator:
        keys = {"summary": "gone/summary.json", "limit": 1_000_000, "view": "auto"}
        run = launch({"endpoints": endpoints_of(simulator), **keys})
        run.wait_until(run.size)
        (tmp_path / "gone").rmdir()
        assert run.stop() == 1
    assert "The books balance" in run.stderr
    last = run.stderr.splitlines()[-1]
    assert last == "scaleout: the summary can't be written to gone/summary.json: No such file or directory"


def test_duration(launch: Callable[..., Any]) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=4, rate=20_000)) as simulator:
        run = launch({"endpoints": endpoints_of(simulator), "duration": 1.5})
        assert run.wait() == 0, run.stderr
    check_whole(run)
    assert run.summary["duration_s"] < 1.5 + STOPPED_WITHIN_S


@pytest.mark.parametrize("limit", [1, 12_345])
def test_the_limit_is_exact(limit: int, launch: Callable[..., Any]) -> None:
    with firehose() as simulator:
        run = launch({"endpoints": endpoints_of(simulator), "limit": limit})
        assert run.wait() == 0, run.stderr
    check_whole(run)
    assert run.summary["totals"]["received"] == limit == len(run.lines())


def test_all_endpoints_ended(launch: Callable[..., Any]) -> None:
    with firehose(count=5_000) as simulator:
        run = launch({"endpoints": endpoints_of(simulator, reconnect="on_error")})
        assert run.wait() == 0, run.stderr
    check_whole(run)
    assert run.summary["totals"]["received"] == 20_000
    assert {books["state"] for books in run.summary["endpoints"].values()} == {"ended"}


def test_an_endpoint_that_never_reconnects(launch: Callable[..., Any], unused_port: int) -> None:
    uri = f"ws://127.0.0.1:{unused_port}/"
    run = launch({"endpoints": [{"name": "gone", "uri": uri, "reconnect": "never"}]})
    assert run.wait() == 0, run.stderr
    books = run.summary["endpoints"]["gone"]
    assert (books["state"], books["connects"]) == ("ended", 0)
    assert "can't connect" in books["last_error"]
