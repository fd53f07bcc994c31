"""What a processor is told beside the message."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct


class Context(Struct, gc=False, frozen=True, eq=False):
    """What a processor may ask for beside the message: where and when it came, and a way to answer."""

    endpoint: str
    """Name of the endpoint."""
    received_at: int
    """When the read that brought the message returned: Unix time in nanoseconds."""
    _sender: Callable[[str | bytes], None]

    def send(self, message: str | bytes) -> None:
        """Send a message on the endpoint's connection: `str` as text, `bytes` as binary.

        Raises:
            SendError: there is no connection at the moment, or its peer doesn't read what it is sent.
        """
        self._sender(message)

    def __repr__(self) -> str:
        return f"Context(endpoint={self.endpoint!r}, received_at={self.received_at})"
