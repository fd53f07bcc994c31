"""What people ask of a run, with workers that answer as they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from scaleout.config import Config, Endpoint
from scaleout.control import messages as control
from scaleout.core.ledger import Entry, Ledger
from scaleout.core.lifecycle import EndpointState, Stall
from scaleout.core.wire import ChangeStreams, Command, Resume, Send
from scaleout.errors import ControlError
from scaleout.supervisor import operator
from scaleout.supervisor.aggregator import Aggregator
from scaleout.supervisor.operator import Operator
from scaleout.supervisor.supervisor import Supervisor

Run = Callable[[Awaitable[Any]], Any]


class Desk:
    """An operator of a run whose workers only note what they are asked, and answer with `problems`."""

    def __init__(self, *names: str, **keys: Any) -> None:
        ledger = Ledger()
        endpoints = tuple(Endpoint(uri="ws://u:secret@h/?key=secret", name=name) for name in names)
        config = Config(endpoints=endpoints, **keys)
        self.supervisor = Supervisor(config, 2, ledger, Aggregator(ledger, [], None), {})
        self.supervisor.ask = self._ask  # type: ignore[method-assign]
        self.operator = Operator(self.supervisor)
        self.asked: list[Command] = []
        self.problems: dict[int, str] = {}

    async def _ask(self, slot: int, command: Callable[[int], Command]) -> str | None:
        self.asked.append(command(77))
        return self.problems.get(slot)

    def states(self, *states: EndpointState) -> None:
        for status, state in zip(self.supervisor.endpoints, states, strict=True):
            status.state = state

    async def refused(self, request: control.AnyRequest) -> str:
        with pytest.raises(ControlError) as caught:
            await self.operator.answer(request)
        return str(caught.value)


def test_resume_of_all_that_wait(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk("a", "b", "c", "d")
        desk.states(EndpointState.LIVE, EndpointState.QUARANTINED, EndpointState.BACKOFF, EndpointState.ENDED)
        assert await desk.operator.answer(control.Resume()) == control.Resumed(endpoints=("b", "c"))
        assert desk.asked == [Resume(77, 1), Resume(77, 2)]

    run(scenario())


def test_resume_of_some(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk("a", "b", "c")
        desk.states(EndpointState.LIVE, EndpointState.QUARANTINED, EndpointState.ENDED)
        request = control.Resume(endpoints=("b", "a", "b"))
        assert await desk.operator.answer(request) == control.Resumed(endpoints=("b", "a"))
        assert desk.asked == [Resume(77, 1), Resume(77, 0)]
        desk.problems[0] = "its worker is being restarted: try again"
        desk.supervisor.endpoints[2].last_error = "no such module"
        assert await desk.refused(control.Resume(endpoints=("a", "b", "c"))) == (
            "a: its worker is being restarted: try again; c: it has ended for good: no such module"
        )
        assert await desk.refused(control.Resume(endpoints=("b", "x"))) == "there is no endpoint 'x'"

    run(scenario())


def test_send(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk("btc-trades", "eth-trades")
        request = control.Send(endpoint="eth-trades", text="ping")
        assert await desk.operator.answer(request) == control.Done()
        assert desk.asked == [Send(77, 1, "ping")]
        desk.problems[1] = "eth-trades is not connected"
        assert await desk.refused(request) == "eth-trades is not connected"
        unknown = control.Send(endpoint="eth-trade", text="ping")
        assert await desk.refused(unknown) == ("there is no endpoint 'eth-trade'; did you mean eth-trades?")

    run(scenario())


@pytest.mark.parametrize(
    ("add", "remove", "problem"),
    [
        ((), (), "no stream to add, and none to remove"),
        (("x", "x"), (), "named more than once: x"),
        (("x",), ("y", "x"), "named more than once: x"),
        (("",), (), "expected names of streams, found ''"),
        (("x\n",), (), r"expected names of streams, found 'x\n'"),
    ],
)
def test_changes_of_streams_that_make_no_sense(
    run: Run, add: tuple[str, ...], remove: tuple[str, ...], problem: str
) -> None:
    async def scenario() -> None:
        desk = Desk("a")
        request = control.ChangeStreams(endpoint="a", add=add, remove=remove)
        assert await desk.refused(request) == problem
        assert desk.asked == []

    run(scenario())


def test_a_change_of_streams(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk("a")
        request = control.ChangeStreams(endpoint="a", add=("x",), remove=("y", "z"))
        assert await desk.operator.answer(request) == control.Done()
        assert desk.asked == [ChangeStreams(77, 0, ("x",), ("y", "z"))]

    run(scenario())


def test_a_run_that_ends_only_tells(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk("a")
        desk.supervisor.stop("enough")
        requests = (
            control.Resume(),
            control.Send(endpoint="a", text=""),
            control.ChangeStreams(endpoint="a", add=("x",)),
            control.Retry(ids=(1,)),
        )
        for request in requests:
            assert await desk.refused(request) == "the run is coming to its end"
        assert isinstance(await desk.operator.answer(control.GetStatus()), control.Report)
        assert desk.asked == []

    run(scenario())


def test_no_store_no_retries(run: Run) -> None:
    async def scenario() -> None:
        assert "keeps no dead letters" in await Desk("a").refused(control.Retry(ids=(1,)))

    run(scenario())


def test_secrets_stay_where_they_are(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk("a", secrets=("hunter22",))
        desk.problems[0] = "what is hunter22?"
        assert await desk.refused(control.Send(endpoint="a", text="")) == "what is ***?"
        status = desk.supervisor.endpoints[0]
        status.last_error = "hunter22 is refused"
        status.endpoint = msgspec.structs.replace(status.endpoint, streams=("user@hunter22",))
        seen = str(desk.operator.status())
        assert "user@***" in seen and "*** is refused" in seen
        assert "hunter22" not in seen and "secret" not in seen

    run(scenario())


def test_the_status(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator, "LOOK_INTERVAL_S", 0.01)

    async def scenario() -> None:
        desk = Desk("a", "b")
        ledger = desk.supervisor.ledger
        first = desk.supervisor.endpoints[0]
        first.state, first.stall, first.last_error = EndpointState.LIVE, Stall.SILENT, "lost"
        async with desk.operator.measuring():
            async with asyncio.timeout(20):
                while not desk.operator.status().endpoints[0].rate:
                    ledger.report(1, [Entry(0, received=3)])
                    await asyncio.sleep(0.001)
        status = desk.operator.status()
        received = ledger.counts(0).received
        assert status.totals["received"] == status.totals["in_flight"] == received
        seen, other = status.endpoints
        assert (seen.name, seen.state, seen.stall, seen.reason) == ("a", "live", "server silent", "lost")
        assert (seen.received, other.received, other.rate) == (received, 0, 0.0)
        assert [(worker.id, worker.state) for worker in status.workers] == [(0, "starting"), (1, "starting")]

    run(scenario())
