"""The public API: `run` in a script, `serve` in a loop of the caller's."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

import scaleout
from scaleout.core.ledger import Counts
from scaleout.deadletters import Store
from scaleout.runner import write_summary
from scaleout.simulator import Faults, Simulator, SimulatorConfig, SimulatorProcess

ROOT = Path(__file__).parents[1]
EMPTY = scaleout.Summary(duration_s=1.0, workers=(), aggregator_cpu_s=0.0, totals=Counts(), endpoints={})


def config_for(simulator: Simulator | SimulatorProcess, sink: Path, **keys: object) -> scaleout.Config:
    endpoints = tuple(scaleout.Endpoint(name=name, uri=uri) for name, uri in simulator.endpoints)
    return scaleout.Config(endpoints=endpoints, workers=2, sink=(str(sink),), **keys)  # type: ignore[arg-type]


def test_serve_in_a_plain_asyncio_loop(tmp_path: Path) -> None:
    async def main() -> scaleout.Summary:
        async with Simulator(SimulatorConfig(endpoints=4, rate=2_000)) as simulator:
            return await scaleout.serve(config_for(simulator, tmp_path / "out.jsonl", limit=500))

    summary = asyncio.run(asyncio.wait_for(main(), 30))
    assert summary.balanced
    assert summary.totals.delivered == 500
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 500
    assert summary.to_mapping()["version"] == 1


def test_serve_follows_its_configuration_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # paths of sockets are short
    socket = Path("s")

    async def main() -> scaleout.Summary:
        async with Simulator(SimulatorConfig(endpoints=2, rate=2_000)) as simulator:
            both = config_for(simulator, tmp_path / "out.jsonl", control="s")
            one = msgspec.structs.replace(both, endpoints=both.endpoints[:1])
            running = asyncio.create_task(scaleout.serve(one, reload=lambda: both))
            while not socket.exists():  # noqa: ASYNC110, ASYNC240  # a file says nothing
                await asyncio.sleep(0.02)
            run = scaleout.Control("s")
            done = await asyncio.to_thread(run.reload)
            assert (done.source, done.added) == ("the configuration", (both.endpoints[1].name,))
            await asyncio.to_thread(run.drain)
            return await running

    summary = asyncio.run(asyncio.wait_for(main(), 30))
    assert summary.balanced and len(summary.endpoints) == 2


def test_cancelling_serve_drains(tmp_path: Path) -> None:
    sink = tmp_path / "out.jsonl"

    async def main() -> None:
        async with Simulator(SimulatorConfig(endpoints=4, rate=5_000)) as simulator:
            serving = asyncio.create_task(
                scaleout.serve(config_for(simulator, sink, summary=str(tmp_path / "summary.json")))
            )
            while not sink.exists() or not sink.stat().st_size:  # noqa: ASYNC110  # a file says nothing
                await asyncio.sleep(0.02)
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving

    asyncio.run(asyncio.wait_for(main(), 30))
    assert not psutil.Process().children(recursive=False) or all(
        "spawn_main" not in " ".join(child.cmdline()) for child in psutil.Process().children()
    )
    assert sink.read_bytes().endswith(b"\n")
    summary = json.loads((tmp_path / "summary.json").read_bytes())
    assert summary["balanced"] and summary["totals"]["delivered"] == sink.read_bytes().count(b"\n")


def test_a_script_without_main_guard(tmp_path: Path) -> None:
    """Workers don't import the program's main module, so that it isn't run again in each of them."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, scaleout\n"
        "print('started', flush=True)\n"
        "endpoints = tuple(scaleout.Endpoint(uri=uri, processor='handlers:double') for uri in sys.argv[1:])\n"
        "config = scaleout.Config(endpoints=endpoints, workers=2, sink=('out.jsonl',), limit=100)\n"
        "summary = scaleout.run(config)\n"
        "print('balanced' if summary.balanced else 'lost')\n"
    )
    (tmp_path / "handlers.py").write_text(
        "import msgspec\n"
        "class Trade(msgspec.Struct):\n    seq: int\n"
        "def double(trade: Trade) -> int:\n    return 2 * trade.seq\n"
    )
    with SimulatorProcess(SimulatorConfig(endpoints=2, rate=2_000)) as simulator:
        ran = subprocess.run(
            [sys.executable, script.name, *(uri for _, uri in simulator.endpoints)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert ran.stdout.split() == ["started", "balanced"], ran.stderr
    results = [json.loads(line)["data"] for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    assert len(results) == 100
    assert all(result % 2 == 0 for result in results)


@pytest.mark.parametrize("name", ["dead.csv", "-", "null:"])
def test_dead_letters_go_to_a_file_whatever_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def main() -> scaleout.Summary:
        faults = Faults(garbage_every=2)
        async with Simulator(SimulatorConfig(endpoints=1, rate=2_000, faults=faults)) as simulator:
            return await scaleout.serve(config_for(simulator, Path("out.jsonl"), limit=30, dead_letters=name))

    summary = asyncio.run(asyncio.wait_for(main(), 30))
    with Store(tmp_path / name) as store:
        assert store.totals().letters == summary.totals.dead_lettered == 10


def test_the_newest_dead_letters_are_kept_where_there_is_no_room_for_all(tmp_path: Path) -> None:
    async def main() -> scaleout.Summary:
        faults = Faults(garbage_every=2)
        async with Simulator(SimulatorConfig(endpoints=1, rate=2_000, faults=faults)) as simulator:
            limits = {"dead_letters": str(tmp_path / "dead.db"), "max_dead_letters": 4}
            return await scaleout.serve(config_for(simulator, tmp_path / "out.jsonl", limit=30, **limits))

    summary = asyncio.run(asyncio.wait_for(main(), 30))
    with Store(tmp_path / "dead.db") as store:
        totals = store.totals()
    assert (totals.letters, totals.left_dead, summary.totals.dead_lettered) == (4, 6, 10)


def test_dead_letters_do_not_go_into_another_file(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    path.write_text("{}\n")
    endpoints = (scaleout.Endpoint(uri="ws://127.0.0.1:1"),)
    with pytest.raises(scaleout.ConfigError, match=r"dead_letters: .* isn't a dead-letter store"):
        scaleout.run(scaleout.Config(endpoints=endpoints, dead_letters=str(path)))
    assert path.read_text() == "{}\n"


def test_a_summary_goes_into_a_fifo_which_stays_one(tmp_path: Path) -> None:
    fifo = tmp_path / "summary"
    os.mkfifo(fifo)
    with open(os.open(fifo, os.O_RDWR), "rb", buffering=0) as reader:
        write_summary(EMPTY, str(fifo))
        assert json.loads(reader.read(4096))["version"] == 1
    assert fifo.is_fifo()


def test_a_summary_goes_where_a_link_leads(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "summary.json"
    link.symlink_to(target)
    write_summary(EMPTY, str(link))
    assert link.is_symlink()
    assert json.loads(target.read_bytes())["balanced"] is True
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(tmp_path.iterdir()) == [link, target]


def test_all_faults_of_a_configuration_at_once() -> None:
    with pytest.raises(scaleout.ConfigError) as caught:
        scaleout.run(
            scaleout.Config(
                endpoints=(scaleout.Endpoint(uri="http://example.org", processor="no_such:thing", weight=-1),)
            )
        )
    keys = {fault.key for fault in caught.value.faults}
    assert keys == {"endpoints[0].uri", "endpoints[0].processor", "endpoints[0].weight"}


def test_a_worker_that_never_gets_ready(tmp_path: Path) -> None:
    """An import that fails in every worker ends the run with a reason, instead of restarting for ever."""
    broken = tmp_path / "uvloop.py"
    script = tmp_path / "script.py"
    script.write_text(
        "import pathlib, sys, scaleout\n"
        "run = scaleout.run  # so that this process has all it needs\n"
        f"pathlib.Path({str(broken)!r}).write_text('raise ImportError')\n"
        "try:\n"
        "    run(scaleout.Config(endpoints=(scaleout.Endpoint(uri='ws://127.0.0.1:1/'),)))\n"
        "except scaleout.WorkerError as exc:\n"
        "    print(exc)\n"
    )
    ran = subprocess.run(
        [sys.executable, script.name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "worker 0 died 5 times before it was ready: exit code 1" in ran.stdout, ran.stderr
