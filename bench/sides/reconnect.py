"""The client of `bench.reconnect`: connects and closes over and over, with and without an earlier TLS session."""

from __future__ import annotations

import argparse
import os
import time

import msgspec
import uvloop

from bench.reconnect import Round
from scaleout.config import TLS, Endpoint
from scaleout.worker.dialing import Dialer
from scaleout.worker.tls import forget_sessions, is_resumed

WARM_UP = 10


class Client:
    """Reconnects to one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._dialer = Dialer()

    async def reconnect(self, *, resume: bool) -> None:
        """Connect once, from the lookup of the name to the end of the closing handshake."""
        if not resume:
            forget_sessions()
        connection = await self._dialer.dial(
            self._endpoint, uri=self._endpoint.uri, subprotocols=(), compression=False
        )
        if is_resumed(connection) is not resume:
            raise SystemExit(f"session_reused is {not resume}, which is not what is measured")
        await connection.close()

    async def cpu_ms(self, count: int, *, resume: bool) -> float:
        """User and system time of a reconnect, on the average of so many."""
        await self.reconnect(resume=False)
        began_s = time.process_time()
        for _ in range(count):
            await self.reconnect(resume=resume)
        return (time.process_time() - began_s) * 1e3 / count


async def _measure(endpoint: Endpoint, rounds: int, count: int) -> list[Round]:
    client = Client(endpoint)
    for _ in range(WARM_UP):
        await client.reconnect(resume=False)
    measured = []
    for number in range(rounds):
        costs = {}
        for resume in (False, True) if number % 2 == 0 else (True, False):
            costs[resume] = await client.cpu_ms(count, resume=resume)
        measured.append(Round(costs[False], costs[True]))
    return measured


def main() -> None:
    """Measure and print the rounds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("uri", metavar="URI")
    parser.add_argument("ca", metavar="CA", help="file of the authority to trust")
    parser.add_argument("rounds", type=int, metavar="ROUNDS")
    parser.add_argument("count", type=int, metavar="COUNT", help="reconnects of each kind in each round")
    parser.add_argument("--core", type=int, help="run on this core alone")
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    endpoint = Endpoint(uri=arguments.uri, proxy=False, tls=TLS(ca=arguments.ca))
    measured = uvloop.run(_measure(endpoint, arguments.rounds, arguments.count))
    print(msgspec.json.encode(measured).decode())


if __name__ == "__main__":
    main()
