"""The library's side of a connection, which also notes each frame that the client sends."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event

from scaleout.simulator.faults import Verdict

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, for 0 seconds: closing the socket sends RST."""
_COUNTED = (Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG)


class WatchedConnection(ServerConnection):
    """A connection that counts pongs and tells of every message, ping and pong."""

    pongs = 0
    verdict: Verdict = Verdict()
    """How its handshake was answered."""
    on_frame: Callable[[], None] | None = None

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and event.opcode in _COUNTED:
            if event.opcode is Opcode.PONG:
                self.pongs += 1
            if self.on_frame is not None:
                self.on_frame()
        super().process_event(event)

    def reset(self) -> None:
        """End the TCP connection at once; the client's side sees a reset."""
        connected = self.transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()
