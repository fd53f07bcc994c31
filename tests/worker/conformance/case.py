"""What a conformance case is made of: frames, what the client does meanwhile, and what the RFCs demand."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

FIN, RSV1, RSV2, RSV3 = 0x80, 0x40, 0x20, 0x10
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

OK, AWAY, PROTOCOL_ERROR, NO_CODE, BAD_DATA, TOO_BIG = 1000, 1001, 1002, 1005, 1007, 1009

Message = str | bytes


# Frames as a server sends them


def frame(first: int, payload: bytes = b"", *, form: int = 0, masked: bool = False) -> bytes:
    """One frame; `form` 126 or 127 says its length in two or eight bytes where fewer would do."""
    size = len(payload)
    mask_bit = 0x80 if masked else 0
    if form == 127 or size > 0xFFFF:
        header = struct.pack("!BBQ", first, mask_bit | 127, size)
    elif form == 126 or size > 125:
        header = struct.pack("!BBH", first, mask_bit | 126, size)
    else:
        header = struct.pack("!BB", first, mask_bit | size)
    return header + (b"\0\0\0\0" if masked else b"") + payload


def data(message: Message, *, bits: int = FIN, form: int = 0) -> bytes:
    """The frame of a whole message, or with fewer `bits` the first one of it."""
    if isinstance(message, str):
        return frame(bits | TEXT, message.encode(), form=form)
    return frame(bits | BINARY, message, form=form)


def more(payload: bytes = b"", *, bits: int = 0) -> bytes:
    """A continuation frame that is not the last."""
    return frame(bits | CONTINUATION, payload)


def last(payload: bytes = b"") -> bytes:
    """A continuation frame that ends its message."""
    return frame(FIN | CONTINUATION, payload)


def ping(payload: bytes = b"") -> bytes:
    return frame(FIN | PING, payload)


def pong(payload: bytes = b"") -> bytes:
    return frame(FIN | PONG, payload)


def close(code: int = OK, reason: str | bytes = b"") -> bytes:
    reason = reason.encode() if isinstance(reason, str) else reason
    return frame(FIN | CLOSE, struct.pack("!H", code) + reason)


def fragments(opcode: int, pieces: list[bytes], *, bits: int = 0) -> tuple[bytes, ...]:
    """One message in as many frames as there are pieces; `bits` are set on the first one."""
    final = len(pieces) - 1
    return tuple(
        frame((FIN if index == final else 0) | (0 if index else opcode | bits), piece)
        for index, piece in enumerate(pieces)
    )


# What the client does between two frames


class Say(NamedTuple):
    """Sends a message."""

    message: Message


class Ask(NamedTuple):
    """Sends a ping."""

    payload: bytes


class Leave(NamedTuple):
    """Begins to close."""

    code: int = OK
    reason: str = ""


Act = Say | Ask | Leave
Step = bytes | Act


# How both sides are set up


class Deflate(NamedTuple):
    """The parameters of permessage-deflate in the server's response."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15

    def __str__(self) -> str:
        given = [
            "server_no_context_takeover" * self.server_no_context_takeover,
            "client_no_context_takeover" * self.client_no_context_takeover,
            f"server_max_window_bits={self.server_max_window_bits}" * (self.server_max_window_bits < 15),
            f"client_max_window_bits={self.client_max_window_bits}" * (self.client_max_window_bits < 15),
        ]
        return "; ".join(["permessage-deflate", *filter(None, given)])


class Setting(NamedTuple):
    """The client's options and what the server agrees to."""

    max_size: int | tuple[int | None, int | None] | None = 2**20
    deflate: Deflate | None = None


PLAIN = Setting()


# What is to happen


class Demand(NamedTuple):
    """What comes of the case's own frames: messages to the application, answers to the server."""

    messages: tuple[Message, ...] = ()
    pongs: tuple[bytes, ...] = ()
    said: tuple[Message, ...] = ()
    """What the server gets from the client, decompressed."""
    answered: tuple[bytes, ...] = ()
    """The client's pings that have got their pong."""
    close_sent: int | None = OK
    """Code in the client's close frame; None without such a frame, `NO_CODE` when it is empty."""
    close_received: int | None = OK
    """Code in the server's close frame, if the client came to it."""
    goes_on: bool = False
    """Whether the connection is still open for what follows the case's own frames."""


def accepts(*messages: Message, pongs: tuple[bytes, ...] = ()) -> Demand:
    """All is well, and the connection goes on."""
    return Demand(messages, pongs, goes_on=True)


def refuses(code: int, *messages: Message, pongs: tuple[bytes, ...] = ()) -> Demand:
    """The client fails the connection with that code, after what came before the fault."""
    return Demand(messages, pongs, close_sent=code, close_received=None)


def closes(code: int, *messages: Message, pongs: tuple[bytes, ...] = ()) -> Demand:
    """The server's close frame is answered with the same code."""
    return Demand(messages, pongs, close_sent=code, close_received=code)


def breaks(*messages: Message, pongs: tuple[bytes, ...] = ()) -> Demand:
    """The server's stream ends without a close frame, so that nothing is left to answer."""
    return Demand(messages, pongs, close_sent=None, close_received=None)


class Deviation(NamedTuple):
    """Where websockets, and so this connection, does otherwise than the RFC demands."""

    because: str
    instead: Demand


FAREWELL = "the end"
TAIL: tuple[bytes, ...] = (data(FAREWELL), ping(b"still there?"), close(OK, "bye"))
"""Follows the frames of most cases: to be taken where the connection goes on, and to be ignored where not."""


@dataclass(frozen=True)
class Case:
    """What a server sends and a client does, and the outcome that RFC 6455 and RFC 7692 demand."""

    name: str
    steps: tuple[Step, ...]
    demand: Demand
    setting: Setting = PLAIN
    deviation: Deviation | None = None
    is_found_late: bool = False
    """websockets finds the fault when the application asks for the message, not when its last byte comes."""
    is_cut: bool = False
    """The stream ends behind these steps, although the client has begun to close."""
    stands_alone: bool = False
    """It leaves the connection in a state that tells on the next case."""

    @property
    def expected(self) -> Demand:
        """What is to be seen in the end, tail included."""
        demand = self.deviation.instead if self.deviation else self.demand
        if not demand.goes_on:
            return demand
        return demand._replace(
            messages=(*demand.messages, FAREWELL), pongs=(*demand.pongs, b"still there?"), goes_on=False
        )

    @property
    def script(self) -> tuple[Step, ...]:
        """The case's own steps and the tail; a stream that breaks off has none."""
        does_end = self.is_cut or self.demand.close_sent is None
        return self.steps if does_end else (*self.steps, *TAIL)

    def behind(self, other: Case) -> Case:
        """Both cases on one connection, which goes on after the other case."""
        before = other.deviation.instead if other.deviation else other.demand
        assert before.goes_on and other.setting == self.setting
        after = self.deviation.instead if self.deviation else self.demand
        joined = after._replace(
            messages=before.messages + after.messages,
            pongs=before.pongs + after.pongs,
            said=before.said + after.said,
            answered=before.answered + after.answered,
        )
        return Case(
            f"{other.name}, then {self.name}",
            other.steps + self.steps,
            joined,
            self.setting,
            is_found_late=self.is_found_late,
            is_cut=self.is_cut,
        )
