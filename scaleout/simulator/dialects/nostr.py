"""A Nostr relay: the first word of `[2].content` is `#n`."""

from __future__ import annotations

import hashlib

import msgspec

from scaleout.simulator.dialects.base import Dialect, Request, milliseconds, mix, prose


def _nostr_message(stream: int, sequence: int) -> bytes:
    mixed = mix(stream, sequence)
    name = b"%d/%d" % (stream, sequence)
    signature = hashlib.blake2b(name, digest_size=64).hexdigest()
    return (
        f'["EVENT","feed",{{"content":"#{sequence} {prose(mixed)}",'
        f'"created_at":{milliseconds(sequence) // 1000},'
        f'"id":"{hashlib.sha256(name).hexdigest()}","kind":1,"pubkey":"{mixed % 5000:064x}",'
        f'"sig":"{signature}","tags":[["t","feed{stream}"]]}}]'
    ).encode()


def _nostr_subscribe(stream: int) -> str:
    return f'["REQ","feed",{{"kinds":[1],"#t":["feed{stream}"]}}]'


def _nostr_replies(stream: int, text: str, number: int) -> list[bytes]:
    match _words(text):
        case ["REQ", str(subscription), *_]:
            return [msgspec.json.encode(["EOSE", subscription])]
        case ["CLOSE", str(subscription)]:
            return [msgspec.json.encode(["CLOSED", subscription, ""])]
        case None:
            return [b'["NOTICE","invalid: not JSON"]']
    return [b'["NOTICE","invalid: unknown message"]']


def _asks(text: str) -> Request | None:
    match _words(text):
        case ["REQ", *_]:
            return Request("subscribe")
        case ["CLOSE", *_]:
            return Request("unsubscribe")
    return None


def _refusal(text: str, problem: str) -> bytes:
    match _words(text):
        case [_, str(subscription), *_]:
            return msgspec.json.encode(["CLOSED", subscription, f"error: {problem}"])
    return msgspec.json.encode(["NOTICE", f"error: {problem}"])


def _heartbeat(nth: int, number: int) -> bytes:
    return msgspec.json.encode(["NOTICE", f"heartbeat {nth}"])


def _goodbye(at_ms: int, number: int) -> bytes:
    return msgspec.json.encode(["NOTICE", "goodbye"])


def _words(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None


NOSTR = Dialect(
    name="nostr",
    message=_nostr_message,
    subscribe=_nostr_subscribe,
    replies=_nostr_replies,
    asks=_asks,
    refusal=_refusal,
    heartbeat=_heartbeat,
    goodbye=_goodbye,
)
