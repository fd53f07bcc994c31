"""The only code that touches a pipe: msgspec Structs over one end of a `multiprocessing.Pipe`.

A duplex pipe is a socket pair, so each end is an asyncio transport: backpressure comes from the transport's
own flow control, and the death of a peer is an end of file. A frame is two big-endian 32-bit lengths, a
msgpack-encoded Struct of that first length, and a body of the second: encoded results travel as the body and
are never decoded on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar, cast

import msgspec

from scaleout.buffers import Buffers
from scaleout.errors import ChannelError

MAX_HEAD_BYTES = 2**30
MAX_BODY_BYTES = 2**31
WRITE_HIGH_WATER_BYTES = 2**20
WRITE_LOW_WATER_BYTES = 2**18
SOCKET_BUFFER_BYTES = 2**20
"""What is asked of the system, which may grant less: each switch to the other side moves as much as fits."""
LAST_WORDS_TIMEOUT_S = 2.0
"""A dead process's pipe that hasn't ended by then is held open by somebody else, a child of its processor's."""

_LENGTHS = struct.Struct(">II")
_room = Buffers()
"""All channels of a process share what there is: the buffer that was used last is the warmest."""

Incoming = TypeVar("Incoming")
Body = bytes | bytearray | memoryview


class Channel(asyncio.BufferedProtocol, Generic[Incoming]):
    """One end of a pipe.

    Args:
        incoming: type (or union) of the Structs that the other side sends.
        on_message: called with each message and its body; the body may be kept.
        on_lost: called once when the channel has ended: with None after an end of file or `close`, else with
            the reason. After a message that can't be read it is a `ChannelError`.
        on_writable: called when there is room again after `is_writable` was False.
    """

    def __init__(
        self,
        incoming: Any,
        on_message: Callable[[Incoming, memoryview], None],
        on_lost: Callable[[Exception | None], None],
        on_writable: Callable[[], None] = lambda: None,
    ) -> None:
        self._decoder: msgspec.msgpack.Decoder[Incoming] = msgspec.msgpack.Decoder(incoming)
        self._encoder = msgspec.msgpack.Encoder()
        self._on_message = on_message
        self._on_lost = on_lost
        self._on_writable = on_writable
        self._transport: asyncio.Transport | None = None
        self._fault: ChannelError | None = None
        self._holders: set[object] = set()
        self.is_writable = True
        """False while the other side lags: what is sent then is buffered, so wait for `on_writable`."""
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = asyncio.Event()
        self._size = 0
        """Of the frame."""
        self._expect_lengths()

    @classmethod
    async def open(
        cls,
        pipe: Connection,
        incoming: Any,
        on_message: Callable[[Incoming, memoryview], None],
        on_lost: Callable[[Exception | None], None],
        on_writable: Callable[[], None] = lambda: None,
    ) -> Channel[Incoming]:
        """Take over this end of the pipe; the arguments are those of the class."""
        channel = cls(incoming, on_message, on_lost, on_writable)
        with pipe:
            end = socket.socket(fileno=os.dup(pipe.fileno()))
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
        end.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: channel, sock=end)
        return channel

    # Sending

    def send(self, message: msgspec.Struct, body: Sequence[Body] = ()) -> None:
        """Send a message; `body` is the parts of its body. Nothing is sent on a channel that has ended."""
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.writelines([self._head(message, sum(map(len, body))), *body])

    def send_all(self, messages: Sequence[msgspec.Struct]) -> None:
        """Send messages without bodies, in one write."""
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(b"".join([self._head(message, 0) for message in messages]))

    def _head(self, message: msgspec.Struct, body_size: int) -> bytes:
        head = self._encoder.encode(message)
        if len(head) > MAX_HEAD_BYTES or body_size > MAX_BODY_BYTES:
            raise ChannelError(f"a message of {len(head)} + {body_size} bytes is too large for the channel")
        return _LENGTHS.pack(len(head), body_size) + head

    async def drain(self) -> None:
        """Wait until there is room to send, or the channel has ended."""
        if not self.is_writable:
            await self._writable.wait()

    async def close(self) -> None:
        """Send what is buffered, then end the channel."""
        if self._transport is not None:
            self._transport.close()
            await self._lost.wait()

    def abort(self) -> None:
        """End the channel at once."""
        if self._transport is not None:
            self._transport.abort()

    async def wait_lost(self) -> None:
        """Wait for the end of the channel."""
        await self._lost.wait()

    async def wait_last_words(self, is_held_back: Callable[[], bool] = lambda: False) -> None:
        """Wait until all that a dead process had sent has been taken, and end the channel.

        Args:
            is_held_back: whether this side is not reading at the moment.
        """
        while not self._lost.is_set():
            try:
                async with asyncio.timeout(LAST_WORDS_TIMEOUT_S):
                    await self._lost.wait()
            except TimeoutError:
                if not is_held_back():
                    self.abort()
                    await self._lost.wait()

    # Receiving

    def pause_reading(self, holder: object = None) -> None:
        """Read nothing until this holder, and all others, let go; the other side's `is_writable` turns False."""
        self._holders.add(holder)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self, holder: object = None) -> None:
        """Let go; the last holder to do so lets the channel read again."""
        self._holders.discard(holder)
        if not self._holders and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _expect_lengths(self, begun: bytes | memoryview = b"") -> None:
        """Read two lengths, of which some bytes may have come."""
        lengths = bytearray(_LENGTHS.size)
        self._filled = len(begun)
        lengths[: self._filled] = begun
        self._frame = memoryview(lengths)
        self._head_size = -1

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(WRITE_HIGH_WATER_BYTES, WRITE_LOW_WATER_BYTES)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go: what is missing of the frame, and the lengths of the one behind it."""
        return self._frame[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes that were read into the buffer."""
        self._filled += nbytes
        if self._fault is not None:
            return
        if self._head_size >= 0:
            if self._filled < self._size:
                return
            self._take_frame()
        if self._head_size < 0 and self._filled == _LENGTHS.size and self._fault is None:
            self._take_lengths()

    def _take_lengths(self) -> None:
        head_size, body_size = _LENGTHS.unpack(self._frame)
        if not 0 < head_size <= MAX_HEAD_BYTES or body_size > MAX_BODY_BYTES:
            self._fail(f"a frame of {head_size} + {body_size} bytes")
            return
        self._size = head_size + body_size
        self._frame = _room.view(self._size + _LENGTHS.size)
        self._filled = 0
        self._head_size = head_size

    def _take_frame(self) -> None:
        head, body = self._frame[: self._head_size], self._frame[self._head_size : self._size]
        self._expect_lengths(self._frame[self._size : self._filled])
        try:
            message = self._decoder.decode(head)
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            self._fail(f"a message that can't be decoded ({exc})")
            return
        self._on_message(message, body)

    def _fail(self, what: str) -> None:
        self._fault = ChannelError(
            f"the other side of the pipe sent {what}; it is not speaking this protocol"
        )
        self.abort()

    def eof_received(self) -> None:
        """The other side is gone; the transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel has ended."""
        self.is_writable = False
        self._writable.set()
        self._lost.set()
        if isinstance(exc, ConnectionResetError | BrokenPipeError):
            exc = None
        self._on_lost(self._fault or exc)

    def pause_writing(self) -> None:
        """The other side lags."""
        self.is_writable = False
        self._writable.clear()

    def resume_writing(self) -> None:
        """The other side has caught up."""
        self.is_writable = True
        self._writable.set()
        self._on_writable()
