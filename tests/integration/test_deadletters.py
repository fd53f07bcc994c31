"""Dead letters from the run to the person and back: listed, the processor fixed, retried, in the sink, marked."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scaleout.simulator import Faults, SimulatorConfig, SimulatorProcess

COUNT = 1_000

PROCESSOR = """
import msgspec

class Trade(msgspec.Struct):
    seq: int

def on_trade(trade: Trade) -> int | None:
    if trade.seq % 10 == 3{fix}:
        raise ValueError("poison")
    return trade.seq if trade.seq != 13 else None
"""

Launch = Callable[..., Any]


@pytest.fixture
def poisoned(tmp_path: Path, launch: Launch) -> Iterator[Any]:
    """A run that has ended: a tenth of each feed is poison, and some messages are garbage."""
    (tmp_path / "feeds.py").write_text(PROCESSOR.format(fix=""))
    faults = Faults(garbage_every=100)
    with SimulatorProcess(
        SimulatorConfig(endpoints=2, firehose=True, count=COUNT, faults=faults)
    ) as simulator:
        endpoints = [
            {"name": name, "uri": uri, "processor": "feeds:on_trade", "reconnect": "on_error"}
            for name, (_, uri) in zip(("a", "b"), simulator.endpoints, strict=True)
        ]
        run = launch({"endpoints": endpoints, "dead_letters": "dead.db", "log_level": "error"})
        assert run.wait() == 0, run.stderr
    yield run


def lines_of(launch: Launch, *arguments: str) -> list[bytes]:
    run = launch(None, "deadletters", *arguments, "--dead-letters", "dead.db", stdout=subprocess.PIPE)
    out, _ = run.process.communicate(timeout=60)
    assert run.process.returncode == 0, run.stderr
    lines: list[bytes] = out.splitlines()
    return lines


RETRY = ("--dead-letters", "dead.db", "--config", "feeds.json", "--sink", "out.jsonl")


def test_poison_listed_fixed_retried_delivered(poisoned: Any, tmp_path: Path, launch: Launch) -> None:
    totals = poisoned.summary["totals"]
    poison = [number for number in range(COUNT) if number % 10 == 3]
    dead = 2 * (len(poison) + COUNT // 100)
    assert totals["dead_lettered"] == dead == len(poisoned.dead_letters())
    before = poisoned.data()

    listed = [json.loads(line) for line in lines_of(launch, "list", "--json", "--reason", "poison")]
    assert len(listed) == 2 * len(poison)
    assert (
        sorted(json.loads(letter["payload"])["seq"] for letter in listed if letter["endpoint"] == "a")
        == poison
    )
    assert len(lines_of(launch, "list")) == 1 + dead

    (tmp_path / "feeds.py").write_text(PROCESSOR.format(fix=" and trade.seq == 23"))
    retried = launch(None, "deadletters", "retry", "--stage", "process", *RETRY)
    assert retried.wait() == 1
    delivered, filtered = 2 * (len(poison) - 2), 2
    equation = f"{2 * len(poison)} retried = {delivered} delivered + {filtered} filtered + 2 dead again\n"
    assert retried.stderr.endswith(equation)

    after = poisoned.data()
    for name in ("a", "b"):
        new = after[name][len(before[name]) :]
        assert after[name][: len(before[name])] == before[name]
        assert [int(line) for line in new] == [number for number in poison if number not in (13, 23)]
    times = {letter["received_at"] for letter in listed}
    assert {json.loads(line)["received_at"] for line in poisoned.lines()[-delivered:]} <= times
    letters = poisoned.dead_letters()
    assert [letter["status"] for letter in letters].count("retried") == delivered + filtered
    still = [letter for letter in letters if letter["status"] == "dead" and letter["stage"] == "process"]
    assert sorted((letter["endpoint"], letter["attempts"], letter["reason"]) for letter in still) == [
        ("a", 2, "ValueError: poison"),
        ("b", 2, "ValueError: poison"),
    ]

    (tmp_path / "feeds.py").write_text(PROCESSOR.format(fix=" and False"))
    last = launch(None, "deadletters", "retry", "--reason", "poison", *RETRY)
    assert last.wait() == 0, last.stderr
    assert last.stderr.endswith("2 retried = 2 delivered + 0 filtered + 0 dead again\n")


def test_a_retry_that_is_killed_can_be_repeated(poisoned: Any, tmp_path: Path, launch: Launch) -> None:
    """What was marked is written, and what wasn't is retried: nothing is missing, little comes twice."""
    slow = PROCESSOR.format(fix=" and False").replace("return", "import time; time.sleep(0.01); return")
    (tmp_path / "feeds.py").write_text(slow)
    retrying = launch(None, "deadletters", "retry", "--stage", "process", *RETRY)
    retrying.wait_until(lambda: any(letter["status"] == "retried" for letter in poisoned.dead_letters()))
    retrying.process.send_signal(signal.SIGKILL)
    retrying.wait()
    left = sum(letter["status"] == "dead" for letter in poisoned.dead_letters())
    again = launch(None, "deadletters", "retry", "--stage", "process", *RETRY)
    assert again.wait() == 0, again.stderr
    assert f"{left - 2 * (COUNT // 100)} retried" in again.stderr
    for lines in poisoned.data().values():
        assert {int(line) for line in lines} == set(range(COUNT)) - {13}


def test_watching(poisoned: Any, launch: Launch) -> None:
    listed = lines_of(launch, "list", "--json")
    watching = launch(
        None, "deadletters", "list", "--json", "--watch", "--dead-letters", "dead.db", stdout=subprocess.PIPE
    )
    out = watching.process.stdout
    assert [out.readline().rstrip() for _ in listed] == listed
    with SimulatorProcess(
        SimulatorConfig(endpoints=1, rate=1_000, faults=Faults(garbage_every=10))
    ) as simulator:
        endpoints = [{"name": "later", "uri": simulator.endpoints[0].uri}]
        run = launch(
            {"endpoints": endpoints, "dead_letters": "dead.db", "limit": 1_000, "sink": "later.jsonl"}
        )
        assert json.loads(out.readline())["endpoint"] == "later"
        assert run.wait() == 0, run.stderr
    watching.process.send_signal(signal.SIGINT)
    assert watching.wait() == 0
    out.close()


def test_endless_output_ends_with_its_reader(poisoned: Any, launch: Launch) -> None:
    run = launch(None, "deadletters", "export", "--all", "--dead-letters", "dead.db", stdout=subprocess.PIPE)
    run.process.stdout.readline()
    run.process.stdout.close()
    assert run.wait() == 0
    assert run.stderr == ""
