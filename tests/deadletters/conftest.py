"""What the tests of the store and its commands share: letters, and a store with some."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from scaleout.deadletters import Letter, Limits, NewLetter, Status, Store

SECOND = 10**9
START = 1_767_225_600 * SECOND


def make_letter(
    number: int = 0,
    endpoint: str = "btc",
    stage: str = "process",
    reason: str = "ValueError: bad",
    payload: bytes | None = None,
    is_text: bool = True,
    traceback: str | None = None,
) -> NewLetter:
    """A letter; later ones have greater numbers."""
    payload = b'{"seq":%d}' % number if payload is None else payload
    return NewLetter(endpoint, stage, reason, payload, is_text, START + number * SECOND, traceback)


@pytest.fixture(scope="session")
def letter() -> Callable[..., NewLetter]:
    """Makes a letter."""
    return make_letter


@pytest.fixture(scope="session")
def kept_letter() -> Callable[..., Letter]:
    """Makes a letter as the store has it."""
    letter = Letter(
        id=7,
        endpoint="btc",
        stage="decode",
        reason="bad",
        traceback=None,
        payload=b"x",
        edited=None,
        is_text=True,
        received_at=0,
        attempts=1,
        status=Status.DEAD,
        added_at=0,
        updated_at=0,
        size_bytes=7,
    )
    return lambda **fields: msgspec.structs.replace(letter, **fields)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "dead.db"


@pytest.fixture
def filled(path: Path) -> Path:
    """A store with four letters of two endpoints: 1 and 2 failed in decoding, 3 and 4 in processing."""
    with Store(path, create=True, limits=Limits()) as store:
        store.add([make_letter(1, stage="decode", reason="JSON is malformed", payload=b"no\x1b[31m")], START)
        store.add([make_letter(2, "eth", "decode", "a binary message", b"\xff\x00", is_text=False)], START)
        store.add([make_letter(3, traceback="Traceback:\n  File x\n"), make_letter(4, "eth")], START)
    return path
