"""The server of `bench.reconnect`: takes WebSocket connections over TLS on loopback until its input ends."""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, serve


async def _stay(connection: ServerConnection) -> None:
    await connection.wait_closed()


async def _serve(certificate: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with serve(_stay, "127.0.0.1", 0, ssl=context, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Print the port, then serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("certificate", metavar="FILE", help="key and certificates, PEM")
    parser.add_argument("--core", type=int, help="run on this core alone")
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    uvloop.run(_serve(arguments.certificate))


if __name__ == "__main__":
    main()
