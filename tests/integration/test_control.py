"""A live run and the person who controls it: seen by the feeds' server, in the sink and in the books."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from scaleout import Control, ControlError
from scaleout.control.messages import Retried
from scaleout.control.views import EndpointView
from scaleout.simulator import Faults, SimulatorConfig, SimulatorProcess

Launch = Callable[..., Any]
Command = Callable[..., subprocess.CompletedProcess[str]]

QUICK = {"backoff": {"initial": 0.01, "maximum": 0.05}}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths of sockets are short: be where they are."""
    monkeypatch.chdir(tmp_path)


def start(launch: Launch, endpoints: Sequence[Mapping[str, object]], **keys: object) -> tuple[Any, Control]:
    run = launch({"endpoints": endpoints, "defaults": QUICK, "control": "s", "log_level": "error", **keys})
    run.wait_until(lambda: Path("s").exists())
    return run, Control("s")


def view(control: Control, name: str) -> EndpointView:
    (found,) = [each for each in control.status().endpoints if each.name == name]
    return found


def test_quarantined_seen_and_released(launch: Launch, command: Command) -> None:
    good = SimulatorConfig(endpoints=1, rate=500)
    bad = SimulatorConfig(endpoints=1, rate=500, faults=Faults(refuse_first=2, refuse_status=401))
    with SimulatorProcess(good) as feed, SimulatorProcess(bad) as locked:
        endpoints: list[Mapping[str, object]] = [
            {"name": "good", "uri": feed.endpoints[0].uri},
            {
                "name": "locked",
                "uri": locked.endpoints[0].uri,
                "quarantine": {"after": 1, "probe": "1h"},
            },
        ]
        run, control = start(launch, endpoints)
        run.wait_until(lambda: view(control, "locked").state == "quarantined")
        seen = view(control, "locked")
        assert "401" in str(seen.reason) and seen.connects == 0
        assert seen.since is not None
        shown = command("status", "--control", "s")
        (row,) = [line for line in shown.stdout.splitlines() if line.startswith("locked")]
        assert "quarantined" in row and "401" in row

        resumed = command("resume", "locked", "--control", "s")
        assert (resumed.returncode, resumed.stderr) == (0, "resumed: locked\n")
        run.wait_until(lambda: len(locked.attempts) == 2)
        run.wait_until(lambda: view(control, "locked").state == "quarantined")
        assert control.resume() == ("locked",)
        run.wait_until(lambda: view(control, "locked").received > 10)
        assert view(control, "locked").state == "live"
        run.wait_until(lambda: view(control, "good").rate > 0)
        assert [record.index for record in feed.connections] == [0]
        assert run.stop() == 0
    assert not Path("s").exists()
    summary = run.summary
    assert summary["balanced"]
    assert (summary["endpoints"]["good"]["connects"], summary["endpoints"]["locked"]["connects"]) == (1, 1)


def test_the_status_is_one_object(launch: Launch, command: Command) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=3, rate=1_000)) as simulator:
        endpoints = [{"name": name, "uri": uri} for name, uri in simulator.endpoints]
        run, control = start(launch, endpoints)
        run.wait_until(lambda: 800 < sum(each.rate for each in control.status().endpoints) < 1_200)
        assert stat.S_IMODE(Path("s").stat().st_mode) == 0o600
        (line,) = command("status", "--control", "s", "--json").stdout.splitlines()
        status = json.loads(line)
        assert [worker["id"] for worker in status["workers"]] == [0, 1]
        assert {each["name"] for each in status["endpoints"]} == {name for name, _ in simulator.endpoints}
        assert {each["worker"] for each in status["endpoints"]} == {0, 1}
        assert status["totals"]["received"] >= status["totals"]["delivered"] > 0
        assert all(each["rate"] > 0 for each in status["endpoints"])
        assert run.stop() == 0


def test_a_text_sent_is_what_the_server_gets(launch: Launch, command: Command) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=2, rate=100)) as simulator:
        endpoints = [
            {"name": name, "uri": uri} for name, (_, uri) in zip("ab", simulator.endpoints, strict=True)
        ]
        run, control = start(launch, endpoints)
        run.wait_until(lambda: view(control, "a").state == "live")
        text = '{"op":"grüß"}'
        assert command("send", "a", text, "--control", "s").returncode == 0
        run.wait_until(lambda: any(record.received for record in simulator.connections))
        assert {record.received for record in simulator.connections} == {(text,), ()}
        refused = command("send", "aa", text, "--control", "s")
        assert refused.returncode == 1
        assert refused.stderr == "scaleout: there is no endpoint 'aa'; did you mean a?\n"
        assert run.stop() == 0


def streams_of(simulator: SimulatorProcess) -> list[list[str]]:
    """What each open connection carries."""
    return [
        sorted(stream.name for stream in record.streams if stream.unsubscribed_at is None)
        for record in simulator.connections
        if record.closed_at is None
    ]


def test_streams_come_and_go_and_the_others_go_on(launch: Launch, command: Command) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=4, rate=2_000)) as simulator:
        one, two, three, four = simulator.stream_names
        endpoint = {
            "name": "many",
            "uri": simulator.streams_uri,
            "streams": [one, two],
            "subscribe": [{"op": "subscribe", "streams": ["{streams}"]}],
            "unsubscribe": [{"op": "unsubscribe", "streams": ["{streams}"]}],
        }
        run, control = start(launch, [endpoint], workers=1)
        run.wait_until(lambda: streams_of(simulator) == [[one, two]])
        run.wait_until(lambda: view(control, "many").received > 100)
        changed = command("streams", "many", "--add", f"{three},{four}", "--remove", one, "--control", "s")
        assert (changed.returncode, changed.stderr) == (
            0,
            f"many: added {three}, {four}; removed {one}\n",
        )
        assert view(control, "many").streams == (two, three, four)
        run.wait_until(lambda: streams_of(simulator) == [[two, three, four]])
        again = command("streams", "many", "--add", two, "--control", "s")
        assert (again.returncode, again.stderr) == (1, f"scaleout: there already: {two}\n")
        (record,) = simulator.connections
        (kept,) = [stream for stream in record.streams if stream.name == two]
        assert kept.unsubscribed_at is None

        # Whoever takes the endpoint over has the streams as they are, not as they were configured.
        run.workers[0].send_signal(signal.SIGKILL)
        run.wait_until(
            lambda: len(simulator.connections) == 2 and streams_of(simulator) == [[two, three, four]]
        )
        assert run.stop() == 0
        simulator.wait_idle()
    assert run.summary["balanced"]
    numbers = [
        message["seq"] for message in map(json.loads, run.data()["many"]) if message.get("stream") == two
    ]
    before = [number for number in numbers if number <= (kept.last or 0)]
    assert before == list(range(before[0], before[-1] + 1))


PROCESSOR = """
import asyncio
from pathlib import Path
import msgspec
from scaleout import Context

class Trade(msgspec.Struct):
    seq: int

def on_trade(trade: Trade, context: Context) -> int | None:
    if trade.seq % 10 == 3 and not Path("fixed").exists():
        raise ValueError("poison")
    if trade.seq == 23:
        raise ValueError("incurable")
    if Path("fixed").exists() and trade.seq == 33:
        context.send("hello from a letter")
    return trade.seq if trade.seq != 13 else None

async def slowly(trade: Trade) -> int:
    if trade.seq % 10 == 3:
        if not Path("fixed").exists():
            raise ValueError("poison")
        Path("begun").touch()
        while not Path("healed").exists():
            await asyncio.sleep(0.01)
    return trade.seq
"""
COUNT = 500
POISON = [number for number in range(COUNT) if number % 10 == 3]


def letters_of(run: Any, status: str) -> list[dict[str, Any]]:
    return [letter for letter in run.dead_letters() if letter["status"] == status]


def poisoned(
    launch: Launch, simulator: SimulatorProcess, function: str, **keys: object
) -> tuple[Any, Control]:
    """A live run whose feeds have all come, a tenth of them into the dead letters."""
    Path("feeds.py").write_text(PROCESSOR)
    endpoints = [
        {"name": name, "uri": uri, "processor": f"feeds:{function}"}
        for name, (_, uri) in zip(("a", "b"), simulator.endpoints, strict=True)
    ]
    run, control = start(launch, endpoints, dead_letters="dead.db", **keys)
    run.wait_until(
        lambda: control.status().totals["in_flight"] == 0 == 2 * COUNT - control.status().totals["received"]
    )
    run.wait_until(lambda: len(letters_of(run, "dead")) == 2 * len(POISON))
    return run, control


def holding() -> SimulatorConfig:
    return SimulatorConfig(endpoints=2, firehose=True, count=COUNT, at_end="hold")


def test_poison_retried_live(launch: Launch, command: Command) -> None:
    with SimulatorProcess(holding()) as simulator:
        run, _ = poisoned(launch, simulator, "on_trade")
        in_vain = command("deadletters", "retry", "1", "--dead-letters", "dead.db", "--control", "s")
        assert in_vain.returncode == 1
        assert "letter 1 of " in in_vain.stderr and "dead again: ValueError: poison" in in_vain.stderr
        first = run.dead_letters()[0]
        assert (first["attempts"], first["status"]) == (2, "dead")

        Path("fixed").touch()
        retried = command("deadletters", "retry", "--all", "--dead-letters", "dead.db", "--control", "s")
        assert retried.returncode == 1
        asked, delivered = 2 * len(POISON), 2 * len(POISON) - 4
        assert retried.stderr.endswith(
            f"{asked} retried = {delivered} delivered + 2 filtered + 2 dead again\n"
        )
        assert len(letters_of(run, "retried")) == delivered + 2
        assert sorted((each["endpoint"], each["reason"]) for each in letters_of(run, "dead")) == [
            ("a", "ValueError: incurable"),
            ("b", "ValueError: incurable"),
        ]
        run.wait_until(lambda: all(record.received for record in simulator.connections))
        assert {record.received for record in simulator.connections} == {("hello from a letter",)}
        assert run.stop() == 0
    for lines in run.data().values():
        assert sorted(map(int, lines)) == [number for number in range(COUNT) if number not in (13, 23)]
    summary = run.summary
    assert summary["balanced"]
    totals = summary["totals"]
    assert totals["retried"] == 1 + asked
    assert totals["received"] == 2 * COUNT + 1 + asked
    assert totals["dead_lettered"] == asked + 1 + 2
    assert totals["filtered"] == 2
    assert totals["lost"] == 0
    assert len(run.dead_letters()) == asked, "a letter that fails again becomes no other"


def in_background(function: Callable[[], Retried]) -> Callable[[], Retried]:
    """Call it in a thread; what is returned waits for its result."""
    results: list[Retried] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()

    def result() -> Retried:
        thread.join(60)
        return results[0]

    return result


def test_a_worker_that_dies_while_it_retries(launch: Launch) -> None:
    with SimulatorProcess(holding()) as simulator:
        run, control = poisoned(launch, simulator, "slowly", workers=1)
        Path("fixed").touch()
        ids = [letter["id"] for letter in run.dead_letters()]
        result = in_background(lambda: control.retry(ids))
        run.wait_until(lambda: Path("begun").exists())
        busy = control.retry(ids[:1])
        assert (busy.retried, busy.left, busy.problems) == (0, 1, ("1 letter: being tried already",))
        os.kill(run.workers[0].pid, signal.SIGKILL)
        reply = result()
        assert (reply.retried, reply.left) == (0, len(ids))
        assert "killed by SIGKILL" in reply.problems[0]
        assert {(each["status"], each["attempts"]) for each in run.dead_letters()} == {("dead", 1)}

        Path("healed").touch()
        run.wait_until(lambda: control.status().workers[0].state == "ready")
        run.wait_until(lambda: view(control, "a").state == view(control, "b").state == "live")
        assert control.retry(ids, store="dead.db") == Retried(retried=len(ids), delivered=len(ids))
        assert {(each["status"], each["attempts"]) for each in run.dead_letters()} == {("retried", 2)}
        assert run.stop() == 0
    summary = run.summary
    assert summary["balanced"]
    assert summary["totals"]["retried"] == len(ids)


def test_a_stop_while_letters_are_retried_leaves_them_as_they_were(launch: Launch) -> None:
    with SimulatorProcess(holding()) as simulator:
        run, control = poisoned(launch, simulator, "slowly", drain_timeout=1.0)
        Path("fixed").touch()
        ids = [letter["id"] for letter in run.dead_letters()]

        result = in_background(lambda: control.retry(ids))
        run.wait_until(lambda: Path("begun").exists())
        assert run.stop() == 0, run.stderr
        reply = result()
        assert (reply.retried, reply.left) == (0, len(ids))
        assert "before it was done with them" in reply.problems[0]
    assert {(each["status"], each["attempts"]) for each in run.dead_letters()} == {("dead", 1)}
    assert run.summary["balanced"]
    assert run.summary["totals"]["retried"] == 0


def test_a_stop_waits_for_retries_that_end_in_time(launch: Launch) -> None:
    with SimulatorProcess(holding()) as simulator:
        run, control = poisoned(launch, simulator, "slowly")
        Path("fixed").touch()
        ids = [letter["id"] for letter in run.dead_letters()]
        result = in_background(lambda: control.retry(ids))
        run.wait_until(lambda: Path("begun").exists())
        run.process.send_signal(signal.SIGTERM)
        simulator.wait_idle()  # the connections are closed: the run is on its way out
        Path("healed").touch()
        assert result() == Retried(retried=len(ids), delivered=len(ids))
        assert run.wait() == 0, run.stderr
    assert {(each["status"], each["attempts"]) for each in run.dead_letters()} == {("retried", 2)}
    assert run.summary["balanced"]
    assert run.summary["totals"]["retried"] == len(ids)


def test_letters_that_can_not_be_retried(launch: Launch, command: Command) -> None:
    with SimulatorProcess(holding()) as simulator:
        run, control = poisoned(launch, simulator, "on_trade")
        assert control.retry([10**6]) == Retried(
            left=1, problems=("1 letter: not there, or not dead any more",)
        )
        with pytest.raises(ControlError, match="no letters"):
            control.retry([])
        with pytest.raises(ControlError, match=r"another file: .*dead\.db"):
            control.retry([1], store="feeds.json")
        both = command(
            "deadletters", "retry", "1", "--dead-letters", "dead.db", "--control", "s", "--sink", "x"
        )
        assert both.returncode == 2
        assert "--sink: the run behind --control has its own" in both.stderr
        nowhere = command("deadletters", "retry", "1", "--dead-letters", "dead.db", "--control", "t")
        assert nowhere.returncode == 1
        assert "there is no t" in nowhere.stderr
        edited = control.retry([1], {1: b'{"seq": 5}'})
        assert edited == Retried(retried=1, delivered=1)
        assert run.dead_letters()[0]["edited"] == b'{"seq": 5}'
        assert run.stop() == 0
    assert run.summary["balanced"]


def test_one_run_a_socket_and_a_stale_one_is_replaced(launch: Launch, command: Command) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=1, rate=100)) as simulator:
        endpoints = [{"name": "a", "uri": simulator.endpoints[0].uri}]
        run, control = start(launch, endpoints)
        run.wait_until(lambda: view(control, "a").state == "live")
        second = command("run", simulator.endpoints[0].uri, "--control", "s", "--sink", "null:")
        assert second.returncode == 2
        assert second.stderr.startswith("scaleout: control: another run listens at s")
        assert second.stderr.count("\n") == 1
        run.kill()
        with pytest.raises(ControlError, match="nobody listens at s: its run has ended"):
            control.status()
        again = launch({"endpoints": endpoints, "control": "s", "log_level": "error"})
        again.wait_until(lambda: _answers(control))
        assert again.stop() == 0
        assert not Path("s").exists()


def _answers(control: Control) -> bool:
    try:
        control.status()
    except ControlError:
        return False
    return True
