"""A live run that changes while it goes on, at a person's word or its configuration's: the feeds go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from scaleout import Backoff, Control, ControlError, Endpoint
from scaleout.control.views import EndpointView
from scaleout.simulator import SimulatorConfig, SimulatorProcess

Launch = Callable[..., Any]
Command = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths of sockets are short: be where they are."""
    monkeypatch.chdir(tmp_path)


def start(launch: Launch, endpoints: Sequence[Mapping[str, object]], **keys: object) -> tuple[Any, Control]:
    """A run whose endpoints move at a person's word alone."""
    quick = {"backoff": {"initial": 0.01, "maximum": 0.05}}
    still = {"rebalance": {"enabled": False}, "log_level": "error", **keys}
    run = launch({"endpoints": endpoints, "defaults": quick, "control": "s", **still})
    run.wait_until(lambda: Path("s").exists())
    return run, Control("s")


def view(control: Control, name: str) -> EndpointView:
    (found,) = [each for each in control.status().endpoints if each.name == name]
    return found


def test_endpoints_come_go_and_rest(launch: Launch, command: Command) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=3, rate=1_500)) as simulator:
        one, two, three = [uri for _, uri in simulator.endpoints]
        run, control = start(launch, [{"name": "one", "uri": one}])
        run.wait_until(lambda: view(control, "one").received > 10)
        Path("more.toml").write_text(f'[[endpoints]]\nname = "two"\nuri = "{two}"\n')
        added = command("add", "more.toml", "--control", "s")
        assert (added.returncode, added.stderr) == (0, "added: two\n")
        assert control.add(Endpoint(uri=three, name="three", backoff=Backoff(initial=0.01))) == ("three",)
        run.wait_until(lambda: min(view(control, name).received for name in ("two", "three")) > 10)
        again = command("add", "--toml", f'name = "two"\nuri = "{two}"', "--control", "s")
        assert again.returncode == 1 and "two" in again.stderr

        paused = command("pause", "one", "--control", "s")
        assert (paused.returncode, paused.stderr) == (0, "paused: one\n")
        assert view(control, "one").state == "paused"
        books = view(control, "one").received
        assert [record.closed_at is None for record in of_path(simulator, one)] == [False]
        refused = command("pause", "one", "--control", "s")
        assert (
            refused.returncode == 1 and refused.stderr.count("\n") == 1 and "paused already" in refused.stderr
        )
        with pytest.raises(ControlError, match="it is paused"):
            control.send("one", "hello")
        assert command("resume", "--control", "s").stderr == "resumed: one\n"
        run.wait_until(lambda: view(control, "one").received > books)

        removed = command("remove", "two", "three", "--control", "s")
        assert (removed.returncode, removed.stderr) == (0, "removed: two, three\n")
        assert [each.name for each in control.status().endpoints] == ["one"]
        with pytest.raises(ControlError, match="there is no endpoint 'two'"):
            control.remove("two")
        assert control.remove("one") == ("one",)
        assert control.status().endpoints == ()
        assert "no endpoints" in command("status", "--control", "s").stdout
        assert control.add(Endpoint(uri=two, name="two")) == ("two",)
        run.wait_until(lambda: view(control, "two").state == "live")
        drained = command("drain", "--control", "s")
        assert drained.returncode == 0, drained.stderr
        assert drained.stderr.startswith("drained: ")
        assert run.wait() == 0, run.stderr
        simulator.wait_idle()
        assert [len(of_path(simulator, uri)) for uri in (one, two, three)] == [2, 2, 1]
    summary = run.summary
    assert summary["balanced"] and summary["totals"]["lost"] == 0
    assert {name: len(lines) for name, lines in run.data().items()} == {
        name: each["delivered"] for name, each in summary["endpoints"].items()
    }


def of_path(simulator: SimulatorProcess, uri: str) -> list[Any]:
    """The connections to a feed so far."""
    path = uri.partition("://")[2].partition("/")[2]
    return [record for record in simulator.connections if record.path == f"/{path}"]


def test_secrets_that_come_with_endpoints_stay_secret(
    launch: Launch, command: Command, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=1, rate=100)) as simulator:
        run, control = start(
            launch, [{"name": "a", "uri": simulator.endpoints[0].uri}], log_level="debug", workers=2
        )
        run.wait_until(lambda: view(control, "a").state == "live")
        monkeypatch.setenv("KEY", "hunter22")
        uri = f"ws://127.0.0.1:{unused_port}/${{KEY}}"
        for number in range(2):  # one for each worker
            text = f'name = "{number}-${{KEY}}"\nuri = "{uri}"'
            assert command("add", "--toml", text, "--control", "s").returncode == 0
        run.wait_until(lambda: run.stderr.count("can't connect") > 1)
        os.kill(run.workers[0].pid, signal.SIGKILL)  # its successor knows, too
        run.wait_until(lambda: control.status().workers[0].restarts == 1)
        told = run.stderr.count("can't connect")
        run.wait_until(lambda: run.stderr.count("can't connect") > told + 5)
        assert run.stop() == 0
        assert "0-***" in run.stderr and "1-***" in run.stderr
        assert "hunter22" not in run.stderr


def test_moved_balanced_and_scaled(launch: Launch, command: Command) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=4, rate=2_000)) as simulator:
        endpoints = [{"name": name, "uri": uri, "worker": 0} for name, uri in simulator.endpoints]
        run, control = start(launch, endpoints, workers=1)
        names = [name for name, _ in simulator.endpoints]
        run.wait_until(lambda: all(each.received > 20 for each in control.status().endpoints))
        there = command("move", names[0], "0", "--control", "s")
        assert (there.returncode, there.stderr) == (1, f"scaleout: {names[0]} is on worker 0 already\n")
        nowhere = command("move", names[0], "1", "--control", "s")
        assert (nowhere.returncode, nowhere.stderr) == (1, "scaleout: there is no worker 1; there is 0\n")
        assert command("scale", "2", "--control", "s").stderr == "2 workers: 0, 1\n"
        pinned = command("move", names[0], "1", "--control", "s")
        assert pinned.returncode == 1 and "belongs to worker 0" in pinned.stderr
        free = json.dumps({**endpoints[0], "name": "free", "worker": None})
        Path("free.json").write_text(free)
        assert command("add", "free.json", "--control", "s").returncode == 0
        run.wait_until(lambda: view(control, "free").received > 20)
        here = view(control, "free").worker
        moved = command("move", "free", str(1 - here), "--control", "s")
        assert moved.returncode == 0, moved.stderr
        assert moved.stderr == f"free moved from worker {here} to {1 - here} (by command)\n"
        status = control.status()
        assert view(control, "free").worker == 1 - here
        assert status.moves >= 1 and status.recent_moves[-1].endpoint == "free"
        assert "free moved from" in command("status", "--control", "s").stdout
        assert command("rebalance", "--control", "s").returncode == 0
        assert control.scale(1) == (0,)
        assert {each.worker for each in control.status().endpoints} == {0}
        received = view(control, "free").received
        run.wait_until(lambda: view(control, "free").received > received)
        assert run.stop() == 0
    assert run.summary["balanced"] and run.summary["totals"]["lost"] == 0


def test_watched_until_the_end(launch: Launch) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=1, rate=500)) as simulator:
        run, control = start(launch, [{"name": "a", "uri": simulator.endpoints[0].uri}])
        run.wait_until(lambda: view(control, "a").state == "live")
        with subprocess.Popen(
            [sys.executable, "-m", "scaleout", "status", "--watch", "0.1", "--json", "--control", "s"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as watching:
            try:
                assert watching.stdout is not None
                looks = [json.loads(watching.stdout.readline()) for _ in range(3)]
                assert all([each["name"] for each in look["endpoints"]] == ["a"] for look in looks)
                assert run.stop() == 0
                _, said = watching.communicate(timeout=60)
            finally:
                watching.kill()
        assert watching.returncode == 0
        assert said.startswith("the run has ended; at the last look: ")


def rewrite(endpoints: Sequence[Mapping[str, object]], **keys: object) -> None:
    """Write another configuration in the place of the run's."""
    config = json.loads(Path("feeds.json").read_text())
    Path("feeds.json").write_text(json.dumps({**config, "endpoints": endpoints, **keys}))


def test_a_new_configuration_and_the_smallest_change(launch: Launch, command: Command) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=4, rate=2_000)) as simulator:
        uris = [uri for _, uri in simulator.endpoints]
        kept, changed, gone, new = [
            {"name": name, "uri": uri}
            for name, uri in zip(("kept", "changed", "gone", "new"), uris, strict=True)
        ]
        run, control = start(launch, [kept, changed, gone], log_level="info")
        run.wait_until(lambda: all(each.received > 10 for each in control.status().endpoints))
        workers = [worker.pid for worker in run.workers]

        rewrite([kept, {**changed, "linger": 0.01}, new], sink="other.jsonl")
        run.process.send_signal(signal.SIGHUP)
        run.wait_until(lambda: "reloaded feeds.json: 1 endpoint added, 1 removed, 1 changed" in run.stderr)
        run.wait_until(lambda: "restart to apply: sink" in run.stderr)
        assert [each.name for each in control.status().endpoints] == ["kept", "changed", "new"]
        run.wait_until(lambda: view(control, "new").received > 10 and len(of_path(simulator, uris[1])) == 2)

        rewrite([{**kept, "linger": "soon"}])
        run.process.send_signal(signal.SIGHUP)
        run.wait_until(lambda: "feeds.json: endpoints[0].linger: expected a number of seconds" in run.stderr)
        again = command("reload", "--control", "s")
        assert (again.returncode, again.stderr.count("\n")) == (2, 1)
        assert "endpoints[0].linger" in again.stderr
        assert len(control.status().endpoints) == 3

        rewrite([kept, {**changed, "linger": 0.01}, {**new, "weight": 2.0}])
        reloaded = command("reload", "--control", "s")
        assert (reloaded.returncode, reloaded.stderr) == (
            0,
            "reloaded feeds.json: 1 endpoint changed\nrestart to apply: sink\n",
        )
        assert [len(of_path(simulator, uri)) for uri in uris] == [1, 2, 1, 1]
        assert [worker.pid for worker in run.workers] == workers
        assert run.stop() == 0, run.stderr
    assert run.summary["balanced"] and run.summary["totals"]["lost"] == 0


def test_a_run_without_a_file_has_nothing_to_reload(launch: Launch, command: Command) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=1, rate=100)) as simulator:
        options = ("--sink", "null:", "--control", "s", "--view", "none")
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored by all children
        try:
            run = launch(None, simulator.endpoints[0].uri, *options, start_new_session=True)
        finally:
            signal.signal(signal.SIGHUP, before)
        run.wait_until(lambda: Path("s").exists() and Control("s").status().endpoints[0].state == "live")
        workers = [worker.pid for worker in run.workers]
        os.killpg(run.process.pid, signal.SIGHUP)  # as a terminal does that is closed
        run.wait_until(lambda: "there is nothing to reload" in run.stderr)
        refused = command("reload", "--control", "s")
        assert (refused.returncode, refused.stderr) == (
            1,
            "scaleout: there is nothing to reload: this run has no configuration file\n",
        )
        assert [worker.pid for worker in run.workers] == workers
        assert [worker.restarts for worker in Control("s").status().workers] == [0]
        assert run.stop() == 0
