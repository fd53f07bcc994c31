"""Exceptions in words: text that can be shown in one line, logged, and sent to another process."""

from __future__ import annotations

import re
import traceback

MAX_LINE_CHARS = 1_000
MAX_TRACEBACK_CHARS = 8_000
MAX_FRAMES = 30
"""The innermost ones of a traceback: a deep recursion takes long to put in words."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def one_line(text: str) -> str:
    """Any text in one line, its control characters and lone surrogates escaped, its end cut off if very long."""
    line = " ".join(text[: 4 * MAX_LINE_CHARS].split())
    if len(line) > MAX_LINE_CHARS:
        line = f"{line[:MAX_LINE_CHARS]}…"
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", sendable(line))


def sendable(text: str) -> str:
    """The text with lone surrogates escaped, which UTF-8 can't hold."""
    return text.encode("utf-8", "backslashreplace").decode()


def text_of(exception: BaseException) -> str:
    """What the exception says, in one line; empty if it says nothing or can't."""
    try:
        return one_line(str(exception))
    except BaseException:  # somebody else's `__str__` may raise anything
        return ""


def named(exception: BaseException) -> str:
    """The exception's type, and what it says where it says something."""
    name, text = type(exception).__name__, text_of(exception)
    return f"{name}: {text}" if text else name


def traceback_of(exception: BaseException) -> str:
    """The exception's traceback, its end where it is very long."""
    try:
        lines = traceback.format_exception(exception, limit=-MAX_FRAMES)
    except BaseException:
        return type(exception).__name__
    return sendable("".join(lines)[-MAX_TRACEBACK_CHARS:])
