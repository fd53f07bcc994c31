"""Redaction."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout import secrets
from scaleout.secrets import Redactor, learn, learnt, redact_uri


def test_every_secret_is_blotted_out() -> None:
    assert Redactor(["hunter22", "swordfish"])("hunter22 and swordfish, hunter22") == "*** and ***, ***"


def test_the_longest_secret_goes_first() -> None:
    assert Redactor(["abcd", "abcdefgh"])("x abcdefgh abcd") == "x *** ***"


def test_short_values_are_no_secrets() -> None:
    assert Redactor(["abc", ""])("abc") == "abc"


def test_without_secrets_text_stays() -> None:
    assert Redactor([])("text") == "text"


def test_what_is_learnt_later_is_hidden_by_those_who_are_there_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(secrets, "_learnt", {})
    redact, other = Redactor(["hunter22"]), Redactor([])
    assert redact("hunter22, swordfish") == "***, swordfish"
    learn(["swordfish"])
    assert redact("hunter22, swordfish") == "***, ***"
    assert other("hunter22, swordfish") == "hunter22, ***"
    assert Redactor([])("swordfish") == "***"
    learn(["swordfish", "trustno1"])
    assert redact("trustno1") == "***"
    assert learnt() == ("swordfish", "trustno1")


@pytest.mark.parametrize("spell", [json.dumps, repr, lambda secret: "p%22%C3%A4ss%20%0A"])
def test_escaped_secrets_are_found(spell: object) -> None:
    assert callable(spell)
    assert "***" in Redactor(['p"äss \n'])(f"said {spell(chr(112) + chr(34) + 'äss ' + chr(10))}")


@given(st.lists(st.text(min_size=4, max_size=8)), st.text(), st.text())
def test_no_secret_is_left(secrets: list[str], before: str, after: str) -> None:
    redact = Redactor(secrets)
    for secret in secrets:
        redacted = redact(before + secret + after)
        assert secret not in redacted or secret in "***" + before + after or "*" in secret


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("wss://host/path", "wss://host/path"),
        ("wss://user:p@ss@host:1/path", "wss://***@host:1/path"),
        ("wss://host/?token=abc&x=1&flag", "wss://host/?token=***&x=***&***"),
        ("wss://host/?", "wss://host/?"),
        ("wss://host/ws/btc@trade", "wss://host/ws/btc@trade"),
        ("wss://host/#part", "wss://host/#***"),
        ("not a uri", "not a uri"),
        ("", ""),
    ],
)
def test_uris(uri: str, expected: str) -> None:
    assert redact_uri(uri) == expected


def test_no_text_stays_none() -> None:
    redact = Redactor(["s3cr3t"])
    assert redact.optional(None) is None
    assert redact.optional("a s3cr3t") == "a ***"
