"""Pings and pongs (RFC 6455, sections 5.5, 5.5.2 and 5.5.3)."""

from __future__ import annotations

from tests.worker.conformance.case import (
    FIN,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TOO_BIG,
    Ask,
    Case,
    Demand,
    Deviation,
    Leave,
    Setting,
    accepts,
    data,
    frame,
    ping,
    pong,
    refuses,
)
from tests.worker.conformance.framing import LONG_FORM

_payloads = {
    "no payload": b"",
    "one byte": b"\0",
    "text": b"Hello",
    "no text": bytes(range(0xF8, 0x100)),
    "124 bytes": b"\xfe" * 124,
    "125 bytes": b"p" * 125,
}

_pings = [
    Case(f"ping with {name}", (ping(payload),), accepts(pongs=(payload,)))
    for name, payload in _payloads.items()
]
_pongs = [
    Case(f"pong that nobody asked for, with {name}", (data("a"), pong(payload), data("b")), accepts("a", "b"))
    for name, payload in _payloads.items()
]
_too_long = [
    Case(
        f"{name} of {size} bytes", (data("a"), frame(FIN | opcode, b"p" * size)), refuses(PROTOCOL_ERROR, "a")
    )
    for name, opcode in (("ping", PING), ("pong", PONG))
    for size in (126, 127, 65_535, 65_536)
]
_in_parts = [
    Case(f"{name} without FIN and {what}", (data("a"), frame(opcode, payload)), refuses(PROTOCOL_ERROR, "a"))
    for name, opcode in (("ping", PING), ("pong", PONG))
    for what, payload in (("no payload", b""), ("a payload", b"part"))
]
_long_forms = [
    Case(
        f"{name} of {size} bytes with its length in form {form}",
        (frame(FIN | opcode, b"p" * size, form=form),),
        refuses(PROTOCOL_ERROR),
        deviation=Deviation(LONG_FORM, accepts(pongs=(b"p" * size,) if opcode == PING else ())),
    )
    for name, opcode in (("ping", PING), ("pong", PONG))
    for form in (126, 127)
    for size in (0, 125)
]

_numbers = tuple(b"%d" % number for number in range(100))
_many = [
    Case("ten pings", tuple(map(ping, _numbers[:10])), accepts(pongs=_numbers[:10])),
    Case("a hundred pings", tuple(map(ping, _numbers)), accepts(pongs=_numbers)),
    Case(
        "a ping behind each message",
        tuple(part for number in _numbers for part in (data(number.decode()), ping(number))),
        accepts(*[number.decode() for number in _numbers], pongs=_numbers),
    ),
    Case(
        "a pong behind each message",
        tuple(part for number in _numbers for part in (data(number), pong(number))),
        accepts(*_numbers),
    ),
    Case("ping, pong, ping", (ping(b"1"), pong(b"2"), ping(b"3")), accepts(pongs=(b"1", b"3"))),
]

_asking = (Ask(b"one"), Ask(b"two"), Ask(b"three"))
_asked = [
    Case("answered ping", (Ask(b"one"), pong(b"one")), Demand(answered=(b"one",), goes_on=True)),
    Case(
        "ping answered behind messages",
        (Ask(b"one"), *(data("a"),) * 300, pong(b"one"), data("b")),
        Demand((*["a"] * 300, "b"), answered=(b"one",), goes_on=True),
    ),
    Case(
        "ping answered inside a fragmented message",
        (Ask(b"one"), frame(1, b"a"), pong(b"one"), frame(FIN, b"b")),
        Demand(("ab",), answered=(b"one",), goes_on=True),
    ),
    Case("ping with an empty payload", (Ask(b""), pong(b"")), Demand(answered=(b"",), goes_on=True)),
    Case(
        "three pings answered in turn",
        (*_asking, pong(b"one"), pong(b"two"), pong(b"three")),
        Demand(answered=(b"one", b"two", b"three"), goes_on=True),
    ),
    Case(
        "a pong for the last ping answers those before it",
        (*_asking, pong(b"three")),
        Demand(answered=(b"one", b"two", b"three"), goes_on=True),
    ),
    Case(
        "a pong for the middle one leaves the last",
        (*_asking, pong(b"two")),
        Demand(answered=(b"one", b"two"), goes_on=True),
    ),
    Case("a pong for another ping answers none", (Ask(b"one"), pong(b"eno")), accepts()),
    Case("a pong that is too early answers none", (pong(b"one"), Ask(b"one")), accepts()),
    Case("a ping with the same payload is no answer", (Ask(b"one"), ping(b"one")), accepts(pongs=(b"one",))),
    Case(
        "pings while the client leaves",
        (Leave(), ping(b"1"), pong(b"2"), ping(b"3")),
        accepts(pongs=(b"1", b"3")),
    ),
]

_limited = [
    Case(
        "ping larger than a message may be",
        (data("a"), ping(b"p" * 11)),
        accepts("a", pongs=(b"p" * 11,)),
        Setting(max_size=10),
        Deviation(
            "max_size holds for control frames, too; the RFC limits them to 125 bytes only",
            refuses(TOO_BIG, "a"),
        ),
    ),
    Case(
        "ping as large as a message may be",
        (data("a"), ping(b"p" * 12)),
        accepts("a", pongs=(b"p" * 12,)),
        Setting(max_size=12),
    ),
    Case(
        "ping too long for a ping and for a message",
        (data("a"), ping(b"p" * 2000)),
        refuses(PROTOCOL_ERROR, "a"),
        Setting(max_size=1000),
        Deviation("the size is looked at before the opcode", refuses(TOO_BIG, "a")),
    ),
]

CASES = [*_pings, *_pongs, *_too_long, *_in_parts, *_long_forms, *_many, *_asked, *_limited]
