"""The messages by which an endpoint moves from one worker, the giver, to another, the taker.

The supervisor says when:

    giver                         supervisor                        taker
    Offer            ←
    Offered          →                          → Take              (connects, and shadows)
    Batch(tails)     →                          → Compare
                                                ← CutWanted         (enough in common)
    Cut              ←                                              (the giver holds what comes)
    Batch(tails, is_last) →                     → Compare(is_last)
                                                ← Aligned           (knows where to go on)
    Release          ←                          → GoLive            (the endpoint has moved)

Until the last line the giver can carry on as if nothing had been (`Keep`), and the taker let it go (`Abandon`).
"""

from __future__ import annotations

from msgspec import Struct

from scaleout.core.marks import Assignment, CursorMark, NumbersMark

# Commands: supervisor → worker


class Offer(Struct, frozen=True, tag=True):
    """Note from now on what this endpoint delivers, for another worker to take it; the answer is `Offered`."""

    move: int
    slot: int


class Cut(Struct, frozen=True, tag=True):
    """Deliver nothing more of the endpoint, but hold it; hand over what was delivered so far, with its tail."""

    move: int


class Keep(Struct, frozen=True, tag=True):
    """The endpoint doesn't move: deliver what is held, and carry on."""

    move: int


class Take(Struct, frozen=True, tag=True):
    """Connect to an endpoint that another worker has, and keep what comes until it is known where to go on."""

    move: int
    assignment: Assignment
    groups: tuple[tuple[str, ...], ...]
    """The streams of each of its connections; one empty group where it has none."""


class Compare(Struct, frozen=True, tag=True):
    """What the giver has delivered since the last time."""

    move: int
    tails: tuple[bytes, ...]
    """The hashes of the messages of each group: 8 bytes each, native order, oldest first."""
    is_last: bool = False
    """Nothing more is delivered: by the giver's word, or because it has died."""
    cursor: CursorMark | None = None
    numbers: NumbersMark | None = None
    is_cut_short: bool = False
    """With the last ones: the giver has died, and may have delivered some more."""


class GoLive(Struct, frozen=True, tag=True):
    """The endpoint is the taker's: deliver what comes after the giver's last message."""

    move: int


class Abandon(Struct, frozen=True, tag=True):
    """The endpoint doesn't move: drop what is kept, and close the connections."""

    move: int


MoveCommand = Offer | Cut | Keep | Take | Compare | GoLive | Abandon

# Reports: worker → supervisor


class Offered(Struct, frozen=True, tag=True):
    """What the endpoint delivers is being noted."""

    move: int
    groups: tuple[tuple[str, ...], ...]
    """The streams of each of its connections."""


class CutWanted(Struct, frozen=True, tag=True):
    """The taker is connected, and has enough in common with the giver: the giver may be cut."""

    move: int
    is_guess: bool = False
    """Whether they have nothing in common, and it doesn't look as if they ever will, or it isn't looked for. But a
    giver that can't keep up with its feed only has it later."""


class Aligned(Struct, frozen=True, tag=True):
    """The taker knows where the giver's messages end among its own."""

    move: int
    is_uncertain: bool = False
    """Whether that is a guess, because the two have nothing in common."""


class MoveFailed(Struct, frozen=True, tag=True):
    """The giver or the taker can't go on with the move."""

    move: int
    reason: str


MoveReport = Offered | CutWanted | Aligned | MoveFailed

# With the results: worker → supervisor


class Tails(Struct, frozen=True):
    """What an endpoint that is to move has delivered, up to the batch that carries this."""

    move: int
    groups: tuple[bytes, ...]
    """As `Compare.tails`."""
    is_last: bool = False
    cursor: CursorMark | None = None
    """With the last ones: how far it has come."""
    numbers: NumbersMark | None = None
    is_behind: bool = False
    """Whether its connections bring more at a time than they do where the giver keeps up."""
