"""Asks a live run through its control socket."""

from __future__ import annotations

import contextlib
import socket
import stat
import time
from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TypeVar

import msgspec

from scaleout.control.messages import (
    AnyReply,
    AnyRequest,
    ChangeStreams,
    Done,
    GetStatus,
    Refused,
    Report,
    Resume,
    Resumed,
    Retried,
    Retry,
    Send,
    Status,
)
from scaleout.control.place import length_problem
from scaleout.errors import ControlError

RETRY_TIMEOUT_S = 90.0
"""Longer than a run lets processors take for the letters of a request."""
MAX_REPLY_BYTES = 256 * 2**20
_READ_BYTES = 2**16

_Reply = TypeVar("_Reply", Report, Resumed, Done, Retried)


class Control:
    """A live run, as it is reached through its control socket; each call is a connection of its own.

    Args:
        path: of the socket, as given to the run.
        timeout_s: how long a call may take.

    All methods raise `ControlError` when the run can't be reached, doesn't answer, or refuses.
    """

    def __init__(self, path: str | PathLike[str], timeout_s: float = 10.0) -> None:
        self.path = fspath(path)
        self.timeout_s = timeout_s
        self._decoder: msgspec.json.Decoder[AnyReply] = msgspec.json.Decoder(AnyReply)

    def __repr__(self) -> str:
        return f"<Control {self.path}>"

    def status(self) -> Status:
        """What is known of the run at this moment."""
        return self._ask(GetStatus(), Report).status

    def resume(self, *endpoints: str) -> tuple[str, ...]:
        """End quarantines and waits: connect at once.

        Args:
            endpoints: their names; without any, all that are quarantined or wait between two attempts.

        Returns:
            The names of those that were told to.
        """
        return self._ask(Resume(endpoints=endpoints), Resumed).endpoints

    def send(self, endpoint: str, text: str) -> None:
        """Send a text on an endpoint's connection."""
        self._ask(Send(endpoint=endpoint, text=text), Done)

    def change_streams(self, endpoint: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """Add streams to an endpoint, and take others away; the others aren't interrupted."""
        self._ask(ChangeStreams(endpoint=endpoint, add=tuple(add), remove=tuple(remove)), Done)

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
        request = Retry(ids=tuple(ids), edited=dict(edited or {}), store=file)
        return self._ask(request, Retried, max(self.timeout_s, RETRY_TIMEOUT_S))

    # The socket

    def _ask(self, request: AnyRequest, expected: type[_Reply], timeout_s: float | None = None) -> _Reply:
        try:
            line = msgspec.json.encode(request) + b"\n"
        except UnicodeEncodeError as exc:
            raise ControlError("a text holds half a character, which can't be sent") from exc
        reply = self._decode(self._exchange(line, self.timeout_s if timeout_s is None else timeout_s))
        if isinstance(reply, Refused):
            raise ControlError(reply.problem)
        if not isinstance(reply, expected):
            raise self._garbage()
        return reply

    def _decode(self, line: bytes) -> AnyReply:
        try:
            return self._decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise self._garbage() from exc

    def _garbage(self) -> ControlError:
        return ControlError(
            f"what listens at {self.path} doesn't answer as a run of this version of scaleout does"
        )

    def _exchange(self, line: bytes, timeout_s: float) -> bytes:
        """Send a line, and read one."""
        self._look()
        deadline = time.monotonic() + timeout_s
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            try:
                connection.connect(self.path)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may have said why
                    connection.sendall(line)
                return self._read_line(connection, deadline)
            except TimeoutError as exc:
                raise ControlError(f"no answer at {self.path} within {timeout_s:g} s") from exc
            except ConnectionRefusedError as exc:
                raise ControlError(f"nobody listens at {self.path}: its run has ended") from exc
            except PermissionError as exc:
                raise ControlError(f"{self.path} can be used by the user of its run alone") from exc
            except OSError as exc:
                raise ControlError(f"{self.path} can't be used: {exc.strerror or exc}") from exc

    def _look(self) -> None:
        """See that there is a socket: connecting to other files fails with the error of a run that is gone."""
        problem = length_problem(self.path)
        if problem is not None:
            raise ControlError(problem)
        try:
            is_socket = stat.S_ISSOCK(Path(self.path).stat().st_mode)
        except FileNotFoundError as exc:
            raise ControlError(f"there is no {self.path}: no run has its control socket there") from exc
        except (OSError, ValueError) as exc:
            raise ControlError(f"{self.path} can't be used: {getattr(exc, 'strerror', None) or exc}") from exc
        if not is_socket:
            raise ControlError(f"{self.path} isn't a socket")

    def _read_line(self, connection: socket.socket, deadline: float) -> bytes:
        received = bytearray()
        while True:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            connection.settimeout(left_s)
            try:
                part = connection.recv(_READ_BYTES)
            except ConnectionResetError:
                part = b""
            end = part.find(b"\n")
            received += part if end < 0 else part[:end]
            if end >= 0:
                return bytes(received)
            if not part:
                if received:
                    raise self._garbage()
                raise ControlError(f"the run at {self.path} ended before it answered")
            if len(received) > MAX_REPLY_BYTES:
                raise self._garbage()
