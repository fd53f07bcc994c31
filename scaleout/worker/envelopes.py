# cython: annotation_typing=False
"""Lines of many endpoints in one buffer, each within its endpoint's envelope.

Compiled, the size of all is added up first, and each byte is written once. Uncompiled, lines are split and joined,
which Python does in C.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaleout.core.frames import IS_COMPILED
from scaleout.worker.encoding import LINE_END
from scaleout.worker.lane import Portion, payloads_of

if TYPE_CHECKING:  # C's own, see `envelopes.pxd`
    import cython
    from cython.cimports.libc.string import memchr, memcpy

_NEWLINE, _BRACE = LINE_END[1], LINE_END[0]


def wrap(portions: list[Portion], results: list[int] | None, lines: bytes) -> bytes | bytearray | None:
    """Put each endpoint's envelope around its lines.

    Args:
        portions: whose lines they are.
        results: as for `settle`.
        lines: each with its newline.

    Returns:
        None where there are other line breaks, too.
    """
    if b"\r" in lines:
        return None
    if not IS_COMPILED:
        return _wrap_split(portions, results, lines)
    heads: list[bytes] = []
    size_bytes = len(lines)
    for index, portion in enumerate(portions):
        head = portion.head()
        heads.append(head)
        count = portion.run.count if results is None else results[index]
        size_bytes += count * (len(head) + len(LINE_END) - 1)
    wrapped = bytearray(size_bytes)
    source: Any = lines
    target: Any = wrapped
    position, end, at = 0, len(lines), 0
    for index, portion in enumerate(portions):
        head = heads[index]
        first = head
        first_size = len(head)
        count = portion.run.count if results is None else results[index]
        for _ in range(count):
            found = cython.cast("const unsigned char *", memchr(source + position, _NEWLINE, end - position))
            if not found:
                return None
            length = found - (source + position)
            memcpy(target + at, first, first_size)
            at += first_size
            memcpy(target + at, source + position, length)
            at += length
            target[at] = _BRACE
            target[at + 1] = _NEWLINE
            at += 2
            position += length + 1
    return wrapped if position == end else None


def _wrap_split(portions: list[Portion], results: list[int] | None, lines: bytes) -> bytes | None:
    each = lines.split(b"\n")
    parts: list[bytes] = []
    position = 0
    for index, portion in enumerate(portions):
        prefix = portion.head()
        stop = position + (portion.run.count if results is None else results[index])
        while position < stop and position < len(each):
            parts.append(prefix)
            parts.append(each[position])
            parts.append(LINE_END)
            position += 1
    return b"".join(parts) if position == len(each) - 1 else None


def pass_on(portions: list[Portion], envelope: bool) -> list[bytes | bytearray]:
    """The payloads as lines, within envelopes where these are wanted; in parts of whole or broken lines."""
    if not IS_COMPILED:
        return _join(portions, envelope)
    end = LINE_END if envelope else b"\n"
    heads: list[bytes] = []
    size_bytes = 0
    for portion in portions:
        head = portion.head() if envelope else b""
        heads.append(head)
        size_bytes += portion.run.size_bytes + portion.run.count * (len(head) + len(end))
    lines = bytearray(size_bytes)
    at = 0
    for index, portion in enumerate(portions):
        at = portion.run.write_lines(lines, at, heads[index], end)
    return [lines]


def _join(portions: list[Portion], envelope: bool) -> list[bytes | bytearray]:
    if not envelope:
        return [b"\n".join(payloads_of(portions)), b"\n"]
    parts: list[bytes | bytearray] = []
    for portion in portions:
        prefix = portion.head()
        parts += [prefix, (LINE_END + prefix).join(portion.run.payloads()), LINE_END]
    return parts
