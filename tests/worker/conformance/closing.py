"""The closing handshake: codes, reasons, what follows it, and who begins (RFC 6455, sections 5.5.1 and 7)."""

from __future__ import annotations

from tests.worker.conformance.case import (
    AWAY,
    BAD_DATA,
    CLOSE,
    FIN,
    NO_CODE,
    OK,
    PROTOCOL_ERROR,
    Case,
    Demand,
    Deviation,
    Leave,
    Message,
    Say,
    Step,
    breaks,
    close,
    closes,
    data,
    frame,
    ping,
    pong,
    refuses,
)
from tests.worker.conformance.framing import LONG_FORM
from tests.worker.conformance.utf8 import INVALID, VALID

VALID_CODES = (*range(1000, 1004), *range(1007, 1015), 3000, 3001, 3999, 4000, 4321, 4999)
"""Those of the RFC, of the registry, of frameworks and of applications."""
INVALID_CODES = (
    0,
    1,
    255,
    256,
    999,
    1004,
    1005,
    1006,
    1015,
    1016,
    1100,
    1999,
    2000,
    2999,
    5000,
    32_767,
    65_535,
)

_codes = [
    Case(f"code {code} {what}", (data("a"), close(code, reason)), closes(code, "a"))
    for code in VALID_CODES
    for what, reason in (("without reason", ""), ("with reason", "mír 🕊"))
]
_bad_codes = [
    Case(f"code {code} {what}", (data("a"), close(code, reason)), refuses(PROTOCOL_ERROR, "a"))
    for code in INVALID_CODES
    for what, reason in (("without reason", ""), ("with reason", "bye"))
]

_reasons = [Case(f"reason: {name}", (close(OK, payload),), closes(OK)) for name, payload in VALID.items()] + [
    Case("reason of 122 bytes", (close(OK, "r" * 122),), closes(OK)),
    Case("reason of 123 bytes", (close(OK, "r" * 123),), closes(OK)),
    Case("reason of 123 bytes that is not ASCII", (close(OK, "€" * 41),), closes(OK)),
    Case("reason of 124 bytes", (data("a"), close(OK, "r" * 124)), refuses(PROTOCOL_ERROR, "a")),
    Case("reason of 70,000 bytes", (data("a"), close(OK, "r" * 70_000)), refuses(PROTOCOL_ERROR, "a")),
]
_bad_reasons = [
    Case(f"invalid reason: {name}", (data("a"), close(OK, payload)), refuses(BAD_DATA, "a"))
    for name, payload in INVALID.items()
]

_forms = [
    Case("close without payload", (data("a"), frame(FIN | CLOSE)), closes(NO_CODE, "a")),
    Case("half a code", (data("a"), frame(FIN | CLOSE, b"\x03")), refuses(PROTOCOL_ERROR, "a")),
    Case("close without FIN", (data("a"), frame(CLOSE, b"\x03\xe8")), refuses(PROTOCOL_ERROR, "a")),
    Case("close without FIN and payload", (data("a"), frame(CLOSE)), refuses(PROTOCOL_ERROR, "a")),
    *(
        Case(
            f"close with its length in form {form}",
            (frame(FIN | CLOSE, b"\x03\xe8bye", form=form),),
            refuses(PROTOCOL_ERROR),
            deviation=Deviation(LONG_FORM, closes(OK)),
        )
        for form in (126, 127)
    ),
]

_late: dict[str, tuple[Step, ...]] = {
    "nothing": (),
    "a text": (data("late"),),
    "300 texts": (data("late"),) * 300,
    "a ping": (ping(b"late"),),
    "a pong": (pong(b"late"),),
    "a second close": (close(OK),),
    "invalid text": (frame(0x81, b"\xff"),),
    "a reserved opcode": (frame(0x83),),
    "a fragment": (data("late", bits=0),),
    "half a frame": (data("late")[:-1],),
    "garbage": (bytes(range(255, -1, -1)),),
    "Say, by the client": (Say("late"),),
    "Leave, by the client": (Leave(),),
}
_afterwards = [
    Case(f"{name} behind a close", (data("a"), close(AWAY, "bye"), *steps), closes(AWAY, "a"))
    for name, steps in _late.items()
]


def _left(code: int, *messages: Message, pongs: tuple[bytes, ...] = ()) -> Demand:
    """The client has begun with 1000; the server answers with `code`."""
    return Demand(messages, pongs, close_sent=OK, close_received=code)


_unanswered = Demand(("a",), close_sent=OK, close_received=None)

_by_client = [
    Case("the client leaves", (data("a"), Leave(), close(OK)), _left(OK, "a")),
    Case("the client leaves, answered without code", (data("a"), Leave(), frame(0x88)), _left(NO_CODE, "a")),
    Case(
        "the client leaves, answered with another code",
        (data("a"), Leave(), close(4000, "no")),
        _left(4000, "a"),
    ),
    Case(
        "the client leaves with a reason",
        (Leave(4321, "mír"), close(4321, "mír")),
        Demand(close_sent=4321, close_received=4321),
    ),
    Case("the client leaves twice", (Leave(), Leave(4000), close(OK)), _left(OK)),
    Case("the client says something once it has left", (Leave(), Say("late"), close(OK)), _left(OK)),
    Case("messages on their way", (Leave(), data("a"), data(b"b"), close(OK)), _left(OK, "a", b"b")),
    Case("300 messages on their way", (Leave(), *(data("a"),) * 300, close(OK)), _left(OK, *["a"] * 300)),
    Case(
        "a fragmented message on its way",
        (data("a", bits=0), Leave(), ping(b"1"), frame(0x80, b"b"), close(OK)),
        _left(OK, "ab", pongs=(b"1",)),
    ),
    Case("leaves inside a frame", (data("abc")[:3], Leave(), data("abc")[3:], close(OK)), _left(OK, "abc")),
    Case(
        "leaves inside a header",
        (data("a" * 200)[:3], Leave(), data("a" * 200)[3:], close(OK)),
        _left(OK, "a" * 200),
    ),
    *(
        Case(f"the client leaves, then {name}", (data("a"), Leave(), bad), _unanswered)
        for name, bad in {
            "a reserved opcode": frame(0x83),
            "a reserved bit": frame(0xA1, b"a"),
            "a masked frame": frame(0x81, b"a", masked=True),
            "a lost continuation": frame(0x80, b"a"),
            "a frame that is too large": b"\x81\x7f" + (2**20 + 1).to_bytes(8, "big"),
        }.items()
    ),
    Case(
        "the client leaves, then a bad code comes",
        (data("a"), Leave(), close(1005)),
        _unanswered,
    ),
    Case(
        "the client leaves, then invalid text comes, and messages",
        (data("a"), Leave(), frame(0x81, b"\xff"), data("b")),
        _unanswered,
        deviation=Deviation(
            "a connection that is closing can't be failed for its text; it gives no more messages, but answers",
            _left(OK, "a", pongs=(b"still there?",)),
        ),
        is_found_late=True,
    ),
    Case(
        "the client leaves, the server ends the stream",
        (data("a"), Leave(), data("b")[:2]),
        _unanswered,
        is_cut=True,
    ),
]

_said = [
    Case(
        "the client says something between messages",
        (data("a"), Say("subscribe"), data("b"), Say(b"\xff"), close(OK)),
        Demand(("a", "b"), said=("subscribe", b"\xff")),
    ),
    Case(
        "the client says much",
        (Say("s" * 125), Say("s" * 126), Say("s" * 65_535), Say(b"s" * 65_536), Say(""), close(OK)),
        Demand(said=("s" * 125, "s" * 126, "s" * 65_535, b"s" * 65_536, "")),
    ),
    Case(
        "the client says something inside a frame",
        (
            data("abc")[:3],
            Say("1"),
            data("abc")[3:],
            data("d", bits=0),
            Say("2"),
            frame(0x80, b"e"),
            close(OK),
        ),
        Demand(("abc", "de"), said=("1", "2")),
    ),
    Case("the stream ends at once", (data("a"),), breaks("a")),
]

CASES = [*_codes, *_bad_codes, *_reasons, *_bad_reasons, *_forms, *_afterwards, *_by_client, *_said]
