"""Functions of the user's beside processors: what they may look like, and what is said of those that don't."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaleout.errors import ProcessorError
from scaleout.hooks import load_gap_hook, load_producer, problem_of

MODULE = """
import functools

async def nothing():
    yield "x"
async def with_context(context):
    yield "x"
async def with_defaults(context=None, more=1):
    yield "x"
async def with_any(*arguments, **keys):
    yield "x"
async def wants_too_much(context, more):
    yield "x"
async def wants_a_key(*, key):
    yield "x"
async def no_generator():
    return 1
def plain():
    yield "x"

def gap(gap): ...
def gap_and_context(gap, context): ...
def any_gap(*arguments): ...
async def later(gap): ...
def no_gap(): ...
def three(gap, context, more): ...
class Hook:
    def __init__(self, gap): ...
    def __call__(self, gap, context): ...
called = Hook(None)
partly = functools.partial(gap_and_context, context=None)
number = 5
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "user_hooks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "wants_context"),
    [("nothing", False), ("with_context", True), ("with_defaults", True), ("with_any", False)],
)
def test_producers(name: str, wants_context: bool) -> None:
    assert load_producer(f"user_hooks:{name}").wants_context is wants_context
    assert problem_of("producer", f"user_hooks:{name}") is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wants_too_much", "requires more than it is called with, which is at most 1"),
        ("wants_a_key", "requires more than it is called with"),
        ("no_generator", "isn't an async generator function: `async def` with `yield` in it"),
        ("plain", "isn't an async generator function"),
        ("number", "isn't an async generator function"),
        ("missing", "missing"),
    ],
)
def test_what_is_no_producer(name: str, words: str) -> None:
    with pytest.raises(ProcessorError, match=words.replace("(", r"\(")):
        load_producer(f"user_hooks:{name}")
    assert words in (problem_of("producer", f"user_hooks:{name}") or "")


@pytest.mark.parametrize(
    ("name", "wants_context"),
    [
        ("gap", False),
        ("gap_and_context", True),
        ("any_gap", False),
        ("later", False),
        ("called", True),
        ("partly", False),
    ],
)
def test_gap_hooks(name: str, wants_context: bool) -> None:
    assert load_gap_hook(f"user_hooks:{name}").wants_context is wants_context
    assert problem_of("on_gap", f"user_hooks:{name}") is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_gap", "takes no argument, and is called with 1"),
        ("three", "requires more than it is called with, which is at most 2"),
        ("Hook", "isn't a function"),
        ("number", "isn't a function"),
    ],
)
def test_what_is_no_gap_hook(name: str, words: str) -> None:
    with pytest.raises(ProcessorError, match=words):
        load_gap_hook(f"user_hooks:{name}")
    assert words in (problem_of("on_gap", f"user_hooks:{name}") or "")
