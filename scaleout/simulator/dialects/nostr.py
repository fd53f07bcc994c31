"""A Nostr relay: the first word of `[2].content` is `#n`."""

from __future__ import annotations

import hashlib

import msgspec

from scaleout.simulator.dialects.base import Dialect, milliseconds, mix, prose


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
    try:
        request = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return [b'["NOTICE","invalid: not JSON"]']
    match request:
        case ["REQ", str(subscription), *_]:
            return [msgspec.json.encode(["EOSE", subscription])]
        case ["CLOSE", str(subscription)]:
            return [msgspec.json.encode(["CLOSED", subscription, ""])]
    return [b'["NOTICE","invalid: unknown message"]']


NOSTR = Dialect(name="nostr", message=_nostr_message, subscribe=_nostr_subscribe, replies=_nostr_replies)
