"""A certificate authority and a server certificate for loopback, made at start."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import Struct

from scaleout.errors import MissingExtraError
from scaleout.simulator.faults.knobs import CertificateKind

_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Certificates(Struct, frozen=True):
    """Files in PEM."""

    ca_file: str
    """What a client has to trust."""
    server_file: str
    """The server's certificate and its key."""


def make_certificates(directory: Path, host: str, kind: CertificateKind = "good") -> Certificates:
    """Write new certificates for a host (and `localhost`) into a directory.

    Args:
        directory: where to.
        host: the server's.
        kind: what is wrong with the server's certificate.

    Raises:
        MissingExtraError: the library that makes them isn't installed.
    """
    try:
        import trustme
    except ImportError as error:
        raise MissingExtraError("TLS in the simulator", "tls-simulator") from error
    authority = trustme.CA()
    issuer = trustme.CA() if kind == "unknown" else authority
    names = (
        ["elsewhere.example"] if kind == "wrong_name" else [*dict.fromkeys((host, "127.0.0.1", "localhost"))]
    )
    ends = datetime.now(UTC) - timedelta(days=1) if kind == "expired" else None
    server = issuer.issue_cert(*names, not_before=_LONG_AGO if ends else None, not_after=ends)
    ca_path, server_path = directory / "ca.pem", directory / "server.pem"
    for path in (ca_path, server_path):
        path.touch(mode=0o600)
    authority.cert_pem.write_to_path(ca_path)
    server.private_key_and_cert_chain_pem.write_to_path(server_path)
    return Certificates(str(ca_path), str(server_path))


def server_context(certificates: Certificates) -> ssl.SSLContext:
    """The server's side of TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.server_file)
    return context
