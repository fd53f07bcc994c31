"""A server that asks who is there: a client certificate is shown, or there is no connection."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

import scaleout

trustme = pytest.importorskip("trustme", reason="needs scaleout[tls-simulator]")


@pytest.mark.parametrize("shows_itself", [True, False])
def test_a_server_that_requires_a_certificate(shows_itself: bool, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    client = authority.issue_cert("client.example.org")
    client.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED

    async def send_three(connection: ServerConnection) -> None:
        for number in range(3):
            await connection.send(str(number))

    async def main() -> scaleout.Summary:
        async with serve(send_three, "127.0.0.1", 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            tls = scaleout.TLS(
                ca=str(tmp_path / "ca.pem"), cert=str(tmp_path / "client.pem") if shows_itself else None
            )
            endpoint = scaleout.Endpoint(
                name="a", uri=f"wss://127.0.0.1:{port}", tls=tls, proxy=False, reconnect="never"
            )
            sink = str(tmp_path / "out.jsonl")
            return await scaleout.serve(scaleout.Config(endpoints=(endpoint,), workers=1, sink=(sink,)))

    summary = asyncio.run(asyncio.wait_for(main(), 30))
    assert summary.totals.delivered == (3 if shows_itself else 0)
    if not shows_itself:
        assert "can't connect" in str(summary.endpoints["a"].last_error)
