"""What is offered in the handshake; each renegotiation tries something else."""

from __future__ import annotations

from collections.abc import Sequence

from scaleout.config import Endpoint
from scaleout.worker.links.endings import Renegotiation


class Offers:
    """What an endpoint's next connect offers.

    Args:
        endpoint: says what may be offered.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.compression = endpoint.compression == "deflate"
        self.are_in_doubt = False
        """Whether a session was given up for its invalid messages, and none since has been a good one."""
        self._names = endpoint.subprotocols
        self._only: int | None = None
        self._may_compress = self.compression

    @property
    def subprotocols(self) -> Sequence[str]:
        """All of them at first, then one after the other."""
        return self._names if self._only is None else (self._names[self._only],)

    def change(self, renegotiation: Renegotiation) -> str | None:
        """Offer something else.

        Returns:
            What is tried, in words; None: all there is has been tried, and it begins anew.
        """
        match renegotiation:
            case Renegotiation.AS_BEFORE:
                return self._try_again()
            case Renegotiation.WITHOUT_COMPRESSION:
                self._may_compress = False
                return self._leave_compression()
            case Renegotiation.NEXT_SUBPROTOCOL:
                return self._take_next_subprotocol()
            case Renegotiation.ANYTHING_ELSE:
                tried = self._leave_compression() or self._take_next_subprotocol()
                if tried is None:
                    self.compression = self._may_compress
                return tried

    def _try_again(self) -> str | None:
        was_in_doubt, self.are_in_doubt = self.are_in_doubt, True
        return None if was_in_doubt else "as before"

    def _leave_compression(self) -> str | None:
        was_offered, self.compression = self.compression, False
        return "without compression" if was_offered else None

    def _take_next_subprotocol(self) -> str | None:
        following = 0 if self._only is None else self._only + 1
        if len(self._names) == 1 or following == len(self._names):
            self._only = None
            return None
        self._only = following
        return f"with the subprotocol {self._names[following]} alone"
