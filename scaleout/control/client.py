"""A live run for Python programs, and for the command line: what can be asked of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TypeVar

import msgspec

from scaleout.config import Endpoint
from scaleout.control import messages
from scaleout.control.exchange import exchange, garbage
from scaleout.control.messages import AnyReply, AnyRequest, Done, Drained, Reloaded, Retried
from scaleout.control.views import MoveView, Status
from scaleout.errors import ConfigError, ControlError, NoRunError
from scaleout.loading.tables import table_of

TIMEOUT_S = 10.0
CHANGE_TIMEOUT_S = 60.0
"""Of what a run does at once: processors are imported, connections close, and what they brought is written."""
MOVE_TIMEOUT_S = 120.0
"""A move is given up by the run after about half of that."""
MOVES_TIMEOUT_S = 3600.0
"""Of moves one after the other: any number of endpoints may leave a worker."""
RETRY_TIMEOUT_S = 90.0
"""Longer than a run lets processors take for the letters of a request."""

_Reply = TypeVar("_Reply", bound=messages.Reply)


class Control:
    """A live run, as it is reached through its control socket; each call is a connection of its own.

    Args:
        path: of the socket, as given to the run.
        timeout_s: how long a call may take, where it doesn't take longer by its nature.

    All methods raise `ControlError` when the run can't be reached, doesn't answer, or refuses; `NoRunError`, which
    is one, when there is no run.
    """

    def __init__(self, path: str | PathLike[str], timeout_s: float = TIMEOUT_S) -> None:
        self.path = fspath(path)
        self.timeout_s = timeout_s
        self._decoder: msgspec.json.Decoder[AnyReply] = msgspec.json.Decoder(AnyReply)

    def __repr__(self) -> str:
        return f"<Control {self.path}>"

    # Looking

    def status(self) -> Status:
        """What is known of the run at this moment."""
        return self._ask(messages.GetStatus(), messages.Report).status

    def watch(self, interval_s: float = 1.0) -> Iterator[Status]:
        """What is known of the run, again and again, until it ends.

        Args:
            interval_s: between two looks.

        Raises:
            NoRunError: there is none from the start.
        """
        yield self.status()
        while True:
            time.sleep(interval_s)
            try:
                status = self.status()
            except NoRunError:
                return
            yield status

    # Endpoints

    def add(
        self, *endpoints: Endpoint, secrets: Iterable[str] = (), source: str = "Endpoint"
    ) -> tuple[str, ...]:
        """Add endpoints to the run: all of them, or none.

        Args:
            endpoints: as in a `Config`. The run imports their processors.
            secrets: values among them that the run is to blot out of its logs; `load` finds those of a file.
            source: what faults call the place where the endpoints come from.

        Returns:
            Their names.

        Raises:
            ConfigError: the run finds faults in them; holds all that is wrong.
        """
        tables = tuple(map(table_of, endpoints))
        request = messages.Add(endpoints=tables, source=source, secrets=tuple(secrets))
        return self._ask(request, messages.Added, CHANGE_TIMEOUT_S).endpoints

    def remove(self, *endpoints: str) -> tuple[str, ...]:
        """Close endpoints' connections, write what they have brought, and forget them; their books stay.

        Returns:
            Their names.
        """
        return self._ask(messages.Remove(endpoints=endpoints), messages.Removed, CHANGE_TIMEOUT_S).endpoints

    def pause(self, *endpoints: str) -> tuple[str, ...]:
        """Close endpoints' connections, and write what they have brought, until `resume`.

        Returns:
            Their names.
        """
        return self._ask(messages.Pause(endpoints=endpoints), messages.Paused, CHANGE_TIMEOUT_S).endpoints

    def resume(self, *endpoints: str) -> tuple[str, ...]:
        """End pauses, quarantines and waits: connect at once.

        Args:
            endpoints: their names; without any, all that are paused, quarantined, or wait between two attempts.

        Returns:
            The names of those that were told to.
        """
        return self._ask(messages.Resume(endpoints=endpoints), messages.Resumed, CHANGE_TIMEOUT_S).endpoints

    def send(self, endpoint: str, text: str) -> None:
        """Send a text on an endpoint's connection."""
        self._ask(messages.Send(endpoint=endpoint, text=text), Done)

    def change_streams(self, endpoint: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """Add streams to an endpoint, and take others away; the others aren't interrupted."""
        self._ask(messages.ChangeStreams(endpoint=endpoint, add=tuple(add), remove=tuple(remove)), Done)

    # Workers

    def move(self, endpoint: str, worker: int) -> MoveView:
        """Move an endpoint to another worker, and wait until it is there.

        Args:
            endpoint: its name.
            worker: the id of the worker that is to have it.
        """
        request = messages.Move(endpoint=endpoint, worker=worker)
        return self._ask(request, messages.Moved, MOVE_TIMEOUT_S).moves[0]

    def rebalance(self) -> tuple[MoveView, ...]:
        """Balance the workers at once, and wait until that is done.

        Returns:
            The moves; one with a `problem` has come to nothing.
        """
        return self._ask(messages.Rebalance(), messages.Moved, MOVES_TIMEOUT_S).moves

    def scale(self, workers: int) -> tuple[int, ...]:
        """Have that many workers, and wait until they are there; those that leave give their endpoints away.

        Returns:
            Their ids.
        """
        return self._ask(messages.Scale(workers=workers), messages.Scaled, MOVES_TIMEOUT_S).workers

    # The run

    def reload(self) -> Reloaded:
        """Let the run read its configuration again, and make the smallest change.

        Returns:
            What has changed, and what couldn't be.

        Raises:
            ConfigError: it has faults, and nothing has changed; holds all that is wrong.
        """
        return self._ask(messages.Reload(), Reloaded, MOVES_TIMEOUT_S)

    def drain(self) -> dict[str, int]:
        """Stop reading, write all that is in flight, end the run, and wait until that is done.

        Returns:
            The books, by term; `in_flight` is 0 where everything was written in time.
        """
        return self._ask(messages.Drain(), Drained, None).totals

    def retry(
        self,
        ids: Sequence[int],
        edited: Mapping[int, bytes] | None = None,
        store: str | PathLike[str] | None = None,
    ) -> Retried:
        """Try dead letters again, each through its endpoint's processor; the results go to the run's sinks.

        Args:
            ids: of the letters, at most 1,000.
            edited: payloads to try in place of those received, by letter.
            store: the file that the ids are of, to be sure that it is the run's.

        Returns:
            What it has come to.
        """
        file = None if store is None else str(Path(store).absolute())
        request = messages.Retry(ids=tuple(ids), edited=dict(edited or {}), store=file)
        return self._ask(request, Retried, RETRY_TIMEOUT_S)

    # The socket

    def _ask(self, request: AnyRequest, expected: type[_Reply], at_least_s: float | None = 0.0) -> _Reply:
        """Ask, and wait for the answer.

        Args:
            request: what is asked.
            expected: what the answer is to be.
            at_least_s: how long that may take, whatever `timeout_s` says; None: as long as it takes.
        """
        try:
            line = msgspec.json.encode(request) + b"\n"
        except UnicodeEncodeError as exc:
            raise ControlError("a text holds half a character, which can't be sent") from exc
        except TypeError as exc:
            raise ControlError(f"there is something in it that can't be sent: {exc}") from exc
        timeout_s = None if at_least_s is None else max(self.timeout_s, at_least_s)
        reply = self._decode(exchange(self.path, line, timeout_s))
        if isinstance(reply, messages.Refused):
            raise ConfigError(reply.faults) if reply.faults else ControlError(reply.problem)
        if not isinstance(reply, expected):
            raise garbage(self.path)
        return reply

    def _decode(self, line: bytes) -> AnyReply:
        try:
            return self._decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise garbage(self.path) from exc
