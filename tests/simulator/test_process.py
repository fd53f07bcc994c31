"""A simulator in processes of its own: started, asked, and gone with its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from scaleout.errors import ConfigError
from scaleout.simulator import Dialogue, Ended, Faults, SimulatorConfig, SimulatorError, SimulatorProcess
from scaleout.simulator.dialects import trade_message

_PARENT = """
import sys, time
from scaleout.simulator import SimulatorConfig, SimulatorProcess
print("never imported by a child", file=sys.stderr)
with SimulatorProcess(SimulatorConfig(endpoints=2, processes=2)) as simulator:
    print(*simulator.pids, flush=True)
    time.sleep(60)
"""

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Take = Callable[..., Coroutine[Any, Any, Any]]


def wait_gone(pids: list[int]) -> None:
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(processes, timeout=10)
    for process in alive:
        process.kill()
    assert not alive


def test_endpoints_are_shared_out_in_order(run: Run, take: Take) -> None:
    async def scenario(simulator: SimulatorProcess) -> None:
        for stream, (name, uri) in enumerate(simulator.endpoints):
            assert name == f"trade-{stream:03}"
            got = await take(uri)
            assert got.messages == [trade_message(stream, n).decode() for n in range(100)]

    with SimulatorProcess(SimulatorConfig(endpoints=5, firehose=True, count=100, processes=2)) as simulator:
        pids = simulator.pids
        assert len({uri.split("/feed/")[0] for _, uri in simulator.endpoints}) == len(pids) == 2
        run(scenario(simulator))
        simulator.wait_idle()
        records = simulator.connections
        assert {(record.endpoint, record.last, record.ended) for record in records} == {
            (name, 99, Ended.CLOSED) for name, _ in simulator.endpoints
        }
        assert len(simulator.attempts) == 5
    assert not any(map(psutil.pid_exists, pids))


def test_all_processes_share_one_authority() -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=2, processes=2, tls=True)) as simulator:
        assert all(uri.startswith("wss://") for _, uri in simulator.endpoints)
        assert simulator.ca_file is not None and Path(simulator.ca_file).exists()
    assert not Path(simulator.ca_file).exists()


def test_faults_and_paths_reach_the_process(run: Run, take: Take) -> None:
    async def scenario(uri: str) -> None:
        assert len((await take(uri)).messages) == 10

    config = SimulatorConfig(endpoints=1, rate=2000, faults=Faults(disconnect_after=10))
    with SimulatorProcess(config) as simulator:
        run(scenario(simulator.endpoints[0].uri))


def test_a_paused_process_keeps_its_connections_and_answers_nothing(run: Run) -> None:
    async def scenario(simulator: SimulatorProcess) -> None:
        async with connect(simulator.endpoints[0].uri, proxy=None, max_queue=None) as connection:
            await connection.recv()
            simulator.pause()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    while True:
                        await connection.recv()
            pong = await connection.ping()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(pong), 0.1)
            simulator.unpause()
            await pong
            await connection.recv()

    with SimulatorProcess(SimulatorConfig(endpoints=1, rate=1000)) as simulator:
        run(scenario(simulator))


def test_a_paused_process_can_be_ended() -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=1)) as simulator:
        simulator.pause()
    assert not any(map(psutil.pid_exists, simulator.pids))


def test_records_with_all_their_fields_come_over(run: Run) -> None:
    async def scenario(simulator: SimulatorProcess) -> None:
        async with connect(
            simulator.streams_uri + "?streams=feed0/feed1", proxy=None, max_queue=None
        ) as connection:
            await connection.send("hello")
            await connection.recv()
        refused = simulator.stream_template.replace("{stream}", "feed7")
        with pytest.raises(InvalidStatus):
            await connect(refused, proxy=None)

    with SimulatorProcess(SimulatorConfig(endpoints=2, dialogue=Dialogue(max_inbound_per_s=9))) as simulator:
        assert simulator.stream_names == ["feed0", "feed1"]
        run(scenario(simulator))
        simulator.wait_idle()
        (record,), (attempt,) = simulator.connections, simulator.attempts
        assert [stream.name for stream in record.streams] == ["feed0", "feed1"]
        assert (record.received, attempt.query, attempt.fault) == (("hello",), "streams=feed0/feed1", "")


def test_interrupts_are_left_to_the_parent() -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=1)) as simulator:
        os.kill(simulator.pids[0], signal.SIGINT)
        assert simulator.connections == []


def test_processes_end_when_their_parent_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None and parent.stderr is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2 and all(map(psutil.pid_exists, pids))
        parent.kill()
        wait_gone(pids)
        assert parent.stderr.read().count("never imported") == 1


def test_a_recording_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    config = SimulatorConfig(replay=(str(tmp_path / "none.jsonl.gz"),))
    with pytest.raises(SimulatorError, match="can't be read"), SimulatorProcess(config):
        pass


def test_a_taken_port_is_an_error() -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=1)) as simulator:
        port = int(simulator.endpoints[0].uri.split(":")[2].split("/")[0])
        with pytest.raises(SimulatorError, match=str(port)), SimulatorProcess(SimulatorConfig(port=port)):
            pass


def test_a_process_that_has_died_is_an_error(run: Run) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=1)) as simulator:
        os.kill(simulator.pids[0], signal.SIGKILL)
        run(simulator.died())
        with pytest.raises(SimulatorError, match="has died with status -9"):
            _ = simulator.connections


def test_a_configuration_that_cannot_be_is_an_error() -> None:
    with pytest.raises(ConfigError) as error:
        SimulatorConfig(dialect="klingon", rate=-1.0)
    assert [fault.key for fault in error.value.faults] == ["dialect", "rate"]


def test_a_firehose_cannot_be_outrun(run: Run) -> None:
    async def read_for(uri: str, time_s: float) -> int:
        """How many bytes a client that only reads gets."""
        host, port = uri.removeprefix("ws://").removesuffix("/feed/0").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=2**22)
        writer.write(
            b"GET /feed/0 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        received, end_s = 0, time.monotonic() + time_s
        while time.monotonic() < end_s:
            received += len(await reader.read(2**20))
        writer.close()
        return received

    with SimulatorProcess(SimulatorConfig(endpoints=1, firehose=True)) as simulator:
        before_s = sum(psutil.Process(simulator.pids[0]).cpu_times()[:2])
        received = run(read_for(simulator.endpoints[0].uri, 0.5))
        cpu_s = sum(psutil.Process(simulator.pids[0]).cpu_times()[:2]) - before_s
    assert received / 135 / cpu_s > 1_500_000
