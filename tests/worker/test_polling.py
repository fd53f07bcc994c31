"""What is ready is read, so much in a turn of the loop; what has ended is given back."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

import pytest
from websockets.protocol import State

from scaleout.worker.polling import (
    IS_AVAILABLE,
    LONG_MESSAGE_BYTES,
    LONG_READ_BYTES,
    READ_BYTES,
    TURN_BYTES,
    TURN_READS,
    Poller,
)
from scaleout.worker.reading import Reader

pytestmark = pytest.mark.skipif(not IS_AVAILABLE, reason="this system has no epoll")

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Loop:
    """Calls nothing back: the tests do."""

    def __init__(self) -> None:
        self.watched: set[int] = set()

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        self.watched.add(fd)

    def remove_reader(self, fd: int) -> None:
        self.watched.remove(fd)


class Library:
    """The library's protocol, as far as it is seen."""

    current_size: int | None = None
    state = State.OPEN


def _never(*args: object) -> int:
    raise AssertionError("no frames are read here")


class End:
    """The end of a connection that is read, and the other one."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        near.setblocking(False)
        self.near, self.far = near, far
        self.seen = b""
        self.reads = 0
        self.largest_bytes = 0
        self.message_bytes = 0
        """Of each message, where the short way is to have taken some."""
        self.is_given_back = False
        self.failures: list[Exception] = []
        self.raises: Exception | None = None
        # What comes before the handshake's end is handed on as it is.
        self.reader = Reader(Library(), 1, self._take, _never, _never, _never, _never, lambda: None)

    def _take(self, data: bytes) -> None:
        self.seen += data
        self.reads += 1
        self.largest_bytes = max(self.largest_bytes, len(data))
        if self.message_bytes:
            self.reader.messages += len(data) // self.message_bytes
        if self.raises is not None:
            raise self.raises

    def give_back(self) -> None:
        self.is_given_back = True

    def fail(self, exc: Exception) -> None:
        self.failures.append(exc)


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def poller(loop: Loop) -> Iterator[Poller]:
    poller = Poller(loop)
    yield poller
    poller.close()


@pytest.fixture
def connect(poller: Poller) -> Iterator[Callable[[], End]]:
    """Makes TCP connections that are read."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))

        def connect() -> End:
            far = stack.enter_context(socket.create_connection(server.getsockname()))
            near = stack.enter_context(server.accept()[0])
            end = End(near, far)
            poller.add(near.fileno(), end.reader, end)
            return end

        yield connect


def _read_until(poller: Poller, is_done: Callable[[], bool]) -> int:
    """Poll until that is so; how many turns it took."""
    deadline_s = time.monotonic() + 10
    for turns in count(1):
        poller.poll()
        if is_done():
            return turns
        assert time.monotonic() < deadline_s
    raise AssertionError


def test_what_comes_is_read(poller: Poller, connect: Callable[[], End]) -> None:
    first, second = connect(), connect()
    poller.poll()
    assert first.reads == second.reads == 0
    first.far.sendall(b"one")
    second.far.sendall(b"two")
    _read_until(poller, lambda: first.seen == b"one" and second.seen == b"two")
    first.far.sendall(b"more")
    _read_until(poller, lambda: first.seen == b"onemore")
    assert second.reads == 1


def test_a_poller_is_called_by_its_loop_until_it_is_closed(loop: Loop) -> None:
    poller = Poller(loop)
    assert len(loop.watched) == 1
    poller.close()
    assert not loop.watched


def test_one_that_was_removed_is_read_no_more_until_it_is_added(
    poller: Poller, connect: Callable[[], End]
) -> None:
    paused, other = connect(), connect()
    poller.remove(paused.near.fileno())
    poller.remove(paused.near.fileno())
    paused.far.sendall(b"one")
    other.far.sendall(b"two")
    _read_until(poller, lambda: other.seen == b"two")
    assert paused.reads == 0
    poller.add(paused.near.fileno(), paused.reader, paused)
    _read_until(poller, lambda: paused.seen == b"one")


def test_one_that_is_removed_by_another_in_the_same_turn_is_not_read(
    poller: Poller, connect: Callable[[], End]
) -> None:
    ends = [connect() for _ in range(8)]

    def remove_all(data: bytes) -> None:
        for end in ends:
            poller.remove(end.near.fileno())

    for end in ends:
        end.reader = Reader(Library(), 1, remove_all, _never, _never, _never, _never, lambda: None)
        poller.remove(end.near.fileno())
        poller.add(end.near.fileno(), end.reader, end)
        end.far.sendall(b"x")
    _read_until(poller, lambda: any(end.reader.read_at for end in ends))
    poller.poll()
    assert sum(end.reader.read_at > 0 for end in ends) == 1
    assert not any(end.is_given_back for end in ends)


def test_one_that_has_ended_is_given_back_with_what_it_still_has(
    poller: Poller, connect: Callable[[], End]
) -> None:
    end = connect()
    end.far.sendall(b"last words")
    end.far.shutdown(socket.SHUT_WR)
    _read_until(poller, lambda: end.is_given_back)
    assert end.seen + end.near.recv(100) == b"last words"
    assert end.near.recv(100) == b""
    end.is_given_back = False
    poller.poll()
    assert not end.is_given_back


def test_one_that_was_reset_is_given_back_with_the_error(poller: Poller, connect: Callable[[], End]) -> None:
    end = connect()
    end.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    end.far.close()
    _read_until(poller, lambda: end.is_given_back)
    with pytest.raises(ConnectionResetError):
        end.near.recv(100)


def test_one_that_was_closed_here_is_forgotten(poller: Poller, connect: Callable[[], End]) -> None:
    end = connect()
    fd = end.near.fileno()
    end.near.close()
    poller.remove(fd)
    poller.poll()
    assert not end.is_given_back


def test_a_turn_takes_so_many_bytes_and_the_next_goes_on_with_the_others(
    poller: Poller, connect: Callable[[], End]
) -> None:
    ends = [connect() for _ in range(3 * TURN_BYTES // READ_BYTES)]
    for end in ends:
        end.near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * READ_BYTES)
        end.far.setblocking(False)
        _fill(end.far)
    rounds = []
    for _ in range(30):
        for end in ends:
            _fill(end.far)
        before = sum(len(end.seen) for end in ends)
        poller.poll()
        rounds.append(sum(len(end.seen) for end in ends) - before)
    assert max(rounds) < TURN_BYTES + READ_BYTES
    assert not any(end.failures for end in ends)
    # Nobody is read for the third time before everybody was read once.
    assert min(end.reads for end in ends) >= max(end.reads for end in ends) // 3


def _fill(far: socket.socket) -> None:
    try:
        while True:
            far.send(b"x" * READ_BYTES)
    except BlockingIOError:
        pass


@pytest.mark.parametrize(
    ("message_bytes", "most_bytes"),
    [(0, READ_BYTES), (LONG_MESSAGE_BYTES, READ_BYTES), (LONG_MESSAGE_BYTES + 100, LONG_READ_BYTES)],
)
def test_of_long_messages_more_are_read_at_a_time(
    poller: Poller, message_bytes: int, most_bytes: int
) -> None:
    near, far = socket.socketpair()
    with near, far:
        end = End(near, far)
        end.message_bytes = message_bytes
        poller.add(near.fileno(), end.reader, end)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * LONG_READ_BYTES)
        far.setblocking(False)
        for _ in range(3):
            _fill(far)
            poller.poll()
        poller.remove(near.fileno())
    if most_bytes == READ_BYTES:
        assert end.largest_bytes == READ_BYTES
    else:
        assert READ_BYTES < end.largest_bytes <= LONG_READ_BYTES


def test_a_turn_takes_so_many_reads(poller: Poller, connect: Callable[[], End]) -> None:
    ends = [connect() for _ in range(TURN_READS + 50)]
    for end in ends:
        end.far.sendall(b"x")
    turns = _read_until(poller, lambda: all(end.seen == b"x" for end in ends))
    assert turns >= 2
    assert all(end.reads == 1 for end in ends)


def test_one_whose_read_cant_be_dealt_with_leaves_the_others_alone(
    poller: Poller, connect: Callable[[], End]
) -> None:
    bad, *others = [connect() for _ in range(5)]
    bad.raises = ValueError("no")
    for end in (bad, *others):
        end.far.sendall(b"x")
    _read_until(poller, lambda: all(end.seen == b"x" for end in (bad, *others)))
    assert bad.failures == [bad.raises]
    assert not any(end.failures for end in others)
