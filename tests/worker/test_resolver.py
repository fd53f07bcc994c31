"""In which order the addresses of a host are tried; lookups are tested with the dialer."""

from __future__ import annotations

import socket

import pytest

from scaleout.worker.resolver import Address, Answer, is_address


def test_addresses_take_turns_and_the_preferred_family_stays_first() -> None:
    four, six = socket.AF_INET, socket.AF_INET6
    addresses = [
        Address(six, "a", 1),
        Address(six, "b", 1),
        Address(four, "c", 1),
    ]
    answer = Answer(("x", 1), addresses, 0.0)
    orders = ["".join(address.host for address in answer.in_order()) for _ in range(3)]
    assert orders == ["abc", "bac", "abc"]
    answer.failed.add(addresses[1])
    assert {"".join(address.host for address in answer.in_order()) for _ in range(3)} == {"acb"}


def test_an_answer_has_failed_when_all_its_addresses_have() -> None:
    addresses = [Address(socket.AF_INET, host, 1) for host in "ab"]
    answer = Answer(("x", 1), addresses, 0.0)
    answer.failed.add(addresses[0])
    assert not answer.has_failed
    answer.failed.add(addresses[1])
    assert answer.has_failed


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", False), ("1.2.3.4.example", False)],
)
def test_what_needs_no_lookup(host: str, expected: bool) -> None:
    assert is_address(host) is expected
