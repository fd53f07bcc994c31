"""What a reconnect over TLS costs the client with and without resumption, in CPU time."""

from __future__ import annotations

import contextlib
import importlib.util
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import asdict

from bench import report
from bench.measure import TIMEOUT_S, BenchError, Cores, choose_cores, describe_cores, output_of
from bench.report import Origin, Spread

NAME = "reconnect"
TITLE = "TCP, TLS 1.3 and WebSocket handshakes and the close of a connection, one after another, on loopback"
PER_S = 100 / 6
"""Reconnects of each kind in each round, for each second asked for."""

Chain = Literal["single", "ecdsa", "rsa"]
CHAINS: dict[Chain, str] = {
    "single": "one ECDSA certificate of the authority itself",
    "ecdsa": "three ECDSA certificates, as public servers show",
    "rsa": "three RSA certificates, as public servers show",
}
"""What the server shows of itself; in a resumed handshake it shows nothing."""


class Round(msgspec.Struct, frozen=True):
    """CPU time of one reconnect, user and system."""

    full_ms: float
    resumed_ms: float


class Figures(msgspec.Struct, frozen=True):
    """Over all rounds."""

    full_ms: Spread
    resumed_ms: Spread
    ratio: Spread
    """How many times a full one costs what a resumed one does in the same round."""


class Report(Origin, frozen=True):
    """What the result file holds."""

    openssl: str
    reconnects: int
    """Of each kind in each round."""
    figures: dict[Chain, Figures]
    rounds: dict[Chain, list[Round]]


def run(rounds: int, seconds: float, directory: Path, progress: Callable[[str], None]) -> Path:
    """Measure, print a table and write the result file; where that is.

    Raises:
        BenchError: a process failed, a session was not resumed, or what makes certificates isn't installed.
    """
    if importlib.util.find_spec("trustme") is None:
        raise BenchError("trustme is not installed: pip install 'scaleout[tls-simulator]'")
    cores = choose_cores()
    count = max(1, round(seconds * PER_S))
    measured: dict[Chain, list[Round]] = {}
    for chain in CHAINS:
        measured[chain] = measure(chain, rounds, count, cores)
        progress(f"{NAME} {chain}: {rounds} rounds done")
    result = make_report(measured, count, describe_cores(cores))
    print(f"{markdown(result)}\n", flush=True)
    return report.save(result, directory)


def measure(chain: Chain, rounds: int, count: int, cores: Cores | None) -> list[Round]:
    """Reconnect from a fresh process; full and resumed in turn, every second round the other way round.

    Raises:
        BenchError: a process failed.
    """
    with tempfile.TemporaryDirectory(prefix="scaleout-bench-") as name:
        ca, server = _make_certificates(chain, Path(name))
        with _serving(server, cores) as port:
            command = [sys.executable, "-m", "bench.sides.reconnect", f"wss://localhost:{port}", str(ca)]
            command += [str(rounds), str(count), *_pinned(cores.side if cores else None)]
            said = output_of(NAME, command, TIMEOUT_S)
    return msgspec.json.decode(said, type=list[Round])


@contextlib.contextmanager
def _serving(certificate: Path, cores: Cores | None) -> Iterator[int]:
    command = [sys.executable, "-m", "bench.sides.tls_server", str(certificate)]
    command += _pinned(cores.generator if cores else None)
    # Leaving closes its input, which ends it.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchError("the TLS server failed")
        yield int(line)


def _pinned(core: int | None) -> list[str]:
    return [] if core is None else ["--core", str(core)]


def _make_certificates(chain: Chain, directory: Path) -> tuple[Path, Path]:
    """Files: the authority to trust, and the server's key with the certificates it shows."""
    import trustme

    key_type = trustme.KeyType.RSA if chain == "rsa" else trustme.KeyType.ECDSA
    root = issuer = trustme.CA(key_type=key_type)
    if chain != "single":
        issuer = root.create_child_ca(key_type=key_type).create_child_ca(key_type=key_type)
    server = issuer.issue_cert("localhost", key_type=key_type)
    ca_path, server_path = directory / "ca.pem", directory / "server.pem"
    root.cert_pem.write_to_path(ca_path)
    server_path.touch(mode=0o600)
    server.private_key_and_cert_chain_pem.write_to_path(server_path)
    return ca_path, server_path


def make_report(measured: dict[Chain, list[Round]], count: int, pinning: str) -> Report:
    """Put together what the result file holds."""
    return Report(
        **asdict(report.origin(NAME, TITLE, pinning)),
        openssl=ssl.OPENSSL_VERSION,
        reconnects=count,
        figures={chain: _figures(rounds) for chain, rounds in measured.items()},
        rounds=measured,
    )


def _figures(rounds: list[Round]) -> Figures:
    return Figures(
        report.spread([each.full_ms for each in rounds]),
        report.spread([each.resumed_ms for each in rounds]),
        report.spread([each.full_ms / each.resumed_ms for each in rounds]),
    )


def markdown(result: Report) -> str:
    """The report as a table with a few lines around it."""
    count = min(len(rounds) for rounds in result.rounds.values())
    return "\n".join(
        [
            f"### {result.case}: {result.title}",
            "",
            f"{result.date}; {result.machine}; {result.python}; {result.openssl}. {result.pinning}",
            f"Median of {count} rounds of {result.reconnects} reconnects of each kind, the extremes in brackets.",
            "",
            "| the server shows | client CPU time, full handshake | resumed | full costs |",
            "|---|---|---|---|",
            *(_row(CHAINS[chain], figures) for chain, figures in result.figures.items()),
        ]
    )


def _row(what: str, figures: Figures) -> str:
    ratio = figures.ratio
    cells = [
        what,
        _ms(figures.full_ms),
        _ms(figures.resumed_ms),
        f"**{ratio.median:.2f} x** ({ratio.smallest:.2f} to {ratio.largest:.2f})",
    ]
    return f"| {' | '.join(cells)} |"


def _ms(spread: Spread) -> str:
    return f"{spread.median:.2f} ms ({spread.smallest:.2f} to {spread.largest:.2f})"
