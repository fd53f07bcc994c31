"""A simulator in processes of its own, which end with this one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

import msgspec

from scaleout import signals
from scaleout.errors import SimulatorError
from scaleout.simulator.certificates import make_certificates
from scaleout.simulator.child import Answer, Failed, Query, Ready, Report, Start
from scaleout.simulator.config import SimulatorConfig, plan_endpoints
from scaleout.simulator.records import Attempt, ConnectionRecord
from scaleout.simulator.server import EndpointAddress, stream_template, streams_uri

_STOP_TIMEOUT_S = 5.0

_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


class SimulatorProcess:
    """Serves a configuration's endpoints from other processes: `with SimulatorProcess(config) as simulator`.

    Raises:
        ConfigError: a recording's name is of no known kind.
        MissingExtraError: TLS is wanted and the library that makes certificates isn't installed.
        SimulatorError: a process couldn't start, or has died.
    """

    def __init__(self, config: SimulatorConfig | None = None) -> None:
        self.config = config if config is not None else SimulatorConfig()
        self.endpoints: list[EndpointAddress] = []
        self.ca_file: str | None = None
        self._children: list[_Child] = []
        self._stack = contextlib.ExitStack()

    @property
    def pids(self) -> list[int]:
        """Of the processes."""
        return [child.pid for child in self._children]

    @property
    def streams_uri(self) -> str:
        """Where a client subscribes by name to any of the streams that the first process serves."""
        return streams_uri(self.endpoints)

    @property
    def stream_template(self) -> str:
        """The URI of one stream of the first process, with `{stream}` in the place of its name."""
        return stream_template(self.endpoints)

    @property
    def stream_names(self) -> list[str]:
        """Names of the streams, in the order of the endpoints; dialects without names have none."""
        return [plan.stream for plan in plan_endpoints(self.config) if plan.stream]

    def pause(self) -> None:
        """Stop the processes where they are: connections stay open, and nothing is sent or answered."""
        for child in self._children:
            child.pause()

    def unpause(self) -> None:
        """Let the processes go on; a broadcast catches up."""
        for child in self._children:
            child.unpause()

    @property
    def connections(self) -> list[ConnectionRecord]:
        """All connections there have been; asks the processes."""
        return [record for report in self._reports() for record in report.connections]

    @property
    def attempts(self) -> list[Attempt]:
        """All handshakes there have been; asks the processes."""
        return [attempt for report in self._reports() for attempt in report.attempts]

    def wait_idle(self, timeout_s: float = 5.0) -> None:
        """Wait until there is no connection, so that all records are final, but no longer than that."""
        for child in self._children:
            child.report(timeout_s)

    async def died(self) -> None:
        """Wait until one of the processes has died; meanwhile, don't ask for `connections` or `attempts`."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        outputs = [child.output for child in self._children]
        for output in outputs:
            loop.add_reader(output, ended.set)
        try:
            await ended.wait()
        finally:
            for output in outputs:
                loop.remove_reader(output)

    def __enter__(self) -> Self:
        plans = plan_endpoints(self.config)
        count = min(self.config.processes, len(plans))
        with contextlib.ExitStack() as stack:
            certificates = None
            if self.config.tls:
                directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="scaleout-simulator-"))
                certificates = make_certificates(
                    Path(directory), self.config.host, self.config.faults.certificate
                )
                self.ca_file = certificates.ca_file
            self._children = [
                stack.enter_context(_Child(Start(self.config, (number, count), certificates)))
                for number in range(count)
            ]
            addresses = {address.name: address for child in self._children for address in child.wait_ready()}
            self.endpoints = [addresses[plan.name] for plan in plans]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def _reports(self) -> list[Report]:
        return [child.report() for child in self._children]


class _Child:
    """One process."""

    def __init__(self, start: Start) -> None:
        with signals.held_back():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scaleout.simulator"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": _python_path()},
            )
        self.pid = self._process.pid
        self._send(start)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self.unpause()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    @property
    def output(self) -> int:
        """The descriptor of its standard output: between answers, readable only once the process has died."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def pause(self) -> None:
        if self._process.poll() is None:
            signals.pause(self.pid)

    def unpause(self) -> None:
        if self._process.poll() is None:
            signals.unpause(self.pid)

    def wait_ready(self) -> list[EndpointAddress]:
        answer = self._receive()
        if isinstance(answer, Failed):
            raise SimulatorError(answer.problem)
        assert isinstance(answer, Ready)
        return answer.endpoints

    def report(self, wait_idle_s: float = 0.0) -> Report:
        self._send(Query(wait_idle_s))
        answer = self._receive()
        assert isinstance(answer, Report)
        return answer

    def _send(self, message: Start | Query) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(msgspec.json.encode(message) + b"\n")
            self._process.stdin.flush()

    def _receive(self) -> Answer:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            raise SimulatorError(
                f"a simulator process has died with status {status}; its standard error may say why"
            )
        return _answers.decode(line)


def _python_path() -> str:
    """Lets a child import this very package, wherever it was imported from."""
    package = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
