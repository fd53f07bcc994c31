"""By what messages are known: the same in every process, of a field where one is named."""

from __future__ import annotations

import subprocess
import sys

import pytest

from scaleout.config import Endpoint
from scaleout.worker.identity import hashes_of, identity_of


def identify(path: str | None, *payloads: bytes) -> list[int]:
    return identity_of(Endpoint(uri="ws://feed.test", identity=path))([*payloads])


def test_a_message_is_known_as_a_whole() -> None:
    assert identify(None, b'{"a":1}', b'{"a":1}', b'{"a":2}') == hashes_of(
        [b'{"a":1}', b'{"a":1}', b'{"a":2}']
    )
    first, second, third = identify(None, b'{"a":1}', b'{"a":1}', b'{"a":2}')
    assert first == second != third
    assert 0 <= first < 2**64


def test_another_process_makes_the_same_hash() -> None:
    code = "from scaleout.worker.identity import hashes_of; print(*hashes_of([b'message']))"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(other.stdout) == hashes_of([b"message"])[0]


@pytest.mark.parametrize("path", ["data.id", "0.id"])
def test_a_message_is_known_by_a_field(path: str) -> None:
    before, after = ("[", "]") if path == "0.id" else ('{"conn":7,"data":', "}")

    def message(text: str) -> bytes:
        return f"{before}{text}{after}".encode()

    one, same, other, text = identify(
        path,
        message('{"id":5,"at":1}'),
        message('{"at":2,"id":5}'),
        message('{"id":6,"at":1}'),
        message('{"id":"5","at":1}'),
    )
    assert one == same
    assert len({one, other, text}) == 3


def test_what_has_no_such_field_is_known_as_a_whole() -> None:
    payloads = [b'{"x":1}', b"no JSON", b"[1]", b'{"id":{"deep":1}}', b""]
    *whole, structured, empty = identify("id", *payloads)
    assert [*whole, empty] == hashes_of([b'{"x":1}', b"no JSON", b"[1]", b""])
    assert [structured] == hashes_of([b'{"deep":1}'])


def test_a_bad_message_changes_nothing_for_its_neighbours() -> None:
    good = b'{"id":5}'
    assert identify("id", good, b"{", good) == [
        *identify("id", good),
        *hashes_of([b"{"]),
        *identify("id", good),
    ]
