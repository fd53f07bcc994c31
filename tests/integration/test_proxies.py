"""Through an HTTP and a SOCKS5 proxy, plain and with TLS."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from scaleout.simulator import SimulatorConfig, SimulatorProcess


class Proxy(socketserver.BaseRequestHandler):
    """Joins a client to where it wants to go, once `negotiate` has found out."""

    def handle(self) -> None:
        with socket.create_connection(self.negotiate()) as upstream:
            self.server.used += 1  # type: ignore[attr-defined]
            self.accept()
            back = threading.Thread(target=pump, args=(upstream, self.request), daemon=True)
            back.start()
            pump(self.request, upstream)

    def negotiate(self) -> tuple[str, int]:
        raise NotImplementedError

    def accept(self) -> None:
        raise NotImplementedError


def pump(source: Any, target: Any) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


class HTTPProxy(Proxy):
    def negotiate(self) -> tuple[str, int]:
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.request.recv(4096)
        method, target, _ = head.split(b" ", 2)
        assert method == b"CONNECT"
        host, _, port = target.decode().rpartition(":")
        return host, int(port)

    def accept(self) -> None:
        self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")


class SOCKS5Proxy(Proxy):
    def negotiate(self) -> tuple[str, int]:
        file = self.request.makefile("rb")
        _, methods = file.read(2)
        file.read(methods)
        self.request.sendall(b"\x05\x00")
        _, command, _, kind = file.read(4)
        assert command == 1
        address = file.read(4) if kind == 1 else file.read(file.read(1)[0])
        host = ".".join(map(str, address)) if kind == 1 else address.decode()
        return host, struct.unpack(">H", file.read(2))[0]

    def accept(self) -> None:
        self.request.sendall(b"\x05\x00\x00\x01" + bytes(6))


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    used = 0


@contextmanager
def serving(handler: type[Proxy]) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(("scheme", "handler"), [("http", HTTPProxy), ("socks5", SOCKS5Proxy)])
def test_messages_come_through(
    scheme: str, handler: type[Proxy], tls: bool, launch: Callable[..., Any]
) -> None:
    pytest.importorskip("python_socks", reason="needs scaleout[socks]")
    with (
        SimulatorProcess(SimulatorConfig(endpoints=1, rate=2_000, tls=tls)) as simulator,
        serving(handler) as proxy,
    ):
        address = f"{scheme}://127.0.0.1:{proxy.server_address[1]}"
        keys: dict[str, object] = {"proxy": address}
        if tls:
            keys["tls"] = {"ca": simulator.ca_file}
        endpoints = [{"name": name, "uri": uri, **keys} for name, uri in simulator.endpoints]
        run = launch({"endpoints": endpoints, "limit": 300})
        assert run.wait() == 0, run.stderr
        assert proxy.used == 1
    assert len(run.lines()) == 300
    assert run.summary["balanced"]


def test_an_unknown_authority_is_refused_in_words(launch: Callable[..., Any]) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=1, tls=True)) as simulator:
        endpoints = [{"name": "a", "uri": simulator.endpoints[0].uri, "reconnect": "never", "proxy": False}]
        run = launch({"endpoints": endpoints})
        assert run.wait() == 0, run.stderr
    books = run.summary["endpoints"]["a"]
    assert "certificate verify failed" in books["last_error"]
    assert books["received"] == 0
