"""A connection is read unless somebody holds it, by its transport or by a poller."""

from __future__ import annotations

import asyncio
import errno
from typing import Any, cast

import pytest

from scaleout.worker.flow import Flow
from scaleout.worker.polling import Poller


class Transport:
    """Notes whether it reads; as uvloop's, it can't be told anything once it is closing."""

    def __init__(self, sslcontext: object = None) -> None:
        self.reads = True
        self.is_aborted = False
        self.extra = {"sslcontext": sslcontext, "socket": self}

    def fileno(self) -> int:
        return 7

    def get_extra_info(self, name: str) -> object:
        return self.extra[name]

    def is_closing(self) -> bool:
        return self.is_aborted

    def pause_reading(self) -> None:
        assert not self.is_aborted
        self.reads = False

    def resume_reading(self) -> None:
        assert not self.is_aborted
        self.reads = True

    def abort(self) -> None:
        self.is_aborted = True


class Connection:
    """A connection, as far as it is seen."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.loop = asyncio.get_running_loop()


class FakePoller:
    """Notes what it is to read."""

    def __init__(self) -> None:
        self.sources: dict[int, object] = {}
        self.is_full = False

    def add(self, fd: int, reader: object, owner: object) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "no space left")
        assert fd not in self.sources
        self.sources[fd] = owner

    def remove(self, fd: int) -> None:
        self.sources.pop(fd, None)


class Setting:
    """A connection that is read by a poller, unless it is encrypted."""

    def __init__(self, sslcontext: object = None) -> None:
        self.transport = Transport(sslcontext)
        self.poller = FakePoller()
        self.flow = Flow(cast(Any, Connection(self.transport)), cast(Any, None))

    def read_by_poller(self) -> None:
        self.flow.read_by(cast(Poller, self.poller))

    @property
    def readers(self) -> tuple[bool, bool]:
        """Whether the transport reads, and whether the poller does."""
        return self.transport.reads, self.poller.sources == {7: self.flow}


def run(main: Any) -> None:
    asyncio.run(main())


@pytest.mark.parametrize("is_polled", [False, True])
def test_it_is_read_while_nobody_holds_it(is_polled: bool) -> None:
    async def main() -> None:
        setting = Setting()
        flow = setting.flow
        if is_polled:
            setting.read_by_poller()
        reading, held = (not is_polled, is_polled), (False, False)
        assert setting.readers == reading and not flow.is_held
        flow.pause("a")
        flow.pause("b")
        flow.pause("a")
        assert setting.readers == held and flow.is_held
        flow.resume("a")
        flow.resume("stranger")
        assert setting.readers == held
        assert flow.resumed_at < 0
        flow.resume("b")
        assert setting.readers == reading and not flow.is_held
        assert flow.resumed_at == pytest.approx(asyncio.get_running_loop().time(), abs=10)

    run(main)


def test_one_that_is_held_is_read_by_the_poller_later() -> None:
    async def main() -> None:
        setting = Setting()
        setting.flow.pause("a")
        setting.read_by_poller()
        assert setting.readers == (False, False)
        setting.flow.resume("a")
        assert setting.readers == (False, True)

    run(main)


def test_one_that_is_encrypted_stays_with_its_transport() -> None:
    async def main() -> None:
        setting = Setting(sslcontext=object())
        setting.read_by_poller()
        assert setting.readers == (True, False)

    run(main)


def test_one_that_is_closing_is_left_alone() -> None:
    async def main() -> None:
        setting = Setting()
        setting.transport.abort()
        setting.read_by_poller()
        setting.flow.pause("a")
        setting.flow.resume("a")
        assert not setting.poller.sources

    run(main)


def test_one_that_was_hung_up_is_its_transports_again() -> None:
    async def main() -> None:
        setting = Setting()
        setting.read_by_poller()
        setting.poller.remove(7)
        setting.flow.give_back()
        assert setting.readers == (True, False)
        setting.flow.pause("a")
        assert setting.readers == (False, False)
        setting.flow.resume("a")
        assert setting.readers == (True, False)

    run(main)


def test_one_that_cant_be_watched_stays_with_its_transport() -> None:
    async def main() -> None:
        setting = Setting()
        setting.poller.is_full = True
        setting.read_by_poller()
        assert setting.readers == (True, False)
        setting.poller.is_full = False
        setting.flow.pause("a")
        setting.flow.resume("a")
        assert setting.readers == (True, False)

    run(main)


def test_after_the_end_nothing_is_read() -> None:
    async def main() -> None:
        for end in (Flow.end, Flow.abort):
            setting = Setting()
            setting.read_by_poller()
            end(setting.flow)
            assert setting.readers == (False, False)
            end(setting.flow)

    run(main)


def test_one_that_breathes_is_read_on_in_the_next_turn_unless_it_was_held_meanwhile() -> None:
    async def main() -> None:
        setting = Setting()
        setting.flow.breathe()
        assert not setting.transport.reads
        await asyncio.sleep(0)
        assert setting.transport.reads
        setting.flow.breathe()
        setting.flow.pause("a")
        await asyncio.sleep(0)
        assert not setting.transport.reads
        setting.flow.resume("a")
        setting.flow.breathe()
        setting.read_by_poller()
        await asyncio.sleep(0)
        assert setting.readers == (False, True)
        setting.flow.breathe()
        assert setting.readers == (False, True)

    run(main)


def test_a_failure_is_told_and_ends_the_connection() -> None:
    async def main() -> None:
        setting = Setting()
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        setting.read_by_poller()
        fault = ValueError("no")
        setting.flow.fail(fault)
        assert [context["exception"] for context in told] == [fault]
        assert setting.transport.is_aborted and not setting.poller.sources

    run(main)
