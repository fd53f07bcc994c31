"""Runs the program as a user does, and cleans up after it whatever happens."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import psutil
import pytest

from scaleout import cli
from tests.machine import Machine

ROOT = Path(__file__).parents[1]
DEADLINE_S = 60.0

# The same examples each time, so that a test that fails does so because of a change; new ones where asked for.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("new", deadline=None)
hypothesis.settings.load_profile("new" if "SCALEOUT_SEEDS" in os.environ else "same")


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    """Whatever sets up its process's logs does so in the tests' process, here and there."""
    loggers = [logging.getLogger(name) for name in ("scaleout", "websockets", "asyncio")]
    before = [(list(logger.handlers), logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)  # forgets what loggers below it remember


@pytest.fixture(autouse=True)
def untouched_collector() -> Iterator[None]:
    """Workers that run in the tests' process leave it with other thresholds, and with all that there was frozen."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


_machine = pytest.StashKey[Machine]()


def pytest_configure(config: pytest.Config) -> None:
    """Have the processes that run tests side by side know of each other, and those they start of Ctrl-C.

    A shell's background job ignores it, and so would all that it starts.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[_machine] = Machine(config.cache.mkdir("machine"))


ALONE = (ROOT / "tests/integration", ROOT / "tests/faults")
"""Tests that run the whole program against the clock."""
BESIDE = frozenset(
    ROOT / "tests/integration" / f"test_{name}.py"
    for name in [
        "deadletters",
        "host_budgets",
        "live_changes",
        "proxies",
        "recorded_feeds",
        "resume",
        "rotation",
        "scaling_moves",
        "sequences",
        "standby",
        "streams",
    ]
)
"""Of these, those that mostly wait, and for long enough."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs against the clock is alone."""
    for item in items:
        if item.path not in BESIDE and any(item.path.is_relative_to(folder) for folder in ALONE):
            item.add_marker("alone")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Wait for the test's turn, before its time is taken."""
    with item.config.stash[_machine].turn(is_alone=item.get_closest_marker("alone") is not None):
        return (yield)


class Launched:
    """A run of `python -m scaleout` in a directory of its own."""

    def __init__(
        self,
        directory: Path,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.directory = directory
        self._stderr_path = directory / "stderr.txt"
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        with self._stderr_path.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scaleout", *arguments],
                cwd=directory,
                env={**os.environ, "PYTHONPATH": path, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stderr=stderr,
                **{"stdout": subprocess.DEVNULL, **options},
            )

    @property
    def stderr(self) -> str:
        """What the run has told people so far."""
        return self._stderr_path.read_text()

    def wait(self, timeout_s: float = DEADLINE_S) -> int:
        """Wait for the end; the exit code."""
        return self.process.wait(timeout_s)

    def stop(self, timeout_s: float = DEADLINE_S) -> int:
        """Stop with SIGTERM and wait for the end; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def wait_until(self, condition: Callable[[], object], timeout_s: float = DEADLINE_S) -> None:
        """Wait for something to become true while the run goes on."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert self.process.poll() is None, f"the run ended early:\n{self.stderr}"
            assert time.monotonic() < deadline, f"waited {timeout_s} s in vain:\n{self.stderr}"
            time.sleep(0.02)

    @property
    def workers(self) -> list[psutil.Process]:
        """The worker processes, oldest first."""
        children = psutil.Process(self.process.pid).children()
        found = [child for child in children if "spawn_main" in " ".join(_command_line(child))]
        return sorted(found, key=lambda child: child.create_time())

    @property
    def memory_bytes(self) -> int:
        """Resident memory of all processes together, shared pages counted once."""
        total = 0
        for process in [psutil.Process(self.process.pid), *self.workers]:
            memory = process.memory_full_info()
            total += memory.uss
        return total

    @property
    def summary(self) -> Any:
        """The summary that the run wrote."""
        return json.loads((self.directory / "summary.json").read_bytes())

    def size(self, name: str = "out.jsonl") -> int:
        """Bytes in the sink so far; while it is written, the last line may not be whole."""
        path = self.directory / name
        return path.stat().st_size if path.exists() else 0

    def lines(self, name: str = "out.jsonl") -> list[bytes]:
        """What is in a sink that is not being written, line by line; only whole lines are there."""
        content = (self.directory / name).read_bytes()
        assert not content or content.endswith(b"\n"), "half a line"
        return content.splitlines()

    def data(self, name: str = "out.jsonl") -> dict[str, list[bytes]]:
        """The bytes of each result, in order, by endpoint."""
        found: dict[str, list[bytes]] = {}
        for line in self.lines(name):
            head, _, data = line.partition(b',"data":')
            found.setdefault(_head.decode(head + b"}").endpoint, []).append(data[:-1])
        return found

    def dead_letters(self, name: str = "dead.db") -> list[dict[str, Any]]:
        """The letters in a dead-letter store, oldest first, column by column."""
        with closing(sqlite3.connect(self.directory / name)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute("SELECT * FROM letters ORDER BY id")]

    def kill(self) -> None:
        """End the run and all its processes at once."""
        if self.process.poll() is None:
            family = psutil.Process(self.process.pid).children(recursive=True)
            self.process.kill()
            for child in family:
                if child.is_running():
                    child.kill()
        self.process.wait(DEADLINE_S)


def _command_line(process: psutil.Process) -> list[str]:
    try:
        found: list[str] = process.cmdline()
    except psutil.Error:
        return []
    return found


class Head(msgspec.Struct):
    """The envelope's beginning."""

    endpoint: str


_head = msgspec.json.Decoder(Head)

Launch = Callable[..., Launched]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Start `python -m scaleout` on a configuration (a mapping) with more arguments after it."""
    launched: list[Launched] = []

    def start(config: Mapping[str, object] | None = None, *arguments: str, **options: Any) -> Launched:
        given = list(arguments)
        if config is not None:
            keys = {
                "sink": "out.jsonl",
                "summary": "summary.json",
                "view": "none",
                "workers": 2,
                "rebalance": {"enabled": False},  # where endpoints are is a test's own matter
                **config,
            }
            (tmp_path / "feeds.json").write_text(json.dumps(keys))
            given.insert(0, "feeds.json")
        launched.append(Launched(tmp_path, given, **options))
        return launched[-1]

    yield start
    for run in launched:
        run.kill()


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line in this process: exit code, standard output and error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        out, err = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, out, err

    return run


@pytest.fixture
def recorded_feeds() -> list[Path]:
    """Recorded messages of real feeds, where they are at hand."""
    folder = Path(os.environ.get("SCALEOUT_FEEDS") or "/nowhere")
    if not folder.is_dir():
        pytest.skip("no recorded feeds: set SCALEOUT_FEEDS to their folder")
    return sorted([*folder.glob("*.jsonl.gz"), *folder.glob("*.b64.gz")])


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port of loopback that refuses connections: it is bound, and nobody listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
