"""Retrying dead letters in place: through the processors of a configuration, into sinks, then marked.

The results of some letters are written to every sink before these letters are marked. Who is killed in between
leaves them dead with their results written: the next retry writes them once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import uvloop

from scaleout.config import Config, Endpoint
from scaleout.deadletters.letters import Letter, Selection, Settlement
from scaleout.deadletters.retrying import Edit, Retrying, Tell
from scaleout.deadletters.store import Store
from scaleout.errors import ConfigError, Fault, ProcessorError, SinkError
from scaleout.processors import load_processor
from scaleout.secrets import Redactor
from scaleout.sinks import Sink, make_sink
from scaleout.worker.retry import Dead, Delivered, Outcome, Retrier


def retriers(config: Config, source: str, endpoints: Mapping[str, int]) -> dict[str, Retrier]:
    """What letters of these endpoints go through.

    Args:
        config: checked.
        source: what faults call it.
        endpoints: how many letters there are, by endpoint.

    Raises:
        ConfigError: an endpoint isn't configured, or its processor can't be used.
    """
    known = {endpoint.name: (index, endpoint) for index, endpoint in enumerate(config.endpoints)}
    redact = Redactor(config.secrets)
    found: dict[str, Retrier] = {}
    faults: list[Fault] = []
    for name, letters in endpoints.items():
        if name not in known:
            whose = "a dead letter is" if letters == 1 else f"{letters:,} dead letters are"
            problem = f"no endpoint {name!r}, of which {whose}; there are {', '.join(known)}"
            faults.append(Fault(source, "endpoints", problem))
            continue
        index, endpoint = known[name]
        try:
            found[name] = _retrier(endpoint, config.envelope)
        except ProcessorError as exc:
            faults.append(Fault(source, f"endpoints[{index}].processor", redact(str(exc))))
    if faults:
        raise ConfigError(faults)
    return found


def _retrier(endpoint: Endpoint, envelope: bool) -> Retrier:
    processor = None if endpoint.processor is None else load_processor(endpoint.processor)
    return Retrier(endpoint, processor, envelope)


class InPlace(Retrying):
    """Retries in this process.

    Args:
        store: where the letters are.
        config: checked; its sinks get the results.
        through: what the letters go through, by endpoint.
        tell: told of letters that aren't done with.
        edit: changes payloads before they are tried; None: they are tried as they are.
    """

    def __init__(
        self,
        store: Store,
        config: Config,
        through: Mapping[str, Retrier],
        tell: Tell,
        edit: Edit | None = None,
    ) -> None:
        super().__init__(store, tell, edit)
        self._config = config
        self._through = through
        self._redact = Redactor(config.secrets)
        self._limits = {each.name: asyncio.Semaphore(each.max_concurrency) for each in config.endpoints}

    def retry(self, selection: Selection) -> None:
        """Retry the letters that are meant, oldest first; not those that come meanwhile.

        Raises:
            SinkError: a sink, or the store, doesn't take what it is given; those letters stay as they were.
        """
        with (
            _opened(self._config.sink) as sinks,
            contextlib.redirect_stdout(sys.stderr),  # standard output carries sink data alone
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            for page in self._pages(selection):
                letters = self._to_try(page)
                if letters:
                    outcomes = runner.run(self._attempt_all(letters))
                    self._finish(sinks, letters, outcomes)

    async def _attempt_all(self, letters: Sequence[tuple[Letter, bytes | None]]) -> list[Outcome]:
        return await asyncio.gather(*(self._attempt(letter, edited) for letter, edited in letters))

    async def _attempt(self, letter: Letter, edited: bytes | None) -> Outcome:
        payload = letter.current if edited is None else edited
        async with self._limits[letter.endpoint]:
            retrier = self._through[letter.endpoint]
            return await retrier.attempt(payload, letter.is_text, letter.received_at)

    def _finish(
        self,
        sinks: Sequence[Sink],
        letters: Sequence[tuple[Letter, bytes | None]],
        outcomes: Sequence[Outcome],
    ) -> None:
        """Write the results, then mark the letters, then count them."""
        lines = [outcome.lines for outcome in outcomes if isinstance(outcome, Delivered)]
        if lines:
            for sink in sinks:
                sink.write(lines)
        settlements = [
            settlement(letter.id, outcome, self._redact, edited)
            for (letter, edited), outcome in zip(letters, outcomes, strict=True)
        ]
        self._store.settle(settlements, time.time_ns())
        for (letter, _), outcome in zip(letters, outcomes, strict=True):
            self._count(letter, outcome)

    def _count(self, letter: Letter, outcome: Outcome) -> None:
        if isinstance(outcome, Delivered):
            self.counts.delivered += 1
            self.counts.results += outcome.results
        elif isinstance(outcome, Dead):
            self.counts.dead += 1
            self._tell(letter, f"dead again: {self._redact(outcome.reason)}")
        else:
            self.counts.filtered += 1


def settlement(number: int, outcome: Outcome, redact: Redactor, edited: bytes | None = None) -> Settlement:
    """What a retry's outcome means for its letter."""
    if isinstance(outcome, Dead):
        return Settlement(
            id=number,
            failed_in=outcome.stage,
            reason=redact(outcome.reason),
            traceback=redact.optional(outcome.traceback),
            edited=edited,
        )
    return Settlement(id=number, edited=edited)


@contextlib.contextmanager
def _opened(uris: Sequence[str]) -> Iterator[list[Sink]]:
    """The sinks, open; closed at the end, however it comes."""
    sinks = [make_sink(uri) for uri in uris]
    try:
        for sink in sinks:
            sink.open()
        yield sinks
    except BaseException:
        for sink in sinks:
            with contextlib.suppress(SinkError):
                sink.close()
        raise
    for sink in sinks:
        sink.close()
