"""What should have become of a feed, and what is wrong with what did."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import msgspec

from bench.feed import messages
from bench.sides.result import Task

BLOCK_BYTES = 2**24
MANY_FAULTS = 10
"""More of them are not told."""


class Tally(NamedTuple):
    """What one connection has brought."""

    messages: int
    output_bytes: int
    last: bytes
    """The last result."""


def load_processor(name: str) -> tuple[Callable[..., Any], Any]:
    """The function that MODULE:FUNCTION names, and the type of its parameter."""
    module, _, function = name.partition(":")
    processor: Callable[..., Any] = getattr(importlib.import_module(module), function)
    hints = get_type_hints(processor)
    return processor, next(hint for parameter, hint in hints.items() if parameter != "return")


class Expectation:
    """What becomes of each message of a task's feed, as JSON."""

    def __init__(self, task: Task) -> None:
        self._cycle = messages(task.feed)
        self._make: Callable[[bytes], bytes] = lambda message: message
        if task.reference is not None:
            processor, wanted = load_processor(task.reference)
            decode, encode = msgspec.json.Decoder(wanted).decode, msgspec.json.Encoder().encode
            self._make = lambda message: encode(processor(decode(message)))

    def result(self, number: int) -> bytes:
        """Of a connection's message of that number, from 0 on."""
        return self._make(self._cycle[number % len(self._cycle)])

    def cycle(self) -> list[bytes]:
        """Of all messages until they come again."""
        return [self._make(message) for message in self._cycle]


def check_tallies(tallies: Sequence[Tally], expectation: Expectation) -> list[str]:
    """The faults of a side that only counts: the last result must be the one of that number."""
    faults = [
        f"connection {index}: after {tally.messages} messages the result is {tally.last[:100]!r}"
        for index, tally in enumerate(tallies)
        if tally.messages and not _is_same(tally.last, expectation.result(tally.messages - 1))
    ]
    silent = sum(not tally.messages for tally in tallies)
    return [*faults[:MANY_FAULTS], *([f"{silent} connections brought nothing"] if silent else [])]


def _is_same(found: bytes, expected: bytes) -> bool:
    """Whether two texts are the same JSON: libraries write numbers in more than one way."""
    try:
        return bool(msgspec.json.decode(found) == msgspec.json.decode(expected))
    except msgspec.DecodeError:
        return False


class Line(msgspec.Struct):
    """A line of output."""

    endpoint: str
    received_at: int
    data: msgspec.Raw


class Output:
    """What an output file says, line by line: each endpoint has all results from the first on, in order.

    Args:
        expected: the results of a cycle.
    """

    def __init__(self, expected: Sequence[bytes]) -> None:
        self.faults: list[str] = []
        self.lines = 0
        self.bytes = 0
        self._expected = [msgspec.Raw(result) for result in expected]
        self.reads = 0
        """How often something was read from a connection: a line with another time than its endpoint's last."""
        self._read_at: dict[str, int] = {}
        self._places: dict[str, int] = {}
        self._decoder = msgspec.json.Decoder(Line)

    @property
    def endpoints(self) -> int:
        """How many have brought something."""
        return len(self._places)

    def read(self, path: Path) -> None:
        """Take a whole file."""
        rest = b""
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                self.bytes += len(block)
                whole, newline, rest = (rest + block).rpartition(b"\n")
                self._take(self._decoder.decode_lines(whole + newline))
        if rest:
            self.faults.append("the output ends within a line")

    def _take(self, lines: Sequence[Line]) -> None:
        places, expected, cycle = self._places, self._expected, len(self._expected)
        read_at = self._read_at
        for line in lines:
            if read_at.get(line.endpoint) != line.received_at:
                read_at[line.endpoint] = line.received_at
                self.reads += 1
            place = places.get(line.endpoint, 0)
            if line.data != expected[place]:
                if len(self.faults) < MANY_FAULTS:
                    self.faults.append(f"{line.endpoint}: {bytes(line.data)[:100]!r} at place {place}")
                place = self._find(line.data, place)
            places[line.endpoint] = (place + 1) % cycle
        self.lines += len(lines)

    def _find(self, data: msgspec.Raw, place: int) -> int:
        """Where to go on, so that one missing result is one fault."""
        return self._expected.index(data) if data in self._expected else place


def lines_between(path: Path, start: int, stop: int) -> int:
    """How many lines of a file end within these positions."""
    count = 0
    with path.open("rb") as file:
        file.seek(start)
        while start < stop and (block := file.read(min(BLOCK_BYTES, stop - start))):
            count += block.count(b"\n")
            start += len(block)
    return count
