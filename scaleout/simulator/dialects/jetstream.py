"""Bluesky's Jetstream: `time_us` is FIRST_TIME_US + 1,000 n, and a cursor."""

from __future__ import annotations

import hashlib

from scaleout.simulator.dialects.base import (
    FIRST_TIME_US,
    Dialect,
    Request,
    as_object,
    iso,
    mix,
    no_replies,
    prose,
)


def _jetstream_message(stream: int, sequence: int) -> bytes:
    mixed = mix(stream, sequence)
    author = hashlib.blake2b(b"%d" % (mixed % 5000), digest_size=12).hexdigest()
    content = hashlib.blake2b(b"%d/%d" % (stream, sequence), digest_size=28).hexdigest()
    key = f"3k{sequence:011}"
    return (
        f'{{"did":"did:plc:{author}","time_us":{FIRST_TIME_US + 1000 * sequence},"kind":"commit","commit":{{'
        f'"rev":"{key}","operation":"create","collection":"app.bsky.feed.post","rkey":"{key}","record":{{'
        f'"$type":"app.bsky.feed.post","createdAt":"{iso(sequence)}","langs":["en"],"text":"{prose(mixed)}"}},'
        f'"cid":"baf{content}"}}}}'
    ).encode()


def _jetstream_subscribe(stream: int) -> str:
    return '{"type":"options_update","payload":{"wantedCollections":["app.bsky.feed.post"]}}'


def cursor_sequence(cursor: str) -> int | None:
    """The first message that a Jetstream cursor asks for: the one at that time or the first after it."""
    if not cursor.isascii() or not cursor.isdigit():
        return None
    return max(0, -(-(int(cursor) - FIRST_TIME_US) // 1000))


def _asks(text: str) -> Request | None:
    return Request("subscribe") if as_object(text).get("type") == "options_update" else None


JETSTREAM = Dialect(
    name="jetstream",
    message=_jetstream_message,
    subscribe=_jetstream_subscribe,
    replies=no_replies,
    asks=_asks,
)
