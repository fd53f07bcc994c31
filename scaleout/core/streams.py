"""Which connection of an endpoint carries which of its streams: as few connections as the feed allows."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct


class Change(Struct, frozen=True):
    """What changes on one connection."""

    group: int | None
    """Index of the connection; None: a new one."""
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


def assign(streams: Sequence[str], per_connection: int | None) -> list[tuple[str, ...]]:
    """Spread streams over connections, evenly.

    Args:
        streams: at least one.
        per_connection: how many one may carry; None: any number.
    """
    if per_connection is None:
        return [tuple(streams)]
    connections = -(-len(streams) // per_connection)
    return [tuple(streams[index::connections]) for index in range(connections)]


def change(
    groups: Sequence[Sequence[str]], add: Sequence[str], remove: Sequence[str], per_connection: int | None
) -> list[Change]:
    """Find the smallest change: nothing moves, connections are filled up before new ones are opened.

    Args:
        groups: what each connection carries.
        add: streams to add.
        remove: streams to take away.
        per_connection: how many one may carry; None: any number.
    """
    waiting = list(add)
    changes: list[Change] = []
    for index, group in enumerate(groups):
        gone = tuple(stream for stream in group if stream in remove)
        stay = len(group) - len(gone)
        # One that would be left empty is closed rather than filled again: its URI may name its stream.
        may_take = stay > 0 or (per_connection is None and bool(group))
        room = (per_connection - stay if per_connection is not None else len(waiting)) if may_take else 0
        come, waiting = tuple(waiting[: max(0, room)]), waiting[max(0, room) :]
        if gone or come:
            changes.append(Change(index, come, gone))
    if waiting:
        changes += [Change(None, group) for group in assign(waiting, per_connection)]
    return changes
