"""What a new configuration changes in a live run: the least that makes the run what it says."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from msgspec import Struct, structs

from scaleout.config import Config, Endpoint

PLACEMENT = frozenset({"worker", "apart", "weight"})
"""Keys of an endpoint that say where it runs, and nothing about its connections."""


class Depth(Enum):
    """How deep a change of an endpoint goes."""

    PLACEMENT = "placement"
    """Its connections stay."""
    STREAMS = "streams"
    """Its connections stay, and carry other streams; its placement may change, too."""
    CONNECTION = "connection"
    """It is begun anew."""


class EndpointChange(Struct, frozen=True):
    """What changes of an endpoint that stays."""

    endpoint: Endpoint
    """As it is to be."""
    depth: Depth
    add: tuple[str, ...] = ()
    """Streams, where the depth says so."""
    remove: tuple[str, ...] = ()
    is_placed_anew: bool = False
    """Whether keys of its placement change."""


class ConfigChanges(Struct, frozen=True):
    """What a new configuration changes."""

    added: tuple[Endpoint, ...] = ()
    removed: tuple[str, ...] = ()
    """Names."""
    changed: tuple[EndpointChange, ...] = ()
    workers: int | None = None
    """How many there are to be, where that is another number."""
    restart: tuple[str, ...] = ()
    """Keys of the run that only another run can follow."""


def endpoint_change(before: Endpoint, after: Endpoint) -> EndpointChange | None:
    """What changes between two versions of an endpoint of one name; None: nothing does."""
    keys = changed_keys(before, after)
    if not keys:
        return None
    rest = keys - PLACEMENT
    is_placed_anew = rest != keys
    if not rest:
        return EndpointChange(after, Depth.PLACEMENT, is_placed_anew=True)
    add = tuple(stream for stream in after.streams if stream not in before.streams)
    remove = tuple(stream for stream in before.streams if stream not in after.streams)
    if rest == {"streams"} and _can_change_streams(before, after, remove):
        if not add and not remove:  # another order is no change
            return EndpointChange(after, Depth.PLACEMENT, is_placed_anew=True) if is_placed_anew else None
        return EndpointChange(after, Depth.STREAMS, add, remove, is_placed_anew)
    return EndpointChange(after, Depth.CONNECTION, is_placed_anew=is_placed_anew)


def changed_keys(before: Struct, after: Struct) -> set[str]:
    """The keys that two versions of the same have different values for."""
    return {key for key in before.__struct_fields__ if getattr(before, key) != getattr(after, key)}


def _can_change_streams(before: Endpoint, after: Endpoint, remove: tuple[str, ...]) -> bool:
    """Whether the connections that there are can carry the other streams."""
    can_unsubscribe = bool(after.unsubscribe) or "{stream}" in after.uri
    return bool(before.streams and after.streams) and (not remove or can_unsubscribe)


def config_changes(old: Config, new: Config, running: Mapping[str, Endpoint]) -> ConfigChanges:
    """What is to be done so that the run follows a new configuration.

    What hasn't changed in the configuration stays as it is, also where a person has added, removed or changed
    it in the live run meanwhile.

    Args:
        old: the configuration that the run follows.
        new: the one that it is to follow.
        running: the endpoints that the run has at the moment, by name.
    """
    before = {endpoint.name: endpoint for endpoint in old.endpoints}
    wanted = {endpoint.name: endpoint for endpoint in new.endpoints}
    added, changed = [], []
    for name, endpoint in wanted.items():
        was, now = before.get(name), running.get(name)
        if was == endpoint:
            continue
        if now is None:
            added.append(endpoint)
        elif (change := endpoint_change(now, _merged(was, endpoint, now))) is not None:
            changed.append(change)
    return ConfigChanges(
        added=tuple(added),
        removed=tuple(name for name in before if name not in wanted and name in running),
        changed=tuple(changed),
        workers=_workers(old, new),
        restart=_restart(old, new),
    )


def _merged(was: Endpoint | None, wanted: Endpoint, now: Endpoint) -> Endpoint:
    """An endpoint as it runs, with the keys that have changed in the configuration."""
    if was is None:
        return wanted
    return structs.replace(now, **{key: getattr(wanted, key) for key in changed_keys(was, wanted)})


def _workers(old: Config, new: Config) -> int | None:
    if old.workers == new.workers or old.workers == "auto" or not isinstance(new.workers, int):
        return None
    return new.workers or None


def _restart(old: Config, new: Config) -> tuple[str, ...]:
    keys = changed_keys(old, new) - {"endpoints", "secrets"}
    if _workers(old, new) is not None:
        keys.discard("workers")
    if old.state is None or new.state is None:  # it may be derived: from whether there is anything to keep
        keys.discard("state")
    return tuple(key for key in Config.__struct_fields__ if key in keys)
