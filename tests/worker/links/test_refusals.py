"""Refusals of subscriptions, as public feeds word them."""

from __future__ import annotations

import pytest

from scaleout.core.remedies import Remedy
from scaleout.worker.links.refusals import LONGEST_WORDS, refusal_in, text_in


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ('{"error":{"code":2,"msg":"Invalid request: no symbol"},"id":1}', "Invalid request: no symbol"),
        ('{"method":"subscribe","success":false,"error":"Pair not supported"}', "Pair not supported"),
        ('{"type":"error","message":"Failed to subscribe","reason":"bad product"}', "Failed to subscribe"),
        ('{"event":"error","code":"60012","msg":"Illegal request"}', "Illegal request"),
        ('{"jsonrpc":"2.0","error":{"message":"Method not found","code":-32601}}', "Method not found"),
        ('{"event":"error","msg":"symbol: invalid","code":10300}', "symbol: invalid"),
        ('{"event":"subscriptionStatus","status":"error","errorMessage":"Pair unknown"}', "Pair unknown"),
        ('{"status":"error","err-code":"bad-request","err-msg":"invalid topic"}', "invalid topic"),
        ('{"success":false,"ret_msg":"handler not found"}', "handler not found"),
        ('["CLOSED","sub1","error: no such filter"]', "error: no such filter"),
        ('{"error":"no"}', "no"),
        ('{"op":"error"}', '{"op":"error"}'),
        ('{"error":{"code":7}}', '{"code":7}'),
        ('{"error":true}', '{"error":true}'),
    ],
)  # fmt: skip
def test_the_usual_ways_are_known_with_the_words(message: str, words: str) -> None:
    refusal = refusal_in(message.encode())
    assert refusal is not None
    assert (refusal.words, refusal.remedy) == (words, Remedy.REFUSED)


@pytest.mark.parametrize(
    "words",
    [
        "rate-limited: slow down",
        "Rate limit exceeded",
        "RateLimitExceeded",
        "Exceeded msg rate",
        "Requests too frequent",
        "too_many_requests",
        "Too many subscriptions, try again later",
        "Service temporarily unavailable",
        "server overloaded",
        "Under maintenance",
    ],
)
def test_some_are_for_a_while_alone(words: str) -> None:
    refusal = refusal_in(f'{{"type":"error","message":"{words}"}}'.encode())
    assert refusal is not None and refusal.remedy is Remedy.SLOW_RETRY
    closed = refusal_in(f'["CLOSED","sub1","{words}"]'.encode())
    assert closed is not None and closed.remedy is Remedy.SLOW_RETRY


@pytest.mark.parametrize(
    "message",
    [
        "", "null", "7", '"error"', "[]",
        '["EVENT","id",{}]', '["NOTICE","hello"]', '["CLOSED"]', "{}", '{"error":null}',
        '{"error":[],"result":null}', '{"success":true}', '{"type":"subscribed"}', "not json", "\x00\xff",
        '{"data":{"error":"of the data"}}', "[" * 100_000, '{"a":' * 100_000,
    ],
)  # fmt: skip
def test_anything_else_refuses_nothing(message: str) -> None:
    assert refusal_in(message.encode()) is None


def test_words_are_one_short_line() -> None:
    refusal = refusal_in(b'{"error":"a\\nb\\u001b[31m' + b"x" * 5000 + b'"}')
    assert refusal is not None
    assert refusal.words.startswith("a b") and refusal.words.isprintable()
    assert len(refusal.words) == LONGEST_WORDS + 1
    assert text_in(b"\xff\n\xfe") == "� �"
