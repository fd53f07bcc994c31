"""The number of workers changes while endpoints move: nothing is lost, and no endpoint is left without a worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scaleout import Control, ControlError
from scaleout.simulator import SimulatorConfig, SimulatorProcess

Launch = Callable[..., Any]
STILL = {"control": "s", "rebalance": {"enabled": False}, "workers": 2}
SLOW = """
import asyncio

async def on_message(message: object) -> object:
    await asyncio.sleep(1)
    return message
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths of sockets are short: be where they are."""
    monkeypatch.chdir(tmp_path)


def control_of(run: Any) -> Control:
    run.wait_until(lambda: Path("s").exists())
    control = Control("s")
    run.wait_until(lambda: all(each.received for each in control.status().endpoints))
    return control


def has_moved(control: Control, name: str) -> bool:
    """Move an endpoint to the second worker, if it hasn't come to where it is only just now."""
    try:
        control.move(name, 1)
    except ControlError as exc:
        assert "only just now" in str(exc)
        return False
    return True


def test_an_endpoint_that_is_on_its_way_to_a_worker_that_retires(launch: Launch) -> None:
    Path("slow.py").write_text(SLOW)
    with SimulatorProcess(SimulatorConfig(endpoints=1, rate=20)) as simulator:
        keys = {"name": "one", "uri": simulator.endpoints[0].uri, "handover": "break"}
        run = launch({"endpoints": [{**keys, "processor": "slow:on_message"}], **STILL})
        control = control_of(run)
        moving = threading.Thread(target=lambda: control.move("one", 1))
        moving.start()
        run.wait_until(lambda: control.status().endpoints[0].moving_to == 1)
        control.scale(1)
        moving.join()
        (one,) = control.status().endpoints
        assert one.worker == 0
        run.wait_until(lambda: control.status().endpoints[0].state == "live")
        assert run.stop() == 0, run.stderr


def test_workers_come_and_go_while_endpoints_move(launch: Launch) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=6, rate=600, start="server")) as simulator:
        endpoints = [{"name": name, "uri": uri, "sequence": "seq"} for name, uri in simulator.endpoints]
        run = launch({"endpoints": endpoints, **STILL})
        control = control_of(run)
        is_over = threading.Event()

        def keep_moving() -> None:
            while not is_over.is_set():
                for each in control.status().endpoints:
                    try:
                        control.move(each.name, 1 - each.worker)
                    except ControlError:
                        time.sleep(0.01)

        movers = [threading.Thread(target=keep_moving) for _ in range(3)]
        for mover in movers:
            mover.start()
        try:
            for workers in (1, 2, 1, 2, 1):
                control.scale(workers)
                if workers > 1:
                    moves = control.status().moves
                    run.wait_until(lambda moves=moves: control.status().moves > moves)
        finally:
            is_over.set()
            for mover in movers:
                mover.join()
        assert run.stop() == 0, run.stderr
    totals = run.summary["totals"]
    assert run.summary["balanced"]
    assert (totals["gaps"], totals["lost"], totals["uncertain"]) == (0, 0, 0), run.stderr
    for lines in run.data().values():
        numbers = [msgspec.json.decode(line)["seq"] for line in lines]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_many_streams_that_have_moved_only_just_now(launch: Launch) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=20, rate=1_000, zipf=0.5, shift=0.3)) as simulator:
        feed = {
            "uri": simulator.streams_uri,
            "streams": simulator.stream_names,
            "streams_per_connection": 7,
            "subscribe": [{"op": "subscribe", "streams": ["{streams}"]}],
            "sequence": "seq",
            "sequence_key": "stream",
        }
        feeds = [{"name": "one", **feed}, {"name": "two", **feed}]
        run = launch({"endpoints": feeds, **STILL})
        control = control_of(run)
        (first,) = [each.name for each in control.status().endpoints if each.worker == 0]
        for _ in range(2):  # the streams are mixed in another way now and then
            run.wait_until(lambda: all(each.rate > 100 for each in control.status().endpoints))
            run.wait_until(lambda: has_moved(control, first))
            control.scale(1)
            control.scale(2)
        assert run.stop() == 0, run.stderr
    totals = run.summary["totals"]
    assert (totals["gaps"], totals["lost"], totals["uncertain"]) == (0, 0, 0), run.stderr
