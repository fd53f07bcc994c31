"""Dead letters as JSON objects for programs, and their counts."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from scaleout.deadletters.letters import Letter, Status
from scaleout.deadletters.store import Group, Totals


class Record(Struct, frozen=True, kw_only=True):
    """A letter for programs, as `list --json` and `export` print it. Times are Unix times in ns."""

    endpoint: str
    id: int
    stage: str
    reason: str
    payload: str
    encoding: str
    """`text`, or `base64` where the payload isn't."""
    received_at: int
    attempts: int
    status: Status
    traceback: str | None
    edited: str | None
    """What a person made of the payload, in the same encoding."""
    updated_at: int


def record_of(letter: Letter) -> Record:
    """The letter for programs."""
    is_text = letter.is_text and all(map(_is_utf8, (letter.payload, letter.edited or b"")))
    write = bytes.decode if is_text else _base64
    return Record(
        endpoint=letter.endpoint,
        id=letter.id,
        stage=letter.stage,
        reason=letter.reason,
        payload=write(letter.payload),
        encoding="text" if is_text else "base64",
        received_at=letter.received_at,
        attempts=letter.attempts,
        status=letter.status,
        traceback=letter.traceback,
        edited=None if letter.edited is None else write(letter.edited),
        updated_at=letter.updated_at,
    )


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _base64(payload: bytes) -> str:
    return base64.b64encode(payload).decode()


def json_line(item: Struct) -> bytes:
    """Any of these as a JSON object on a line."""
    return msgspec.json.encode(item) + b"\n"


class Counts(Struct, frozen=True, kw_only=True):
    """The counts, for programs."""

    letters: dict[str, int]
    """By status."""
    bytes: int
    left_dead: int
    left_handled: int
    groups: list[Group]


def counts_record(groups: Sequence[Group], totals: Totals, by_status: dict[Status, int]) -> Counts:
    """The counts, for programs."""
    return Counts(
        letters={status.value: by_status.get(status, 0) for status in Status},
        bytes=totals.bytes,
        left_dead=totals.left_dead,
        left_handled=totals.left_handled,
        groups=list(groups),
    )
