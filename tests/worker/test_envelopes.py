"""Each line comes out once, within its own endpoint's envelope."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.runs import run_of
from scaleout.worker.envelopes import pass_on, wrap
from scaleout.worker.lane import Portion
from tests.worker.gathering import Worker
from tests.worker.peers import FastLoop, run_fast

PAYLOADS = st.binary(max_size=40).map(lambda octets: octets.translate(None, b"\r\n"))
READS = st.lists(
    st.tuples(st.integers(0, 2), st.lists(PAYLOADS, min_size=1, max_size=4)), min_size=1, max_size=5
)


class Setting:
    """Reads of three endpoints."""

    def __init__(self, reads: list[tuple[int, list[bytes]]]) -> None:
        worker = Worker(3, loop=cast(FastLoop, asyncio.get_running_loop()))
        self.reads = [payloads for _, payloads in reads]
        self.portions: list[Portion] = []
        for index, (slot, payloads) in enumerate(reads):
            lane = worker.inlets[slot].lane
            assert lane is not None
            self.portions.append(Portion(lane, run_of(payloads), 1_000 + index))
        self.heads = [
            b'{"endpoint":"\\"%d\\"","received_at":%d,"data":' % (slot, 1_000 + index)
            for index, (slot, _) in enumerate(reads)
        ]


@given(READS)
def test_payloads_are_passed_on_as_lines(reads: list[tuple[int, list[bytes]]]) -> None:
    async def main() -> None:
        setting = Setting(reads)
        enveloped = [
            head + payload + b"}\n"
            for head, payloads in zip(setting.heads, setting.reads, strict=True)
            for payload in payloads
        ]
        assert b"".join(pass_on(setting.portions, True)) == b"".join(enveloped)
        bare = [payload + b"\n" for payloads in setting.reads for payload in payloads]
        assert b"".join(pass_on(setting.portions, False)) == b"".join(bare)

    run_fast(main())


@given(READS, st.data())
def test_lines_are_wrapped_one_for_each_message_or_as_counted(
    reads: list[tuple[int, list[bytes]]], data: st.DataObject
) -> None:
    async def main() -> None:
        setting = Setting(reads)
        each = [len(payloads) for payloads in setting.reads]
        counts = data.draw(st.none() | st.tuples(*(st.integers(0, count) for count in each)).map(list))
        lines = data.draw(st.lists(PAYLOADS, min_size=sum(counts or each), max_size=sum(counts or each)))
        rest = iter(lines)
        expected = [
            head + line + b"}\n"
            for head, count in zip(setting.heads, counts or each, strict=True)
            for line in islice(rest, count)
        ]
        wrapped = wrap(setting.portions, counts, b"".join(line + b"\n" for line in lines))
        assert wrapped == b"".join(expected)

    run_fast(main())


@given(READS, st.sampled_from([b"", b"\n", b"\r\n", b"a\r"]))
def test_other_line_breaks_are_noticed(reads: list[tuple[int, list[bytes]]], more: bytes) -> None:
    """A result that holds one would pass for two."""

    async def main() -> None:
        setting = Setting(reads)
        count = sum(map(len, setting.reads))
        lines = b"1\n" * (count - 1) + (more or b"unfinished")
        if more == b"\n":
            lines += b"1\n"
        assert wrap(setting.portions, None, lines) is None

    run_fast(main())
