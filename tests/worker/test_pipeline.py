"""Every form of processor, every way to misbehave: each message is delivered, filtered or dead, and once."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout.context import Context
from scaleout.core.frames import Kind
from scaleout.errors import Reject
from scaleout.tally import Allowance
from scaleout.worker import books

MakeDesk = Callable[..., Any]
Run = Callable[[Awaitable[Any]], Any]


class Trade(msgspec.Struct):
    price: int


class Picky(msgspec.Struct):
    fault: str

    def __post_init__(self) -> None:
        if self.fault == "stop":
            raise StopIteration
        if self.fault == "exit":
            raise SystemExit(3)
        if self.fault == "value":
            raise ValueError("a value that is no good")


@pytest.fixture
def feed(desk: MakeDesk, run: Run) -> Callable[..., Any]:
    """Feeds one read to a new desk and returns the desk once all is done."""

    def feed(processor: Any, *payloads: bytes, kind: Kind = Kind.TEXT, **options: Any) -> Any:
        async def scenario() -> Any:
            made = desk(processor, **options)
            made.receive(*payloads, kind=kind)
            await made.drain()
            return made

        return run(scenario())

    return feed


Feed = Callable[..., Any]


# No processor


class TestPassThrough:
    def test_json_is_passed_on_byte_for_byte(self, feed: Feed) -> None:
        payloads = [
            b'{"b": 1,  "a":\t2, "a": 3}',
            b"123456789012345678901234567890",
            b"1e999",
            b'"\\u00e9\\n\\/"',
            " \u201c\u2028\u201d".join('""').encode(),
            b" [ ] ",
        ]
        done = feed(None, *payloads)
        assert done.data == payloads
        assert done.counts == (6, 6, 0, 0)

    @pytest.mark.parametrize("kind", list(Kind))
    def test_line_breaks_in_a_message_become_spaces(self, feed: Feed, kind: Kind) -> None:
        done = feed(None, b'{\r\n "a":\n1\r}', b"2\r", b"3", kind=kind)
        assert done.data == [b'{   "a": 1 }', b"2 ", b"3"]
        assert done.counts == (3, 3, 0, 0)

    @pytest.mark.parametrize(
        "payloads",
        [
            [b"1 2", b""],
            [b"{}{}", b""],
            [b"[1,", b"2]", b"3 4"],
            [b"[1,", b"2]", b"3", b"4 5"],
            [b"", b"1 2", b"3"],
            [b" ", b"1\r2"],
        ],
    )
    @pytest.mark.parametrize("processor", [None, lambda message: message])
    def test_messages_that_only_together_look_right_are_dead(
        self, feed: Feed, payloads: list[bytes], processor: Any
    ) -> None:
        good = [payload for payload in payloads if payload == b"3"]
        done = feed(processor, *payloads)
        assert done.data == good
        assert done.dead_payloads == [payload for payload in payloads if payload not in good]
        assert done.counts == (len(payloads), len(good), 0, len(payloads) - len(good))

    @pytest.mark.parametrize(
        "bad",
        [
            b"",
            b" ",
            b"\n",
            b"\xef\xbb\xbf1",
            b"NaN",
            b"{'a': 1}",
            b"[1,]",
            b"01",
            b'"\\ud800"',
            b"1 1",
            b"[" * 50_000,
        ],
    )
    def test_what_is_not_json_is_dead_alone(self, feed: Feed, bad: bytes) -> None:
        done = feed(None, b"1", bad, b"[2,\n3]")
        assert done.data == [b"1", b"[2, 3]"]
        assert done.dead_payloads == [bad]
        (letter,) = done.dead
        assert (letter.stage, letter.is_text, letter.traceback) == ("decode", True, None)
        assert letter.reason
        assert done.counts == (3, 2, 0, 1)

    def test_a_carriage_return_alone_is_a_line_break_too(self, feed: Feed) -> None:
        assert feed(None, b"[\r1]", b"2\r").data == [b"[ 1]", b"2 "]

    def test_invalid_utf8_in_a_binary_message_is_dead(self, feed: Feed) -> None:
        done = feed(None, b'"\xc3\xa9"', b'"\xff"', b'"\xc3', b'\xa9"', kind=Kind.BINARY)
        assert done.data == [b'"\xc3\xa9"']
        assert done.dead_payloads == [b'"\xff"', b'"\xc3', b'\xa9"']
        assert not done.dead[0].is_text

    def test_without_envelope_the_lines_are_the_messages(self, feed: Feed) -> None:
        done = feed(None, b"1", b"[\n]", b"x", b'"\\n"', envelope=False)
        assert done.lines == [b"1", b"[ ]", b'"\\n"']
        assert done.counts == (4, 3, 0, 1)

    def test_the_envelope_escapes_the_name(self, feed: Feed) -> None:
        name = 'a"b\\c\nd\u201c%s}'
        done = feed(None, b"1", b"2", name=name)
        assert [json.loads(line)["endpoint"] for line in done.lines] == [name, name]

    def test_text_and_binary_without_json(self, feed: Feed) -> None:
        done = feed(None, 'a"\n\u20ac'.encode(), b"", message_format="text")
        assert done.results == ['a"\n\u20ac', ""]
        done = feed(None, b"\x00\xff", kind=Kind.BINARY, message_format="text")
        assert (done.dead_payloads, done.counts) == ([b"\x00\xff"], (1, 0, 0, 1))
        done = feed(None, b"\x00\xff", b"", kind=Kind.BINARY, message_format="binary")
        assert done.results == ["AP8=", ""]


# Forms


def one(message):  # type: ignore[no-untyped-def]
    return message


def with_context(message: object, context: Context) -> object:
    return [message, context.endpoint, context.received_at > 0]


def generator(message: object) -> Iterator[object]:
    yield message
    yield None
    yield message


async def awaited(message: object) -> object:
    await asyncio.sleep(0)
    return message


async def async_generator(message: object) -> Any:
    yield message
    await asyncio.sleep(0)
    yield message


def batch(messages: list[object]) -> list[object]:
    return messages


def batch_generator(messages: list[object], context: Context) -> Iterator[object]:
    for message in messages:
        yield {context.endpoint: message}


async def async_batch(messages: list[object]) -> list[object]:
    await asyncio.sleep(0)
    return messages[::-1]


async def async_batch_generator(messages: list[object]) -> Any:
    for message in messages:
        yield message


class TestForms:
    @pytest.mark.parametrize(
        ("processor", "expected"),
        [
            (one, [1, [2], {"a": 3}]),
            (with_context, [[1, "desk", True], [[2], "desk", True], [{"a": 3}, "desk", True]]),
            (generator, [1, 1, [2], [2], {"a": 3}, {"a": 3}]),
            (lambda message: iter([message, message]), [1, 1, [2], [2], {"a": 3}, {"a": 3}]),
            (lambda message: [message, message], [[1, 1], [[2], [2]], [{"a": 3}, {"a": 3}]]),
            (awaited, [1, [2], {"a": 3}]),
            (async_generator, [1, 1, [2], [2], {"a": 3}, {"a": 3}]),
            (batch, [1, [2], {"a": 3}]),
            (batch_generator, [{"desk": 1}, {"desk": [2]}, {"desk": {"a": 3}}]),
            (async_batch, [{"a": 3}, [2], 1]),
            (async_batch_generator, [1, [2], {"a": 3}]),
        ],
    )
    @pytest.mark.parametrize("kind", list(Kind))
    def test_untyped(self, feed: Feed, processor: Any, expected: list[object], kind: Kind) -> None:
        done = feed(processor, b"1", b"oops", b"[\n2]", b'{"a":3}', b"", kind=kind)
        assert done.results == expected
        assert done.dead_payloads == [b"oops", b""]
        assert done.counts == (5, 3, 0, 2)

    @pytest.mark.parametrize("kind", list(Kind))
    def test_typed(self, feed: Feed, kind: Kind) -> None:
        def price(trade: Trade) -> int:
            return trade.price

        async def prices(trades: list[Trade]) -> Iterable[int]:
            return (trade.price for trade in trades)

        for processor in (price, prices):
            done = feed(processor, b'{"price":1}', b'{"price":"2"}', b'{"price":3,"b":4}', b"{}", kind=kind)
            assert done.results == [1, 3]
            assert [letter.stage for letter in done.dead] == ["decode", "decode"]
            assert done.dead[0].reason == "Expected `int`, got `str` - at `$.price`"
            assert done.counts == (4, 2, 0, 2)

    def test_a_type_that_raises_while_it_is_made(self, feed: Feed) -> None:
        def fault(message: Picky) -> str:
            return message.fault

        faults = [b'{"fault":"%b"}' % name for name in (b"stop", b"", b"exit", b"value", b"none", b"stop")]
        done = feed(fault, *faults)
        assert done.results == ["", "none"]
        assert done.counts == (6, 2, 0, 4)
        reasons = [letter.reason for letter in done.dead]
        assert reasons[1:3] == ["SystemExit: 3", "a value that is no good"]
        assert [letter.traceback is None for letter in done.dead] == [False, False, True, False]

    def test_str_takes_text_alone(self, feed: Feed) -> None:
        def text(message: str) -> str:
            return message.upper()

        def texts(messages: list[str]) -> list[str]:
            return [message.upper() for message in messages]

        for processor in (text, texts):
            done = feed(processor, b"a\nb", "\u00e9".encode(), b"")
            assert (done.results, done.counts) == (["A\nB", "\u00c9", ""], (3, 3, 0, 0))
            done = feed(processor, b"a", b"b", kind=Kind.BINARY)
            assert done.dead_payloads == [b"a", b"b"]
            assert done.dead[0].reason == "a binary message where only text is taken"

    @pytest.mark.parametrize("kind", list(Kind))
    def test_bytes_takes_either_kind_as_it_came(self, feed: Feed, kind: Kind) -> None:
        def raw(message: bytes) -> str:
            return message.hex()

        def raws(messages: list[bytes]) -> Iterable[str]:
            return [message.hex() for message in messages]

        for processor in (raw, raws):
            done = feed(processor, b"\n\x00", b"", kind=kind)
            assert (done.results, done.counts) == (["0a00", ""], (2, 2, 0, 0))

    def test_either_goes_by_opcode(self, feed: Feed) -> None:
        def name(message: str | bytes) -> str:
            return type(message).__name__

        def names(messages: list[str | bytes]) -> list[str]:
            return [type(message).__name__ for message in messages]

        for processor in (name, names):
            assert feed(processor, b"a", b"b").results == ["str", "str"]
            assert feed(processor, b"a", b"\xff", kind=Kind.BINARY).results == ["bytes", "bytes"]

    def test_a_processor_answers_through_its_context(self, feed: Feed) -> None:
        def answer(message: object, context: Context) -> None:
            context.send(f"re: {message}")

        done = feed(answer, b"1", b"2")
        assert (done.replies, done.counts) == (["re: 1", "re: 2"], (2, 0, 2, 0))


# Outcomes


class Unprintable(Exception):
    def __str__(self) -> str:
        raise SystemExit("not even its text")


class Endless:
    """Has `__next__`, but isn't iterable: a value that can't be encoded."""

    def __next__(self) -> int:
        return 1


def recursive() -> list[object]:
    made: list[object] = []
    made.append(made)
    return made


def half_way() -> Iterator[int]:
    yield 1
    yield 2
    raise KeyError("half way")


def raising(exception: BaseException) -> Callable[[], object]:
    def fail() -> object:
        raise exception

    return fail


OUTCOMES: dict[str, tuple[Callable[[], object], list[object] | str]] = {
    "value": (lambda: 7, [7]),
    "none": (lambda: None, []),
    "false": (lambda: False, [False]),
    "empty text": (lambda: "", [""]),
    "list": (lambda: [1, None], [[1, None]]),
    "tuple": (lambda: (1, 2), [[1, 2]]),
    "iterator": (lambda: iter([1, None, 2]), [1, 2]),
    "empty iterator": (lambda: iter(()), []),
    "iterator of none": (lambda: iter([None]), []),
    "huge": (lambda: "x" * 300_000, ["x" * 300_000]),
    "nan": (lambda: float("nan"), [None]),
    "raw": (lambda: msgspec.Raw(b'{\n"a":\r\n1}'), [{"a": 1}]),
    "raw within": (lambda: [msgspec.Raw(b"[\r]"), 2], [[[], 2]]),
    "big": (lambda: 2**70, [2**70]),
    "line breaks": (lambda: "\r\n\u2028", ["\r\n\u2028"]),
    "object": (object, "TypeError: Encoding objects of type object is unsupported"),
    "next alone": (Endless, "TypeError: Encoding objects of type Endless is unsupported"),
    "surrogate": (lambda: "\ud800", "UnicodeEncodeError: 'utf-8' codec can't encode character '\\ud800' in"),
    "surrogate in iterator": (lambda: iter(["good", "\ud800"]), "UnicodeEncodeError: 'utf-8' codec"),
    "recursive": (recursive, "RecursionError: maximum recursion depth exceeded"),
    "half way": (half_way, "KeyError: 'half way'"),
    "reject": (raising(Reject("not today")), "not today"),
    "reject mutely": (raising(Reject()), "Reject"),
    "reject with a surrogate": (raising(Reject("a\ud800\nb\x1b[0m")), "a\\ud800 b\\x1b[0m"),
    "error": (raising(ValueError("no")), "ValueError: no"),
    "mute error": (raising(ValueError()), "ValueError"),
    "stop": (raising(StopIteration()), "RuntimeError: "),
    "exit": (raising(SystemExit(3)), "SystemExit: 3"),
    "generator exit": (raising(GeneratorExit()), "GeneratorExit"),
    "interrupt": (raising(KeyboardInterrupt()), "KeyboardInterrupt"),
    "cancelled": (raising(asyncio.CancelledError()), "CancelledError"),
    "unprintable": (raising(Unprintable()), "Unprintable"),
    "long-winded": (raising(ValueError("x" * 100_000)), "ValueError: xxx"),
}
NAMES = st.sampled_from(sorted(OUTCOMES))


def expected_of(names: Iterable[str]) -> tuple[list[object], list[str], tuple[int, int, int, int]]:
    """What one message after the other would come to: results, reasons of the dead, counts."""
    results: list[object] = []
    reasons: list[str] = []
    received = delivered = filtered = 0
    for name in names:
        received += 1
        expected = OUTCOMES[name][1]
        if isinstance(expected, str):
            reasons.append(expected)
        else:
            results += expected
            delivered += bool(expected)
            filtered += not expected
    return results, reasons, (received, delivered, filtered, len(reasons))


def outcome_of(name: str) -> object:
    return OUTCOMES[name][0]()


async def awaited_outcome_of(name: str) -> object:
    await asyncio.sleep(0)
    return OUTCOMES[name][0]()


def outcome_with_context(name: str, context: Context) -> object:
    return OUTCOMES[name][0]()


def check(done: Any, names: list[str]) -> None:
    results, reasons, counts = expected_of(names)
    assert done.results == results
    assert done.counts == counts
    for letter, reason in zip(done.dead, reasons, strict=True):
        assert letter.reason.startswith(reason)
        assert len(letter.reason) < 1_100
        assert letter.stage == "process"
        is_reject = "reject" in letter.payload.decode()
        assert (letter.traceback is None) == is_reject
    dead = [name.encode() for name in names if isinstance(OUTCOMES[name][1], str)]
    assert done.dead_payloads == dead


class TestOutcomes:
    @pytest.mark.parametrize("processor", [outcome_of, outcome_with_context, awaited_outcome_of])
    @pytest.mark.parametrize("name", sorted(OUTCOMES))
    def test_each_harms_nobody_else(self, feed: Feed, name: str, processor: Any) -> None:
        for names in ([name], [name, "value"], ["value", name, "value"], [name, name, "none", name]):
            check(feed(processor, *(each.encode() for each in names)), names)

    @given(st.lists(st.lists(NAMES, min_size=1, max_size=8), min_size=1, max_size=5), st.booleans())
    @settings(max_examples=60)
    def test_any_pattern_is_as_one_by_one(
        self, desk: MakeDesk, run: Run, reads: list[list[str]], wait: bool
    ) -> None:
        async def scenario() -> Any:
            done = desk(awaited_outcome_of if wait else outcome_of)
            for read in reads:
                done.receive(*(name.encode() for name in read))
            await done.drain()
            return done

        check(run(scenario()), [name for read in reads for name in read])

    def test_tracebacks_show_the_processor_and_are_cut(self, feed: Feed) -> None:
        def deep(message: int) -> None:
            if message == 0:
                raise ValueError("the bottom")
            deep(message - 1)

        letter = feed(deep, b"900").dead[0]
        assert letter.traceback.endswith("ValueError: the bottom\n")
        assert len(letter.traceback) <= 8_000

    def test_an_exception_that_is_raised_again_and_again_does_not_grow(self, feed: Feed) -> None:
        always = ValueError("always the same")

        def fail(message: object) -> None:
            raise always

        done = feed(fail, *[b"1"] * 200)
        assert done.counts == (200, 0, 0, 200)
        assert len({letter.traceback for letter in done.dead}) == 1


class TestBatchOutcomes:
    @pytest.mark.parametrize(
        ("outcome", "results"),
        [(None, []), ([], []), (iter(()), []), ([None], []), ((1, None, 2), [1, 2]), ({3}, [3])],
    )
    def test_results_of_a_batch(self, feed: Feed, outcome: Any, results: list[object]) -> None:
        def give(messages: list[object]) -> Any:
            return outcome

        done = feed(give, b"1", b"2", b"3")
        assert done.results == results
        assert done.counts == ((3, 3, 0, 0) if results else (3, 0, 3, 0))

    @pytest.mark.parametrize(
        ("give", "reason"),
        [
            (lambda: 0, "TypeError: 'int' object is not iterable"),
            (lambda: 5, "TypeError: 'int' object is not iterable"),
            (lambda: "text", "a batch's results come as a list or another iterable, found str"),
            (lambda: b"", "a batch's results come as a list or another iterable, found bytes"),
            (lambda: {"a": 1}, "a batch's results come as a list or another iterable, found dict"),
            (lambda: [1, object()], "TypeError: Encoding objects of type object is unsupported"),
            (half_way, "KeyError: 'half way'"),
            (raising(Reject("all of them")), "all of them"),
            (raising(StopIteration()), "StopIteration"),
            (raising(SystemExit(1)), "SystemExit: 1"),
        ],
    )
    @pytest.mark.parametrize("wait", [False, True])
    def test_a_batch_fails_as_a_whole(self, feed: Feed, give: Any, reason: str, wait: bool) -> None:
        def plain(messages: list[object]) -> Any:
            return give()

        async def patient(messages: list[object]) -> Any:
            await asyncio.sleep(0)
            return give()

        done = feed(patient if wait else plain, b"1", b"oops", b"3")
        assert done.results == []
        assert done.dead_payloads == [b"oops", b"1", b"3"]
        if not (wait and reason == "StopIteration"):  # a coroutine that raises it raises RuntimeError
            assert done.dead[1].reason == reason
        assert done.counts == (3, 0, 0, 3)

    @pytest.mark.parametrize("wait", [False, True])
    def test_a_processor_may_do_what_it_likes_with_its_list(self, feed: Feed, wait: bool) -> None:
        def empty(messages: list[bytes]) -> list[int]:
            messages.clear()
            return [1]

        async def empty_later(messages: list[bytes]) -> list[int]:
            await asyncio.sleep(0)
            messages.clear()
            return [1]

        assert feed(empty_later if wait else empty, b"a", b"b", b"c").counts == (3, 3, 0, 0)


# Any messages, in any reads

JSON_PIECES = st.lists(
    st.sampled_from(
        [b"1", b"{", b"}", b"[", b"]", b",", b'"', b'"a":2', b" ", b"\n", b"\r", b"null", b"\xc3\xa9"]
    ),
    max_size=6,
).map(b"".join)
PAYLOADS = st.one_of(JSON_PIECES, st.binary(max_size=6), st.sampled_from([b"{}", b"[1,\n2]", b'{"price":1}']))
READS = st.lists(
    st.tuples(st.sampled_from(Kind), st.lists(PAYLOADS, min_size=1, max_size=6)), min_size=1, max_size=4
)


def is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def decoded(payload: bytes, wanted: Any) -> tuple[bool, Any]:
    try:
        payload.decode()
        return True, msgspec.json.decode(payload, type=wanted)
    except (ValueError, RecursionError):
        return False, None


Wanted = Trade | int | list[int]


class TestAnyMessages:
    @given(READS)
    @settings(max_examples=150)
    def test_pass_through_is_as_one_by_one(self, desk: MakeDesk, run: Run, reads: list[Any]) -> None:
        async def scenario() -> Any:
            done = desk()
            for kind, payloads in reads:
                done.receive(*payloads, kind=kind)
            await done.drain()
            return done

        reads = [
            (kind, [each for each in payloads if kind is Kind.BINARY or is_utf8(each)])
            for kind, payloads in reads
        ]
        done = run(scenario())
        everything = [payload for _, payloads in reads for payload in payloads]
        good = [payload for payload in everything if decoded(payload, object)[0]]
        assert done.data == [payload.replace(b"\n", b" ").replace(b"\r", b" ") for payload in good]
        assert done.dead_payloads == [payload for payload in everything if not decoded(payload, object)[0]]
        assert done.counts == (len(everything), len(good), 0, len(everything) - len(good))
        assert done.count("bytes") == sum(map(len, everything))

    @given(READS, st.sampled_from(["one", "batch", "await", "generate"]))
    @settings(max_examples=150)
    def test_a_typed_processor_is_as_one_by_one(
        self, desk: MakeDesk, run: Run, reads: list[Any], form: str
    ) -> None:
        def one(message: Wanted) -> object:
            return message

        def batch(messages: list[Wanted]) -> list[object]:
            return list(messages)

        async def later(message: Wanted) -> object:
            return message

        def generate(message: Wanted) -> Iterator[object]:
            yield message

        async def scenario() -> Any:
            done = desk({"one": one, "batch": batch, "await": later, "generate": generate}[form])
            for kind, payloads in reads:
                done.receive(*payloads, kind=kind)
            await done.drain()
            return done

        reads = [
            (kind, [each for each in payloads if kind is Kind.BINARY or is_utf8(each)])
            for kind, payloads in reads
        ]
        done = run(scenario())
        everything = [payload for _, payloads in reads for payload in payloads]
        outcomes = [decoded(payload, Wanted) for payload in everything]
        assert done.data == [msgspec.json.encode(message) for is_good, message in outcomes if is_good]
        assert done.dead_payloads == [
            payload for payload, (is_good, _) in zip(everything, outcomes, strict=True) if not is_good
        ]
        delivered = sum(is_good for is_good, _ in outcomes)
        assert done.counts == (len(everything), delivered, 0, len(everything) - delivered)


# The limit


def test_messages_beyond_the_limit_are_not_received(desk: MakeDesk, run: Run) -> None:
    async def scenario() -> None:
        with Allowance() as allowance:
            allowance.grant(3)
            done = desk(None, allowance=allowance)
            done.receive(b"1", b"2")
            assert done.limits_reached == 0
            done.receive(b"33", b"44", b"55")
            assert done.limits_reached == 1
            done.receive(b"6")
            assert done.data == [b"1", b"2", b"33"]
            assert (done.counts, done.count("bytes")) == ((3, 3, 0, 0), 4)

    run(scenario())


def test_an_iterator_without_an_end_is_one_dead_letter(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "MAX_RESULTS", 1_000)
    done = feed(lambda message: itertools.count() if message == 0 else message, b"0", b"1")
    assert done.results == [1]
    assert done.counts == (2, 1, 0, 1)
    (letter,) = [letter for batch in done.channel.batches for letter in batch.dead_letters]
    assert "more than 1,000 results" in letter.reason


def test_results_too_large_for_the_channel_are_one_dead_letter(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "MAX_RESULTS_BYTES", 1_000)
    sizes = [500, 997, 998, 1]

    def one(message: int) -> object:
        return "x" * sizes[message]

    def two(message: int) -> object:
        return iter(["x" * (sizes[message] // 2)] * 2)

    for processor, lengths, reason in (
        (one, [500, 997, 1], "results of 1,001 bytes"),
        (two, [250, 250, 0, 0], "results of 1,004 bytes"),
    ):
        done = feed(processor, b"0", b"1", b"2", b"3")
        assert list(map(len, done.results)) == lengths
        letters = [letter for batch in done.channel.batches for letter in batch.dead_letters]
        assert done.counts == (4, 4 - len(letters), 0, len(letters))
        assert letters[-1].payload == b"2"
        assert letters[-1].reason.startswith(reason)


def test_so_are_those_of_a_batch(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "MAX_RESULTS_BYTES", 1_000)

    def batch(messages: list[object]) -> list[object]:
        return ["x" * 600 for _ in messages]

    assert feed(batch, b"0", b"1").counts == (2, 0, 0, 2)
    assert feed(batch, b"0").counts == (1, 1, 0, 0)
