"""Sends trades at fixed times, whether or not the other side keeps up; each says when it was due.

Runs alone as `python -m bench.sides.open_loop CONNECTIONS`: prints its port, waits for so many connections, and
then obeys a `Phase` a line on its standard input, and answers each with a `Sent`.
"""

from __future__ import annotations

import argparse
import gc
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence

import msgspec
from websockets.frames import Opcode

from bench.generator.handshake import shake_hands
from scaleout.simulator.framing import encode_frame

TICK_NS = 1_000_000
"""At high rates all that has become due is sent so often; at low ones each message at its own time."""
START_NS = 50 * TICK_NS
"""The first message is due so long after the order to send."""
MIN_BURST = 20
"""With fewer in a tick each message is sent by itself."""
FLOOD_MESSAGES = 400
"""In one write where nothing is paced: some 64 KiB."""
CONNECT_WITHIN_S = 30.0
NS_PER_S = 1_000_000_000

_DUE = b"1234567890123456789"
_TRADE = (
    b'{"seq":1000000,"symbol":"BTC-USDT","price":64123.51,"size":0.0425,"side":"buy",'
    b'"trade_id":"000000000000000000000000000000000000","at":' + _DUE + b"}"
)
FRAME = encode_frame(Opcode.TEXT, _TRADE).replace(_DUE, b"%d")
"""Of a trade; the time when it is due is filled in, in ns."""


class Phase(msgspec.Struct, frozen=True):
    """What is to be sent."""

    seconds: float
    per_s: float | None
    """Messages over all connections; None: as many as are taken."""
    skip_s: float = 0.0
    """How late the sends of the first seconds were isn't told."""


class Sent(msgspec.Struct, frozen=True):
    """What has been sent."""

    messages: int
    late_ms: tuple[float, float]
    """How late the paced sends were: 99 % of them no more than the first, none more than the second."""
    cpu_s: float
    seconds: float


def run_phase(phase: Phase, connections: Sequence[socket.socket]) -> Sent:
    """Send for that long."""
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    late_ns: list[int] = []
    if phase.per_s is None:
        messages = _flood(phase.seconds, connections)
    else:
        messages, late_ns = _keep_pace(phase.seconds, phase.per_s, connections)
    late_ns = sorted(late_ns[int(len(late_ns) * phase.skip_s / (phase.seconds or 1.0)) :] or [0])
    return Sent(
        messages=messages,
        late_ms=(late_ns[len(late_ns) * 99 // 100] / 1e6, late_ns[-1] / 1e6),
        cpu_s=time.process_time() - began_cpu_s,
        seconds=time.perf_counter() - began_s,
    )


def _flood(seconds: float, connections: Sequence[socket.socket]) -> int:
    block = FRAME % time.time_ns() * FLOOD_MESSAGES
    until_s = time.monotonic() + seconds
    messages = 0
    while time.monotonic() < until_s:
        for connection in connections:
            connection.sendall(block)
        messages += FLOOD_MESSAGES * len(connections)
    return messages


def _keep_pace(seconds: float, per_s: float, connections: Sequence[socket.socket]) -> tuple[int, list[int]]:
    """Send each message once it is due; the next ones are made ready meanwhile."""
    late_ns = []
    messages = 0
    for burst in bursts(time.time_ns() + START_NS, per_s, int(seconds * per_s)):
        first = messages % len(connections)
        # Message by message, to one connection after the other.
        ready = [
            (connections[(first + place) % len(connections)], frames(burst[place :: len(connections)]))
            for place in range(min(len(burst), len(connections)))
        ]
        wait_ns = burst[-1] - time.time_ns()
        if wait_ns > 0:
            time.sleep(wait_ns / NS_PER_S)
        late_ns.append(time.time_ns() - burst[-1])
        for connection, data in ready:
            connection.sendall(data)
        messages += len(burst)
    return messages, late_ns


def bursts(start_ns: int, per_s: float, count: int) -> Iterator[list[int]]:
    """When messages at even distances are due: by what is sent together, a tick's share or a single one."""
    distance_ns = NS_PER_S / per_s
    size = int(TICK_NS / distance_ns)
    if size < MIN_BURST:
        size = 1
    for first in range(0, count, size):
        yield [start_ns + int(place * distance_ns) for place in range(first, min(first + size, count))]


def frames(due: Sequence[int]) -> bytes:
    """Messages that are due at these times."""
    return b"".join([FRAME % at for at in due])


def accept(listener: socket.socket) -> socket.socket:
    """Take a connection, handshake included."""
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    shake_hands(connection, "off")
    return connection


def main() -> None:
    """Serve, and obey."""
    parser = argparse.ArgumentParser()
    parser.add_argument("connections", type=int, metavar="CONNECTIONS")
    parser.add_argument("--core", type=int, help="run on this core alone")
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    with socket.create_server(("127.0.0.1", 0), backlog=arguments.connections) as listener:
        listener.settimeout(CONNECT_WITHIN_S)
        print(listener.getsockname()[1], flush=True)
        connections = [accept(listener) for _ in range(arguments.connections)]
    gc.disable()  # there is nothing to collect, and a look for it would be a delay
    for line in sys.stdin:
        sent = run_phase(msgspec.json.decode(line, type=Phase), connections)
        print(msgspec.json.encode(sent).decode(), flush=True)


if __name__ == "__main__":
    main()
