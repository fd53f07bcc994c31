"""What people ask of a run, with workers that answer as they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest

from scaleout import secrets
from scaleout.config import Config, Endpoint
from scaleout.control import messages as control
from scaleout.control.views import MoveView
from scaleout.core.ledger import Ledger
from scaleout.core.lifecycle import EndpointState
from scaleout.core.wire import ChangeStreams, Command, Resume, Send
from scaleout.errors import ConfigError, ControlError
from scaleout.secrets import Redactor
from scaleout.supervisor.aggregator import Aggregator
from scaleout.supervisor.moves import MoveRecord
from scaleout.supervisor.operator import MAX_WORKERS, Operator
from scaleout.supervisor.reloading import Reloader
from scaleout.supervisor.supervisor import Supervisor
from scaleout.supervisor.views import Views

Run = Callable[[Awaitable[Any]], Any]


class FakeChanges:
    """Notes what is to change, and refuses with `problem`."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.problem: str | None = None
        self.record = MoveRecord(5.0, "a", 0, 1, "by command", 0.1)

    def _note(self, *asked: object) -> None:
        self.asked.append(asked)
        if self.problem is not None:
            raise ControlError(self.problem)

    def add(self, endpoints: Sequence[Endpoint]) -> None:
        self._note("add", *(endpoint.name for endpoint in endpoints))

    async def remove(self, slot: int) -> None:
        self._note("remove", slot)

    async def pause(self, slot: int) -> None:
        self._note("pause", slot)

    def unpause(self, slot: int) -> None:
        self._note("unpause", slot)

    async def move(self, slot: int, worker: int) -> MoveRecord:
        self._note("move", slot, worker)
        return self.record

    async def rebalance(self) -> list[MoveRecord]:
        self._note("rebalance")
        return [self.record]

    async def scale_by_hand(self, workers: int) -> None:
        self._note("scale", workers)


class Desk:
    """An operator of a run whose workers only note what they are asked, and answer with `problems`."""

    def __init__(self, *names: str, **keys: Any) -> None:
        ledger = Ledger()
        endpoints = tuple(Endpoint(uri="ws://u:secret@h/?key=secret", name=name) for name in names)
        config = Config(endpoints=endpoints, **{"workers": 2, **keys})
        self.supervisor = Supervisor(config, 2, ledger, Aggregator(ledger, [], None), {})
        self.supervisor.ask = self._ask  # type: ignore[method-assign]
        self.changes = FakeChanges()
        self.supervisor.changes = self.changes  # type: ignore[assignment]
        views = Views(self.supervisor, Redactor(config.secrets))
        self.operator = Operator(self.supervisor, views, Reloader(self.supervisor, None))
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


# Endpoints


def test_added(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk("a")
        request = control.Add(endpoints=({"uri": "ws://h/b", "name": "b"}, {"uri": "ws://h/c"}))
        assert await desk.operator.answer(request) == control.Added(endpoints=("b", "h/c"))
        assert desk.changes.asked == [("add", "b", "h/c")]
        desk.changes.problem = "there already: b"
        assert await desk.refused(request) == "there already: b"

    run(scenario())


def test_endpoints_with_faults_are_not_added(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk("a")
        request = control.Add(
            source="more.toml",
            endpoints=({"uri": "ws://h/b", "processor": "nosuch:f"}, {"uri": "ws://h/c", "linger": "x"}),
        )
        with pytest.raises(ConfigError) as caught:
            await desk.operator.answer(request)
        assert [(fault.source, fault.key) for fault in caught.value.faults] == [
            ("more.toml", "endpoints[0].processor"),
            ("more.toml", "endpoints[1].linger"),
        ]
        request = control.Add(endpoints=({"uri": "ws://h/b"}, {"uri": "ws://h/c", "worker": 2}))
        with pytest.raises(
            ConfigError, match=r"^command: endpoints\[1\].worker: there is no worker 2; there are 0, 1$"
        ):
            await desk.operator.answer(request)
        assert desk.changes.asked == []

    run(scenario())


def test_what_comes_with_secrets_is_redacted_from_then_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_learnt", {})

    async def scenario() -> None:
        desk = Desk("a")
        desk.problems[0] = "what is hunter22?"
        request = control.Add(
            endpoints=({"uri": "ws://h/?key=hunter22", "name": "b"},), secrets=("hunter22",)
        )
        await desk.operator.answer(request)
        assert await desk.refused(control.Send(endpoint="a", text="")) == "what is ***?"

    run(scenario())


def test_removed_and_paused(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk("a", "b", "c")
        desk.states(EndpointState.LIVE, EndpointState.LIVE, EndpointState.ENDED)
        remove = control.Remove(endpoints=("c", "a", "c"))
        assert await desk.operator.answer(remove) == control.Removed(endpoints=("c", "a"))
        assert desk.changes.asked == [("remove", 2), ("remove", 0)]
        assert await desk.operator.answer(control.Pause(endpoints=("b",))) == control.Paused(endpoints=("b",))
        assert desk.changes.asked[2:] == [("pause", 1)]
        assert await desk.refused(control.Pause(endpoints=("c",))) == "c: it has ended for good"
        assert await desk.refused(control.Pause(endpoints=("b", "d"))) == "there is no endpoint 'd'"
        assert await desk.refused(control.Remove(endpoints=())) == "which endpoints? there is no name"
        assert desk.changes.asked[3:] == [], "with one of them unknown, nothing is done"
        desk.changes.problem = "no"
        assert await desk.refused(control.Pause(endpoints=("b",))) == "b: no"
        desk.states(*[EndpointState.PAUSED] * 3)
        assert await desk.refused(control.Pause(endpoints=("b",))) == "b: it is paused already"

    run(scenario())


def test_resume_of_all_that_wait(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk("a", "b", "c", "d", "e")
        desk.states(
            EndpointState.LIVE,
            EndpointState.QUARANTINED,
            EndpointState.BACKOFF,
            EndpointState.ENDED,
            EndpointState.PAUSED,
        )
        assert await desk.operator.answer(control.Resume()) == control.Resumed(endpoints=("b", "c", "e"))
        assert desk.asked == [Resume(77, 1), Resume(77, 2)]
        assert desk.changes.asked == [("unpause", 4)]
        desk.states(*[EndpointState.LIVE] * 5)
        assert await desk.operator.answer(control.Resume()) == control.Resumed(endpoints=())

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
        desk.states(EndpointState.LIVE, EndpointState.PAUSED)
        assert await desk.refused(request) == "it is paused: resume it first"

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
        desk.supervisor.endpoints[0].moving_to = 1
        assert await desk.refused(request) == "it is moving to worker 1: try again"

    run(scenario())


# Workers


def test_moved(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk("a", "b")
        status = desk.supervisor.endpoints[0]
        status.worker = 0
        reply = await desk.operator.answer(control.Move(endpoint="a", worker=1))
        assert reply == control.Moved(
            moves=(
                MoveView(
                    at=5.0, endpoint="a", source=0, target=1, why="by command", problem=None, uncertain=False
                ),
            )
        )
        assert desk.changes.asked == [("move", 0, 1)]
        desk.changes.problem = "a stays where it is: it is silent"
        assert await desk.refused(control.Move(endpoint="a", worker=1)) == "a stays where it is: it is silent"

    run(scenario())


def test_moves_that_make_no_sense(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk("a", "b")
        first, second = desk.supervisor.endpoints
        first.worker = second.worker = 0
        assert (
            await desk.refused(control.Move(endpoint="a", worker=7)) == "there is no worker 7; there are 0, 1"
        )
        assert (
            await desk.refused(control.Move(endpoint="a", worker=-1))
            == "there is no worker -1; there are 0, 1"
        )
        assert await desk.refused(control.Move(endpoint="a", worker=0)) == "a is on worker 0 already"
        assert await desk.refused(control.Move(endpoint="x", worker=1)) == "there is no endpoint 'x'"
        second.state = EndpointState.ENDED
        assert await desk.refused(control.Move(endpoint="b", worker=1)) == "it has ended for good"
        first.endpoint = msgspec.structs.replace(first.endpoint, worker=0)
        assert await desk.refused(control.Move(endpoint="a", worker=1)) == (
            "a belongs to worker 0: its configuration says so (`worker`)"
        )
        assert desk.changes.asked == []
        first.endpoint = msgspec.structs.replace(first.endpoint, worker=5)  # a worker that is gone
        await desk.operator.answer(control.Move(endpoint="a", worker=1))

    run(scenario())


def test_balanced_and_scaled(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk("a")
        reply = await desk.operator.answer(control.Rebalance())
        assert isinstance(reply, control.Moved) and [move.endpoint for move in reply.moves] == ["a"]
        assert await desk.operator.answer(control.Scale(workers=2)) == control.Scaled(workers=(0, 1))
        assert desk.changes.asked == [("rebalance",), ("scale", 2)]
        for workers in (0, -1, MAX_WORKERS + 1):
            assert "expected a number of workers from 1 to 1,000" in await desk.refused(
                control.Scale(workers=workers)
            )

    run(scenario())


# The run


def test_drained(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk("a")
        draining = asyncio.ensure_future(desk.operator.answer(control.Drain()))
        again = asyncio.ensure_future(desk.operator.answer(control.Drain()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert desk.supervisor.is_stopping
        assert not draining.done() and not again.done()
        desk.supervisor._drained.set()
        reply = await draining
        assert isinstance(reply, control.Drained) and reply.totals["received"] == 0
        assert await again == reply

    run(scenario())


def test_a_run_that_ends_only_tells(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk("a")
        desk.supervisor.stop("enough")
        requests = (
            control.Add(endpoints=({"uri": "ws://h/"},)),
            control.Remove(endpoints=("a",)),
            control.Pause(endpoints=("a",)),
            control.Resume(),
            control.Move(endpoint="a", worker=1),
            control.Rebalance(),
            control.Scale(workers=3),
            control.Reload(),
            control.Send(endpoint="a", text=""),
            control.ChangeStreams(endpoint="a", add=("x",)),
            control.Retry(ids=(1,)),
        )
        for request in requests:
            assert await desk.refused(request) == "the run is coming to its end"
        assert isinstance(await desk.operator.answer(control.GetStatus()), control.Report)
        assert desk.asked == []
        assert desk.changes.asked == []

    run(scenario())


def test_no_store_no_retries(run: Run) -> None:
    async def scenario() -> None:
        assert "keeps no dead letters" in await Desk("a").refused(control.Retry(ids=(1,)))

    run(scenario())


def test_no_file_nothing_to_reload(run: Run) -> None:
    async def scenario() -> None:
        assert await Desk("a").refused(control.Reload()) == (
            "there is nothing to reload: this run has no configuration file"
        )

    run(scenario())


def test_secrets_stay_where_they_are(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk("a", secrets=("hunter22",))
        desk.problems[0] = "what is hunter22?"
        assert await desk.refused(control.Send(endpoint="a", text="")) == "what is ***?"

    run(scenario())
