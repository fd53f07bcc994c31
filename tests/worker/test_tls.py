"""TLS contexts; what is resumed is tested with the dialer."""

from __future__ import annotations

import ssl

import pytest

from scaleout.config import TLS
from scaleout.worker.tls import tls_context


def test_contexts_verify_by_default() -> None:
    context = tls_context(TLS())
    assert context.check_hostname and context.verify_mode is ssl.CERT_REQUIRED
    assert tls_context(TLS()) is context


def test_verification_is_off_only_where_that_is_asked_for() -> None:
    context = tls_context(TLS(verify=False))
    assert not context.check_hostname and context.verify_mode is ssl.CERT_NONE


def test_a_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(OSError, match=r"certificate authorities of tls .* no-such\.pem: No such file"):
        tls_context(TLS(ca="no-such.pem"))
