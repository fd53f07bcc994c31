"""The smallest change: what stays, what is told to workers, what is begun anew, and what only a restart does."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from scaleout.config import Config, Endpoint, Rebalance
from scaleout.core.changes import ConfigChanges, Depth, EndpointChange, config_changes, endpoint_change

A = Endpoint(uri="ws://h/a", name="a")
B = Endpoint(uri="ws://h/b", name="b")
C = Endpoint(uri="ws://h/c", name="c")
MANY = Endpoint(
    uri="ws://h/",
    name="many",
    streams=("x", "y"),
    subscribe=("{streams}",),
    unsubscribe=("{streams}",),
)


def but(endpoint: Endpoint, **keys: Any) -> Endpoint:
    return structs.replace(endpoint, **keys)


def reload(old: Config, new: Config, *now: Endpoint) -> ConfigChanges:
    """The changes where the run is as its configuration said, unless it is said how it is."""
    return config_changes(old, new, {each.name: each for each in now or old.endpoints})


def of(*endpoints: Endpoint, **keys: Any) -> Config:
    return Config(endpoints=endpoints, **keys)


class TestOneEndpoint:
    def test_the_same(self) -> None:
        assert endpoint_change(A, but(A)) is None

    @pytest.mark.parametrize("keys", [{"worker": 1}, {"apart": "x"}, {"weight": 2.0, "worker": 0}])
    def test_another_place(self, keys: dict[str, Any]) -> None:
        after = but(A, **keys)
        assert endpoint_change(A, after) == EndpointChange(after, Depth.PLACEMENT, is_placed_anew=True)

    def test_other_streams(self) -> None:
        after = but(MANY, streams=("z", "y"))
        assert endpoint_change(MANY, after) == EndpointChange(after, Depth.STREAMS, ("z",), ("x",))

    def test_other_streams_in_another_place(self) -> None:
        after = but(MANY, streams=("x",), weight=3.0)
        assert endpoint_change(MANY, after) == EndpointChange(
            after, Depth.STREAMS, (), ("y",), is_placed_anew=True
        )

    def test_the_order_of_streams_says_nothing(self) -> None:
        assert endpoint_change(MANY, but(MANY, streams=("y", "x"))) is None
        after = but(MANY, streams=("y", "x"), weight=3.0)
        assert endpoint_change(MANY, after) == EndpointChange(after, Depth.PLACEMENT, is_placed_anew=True)

    def test_streams_that_can_not_be_taken_away(self) -> None:
        fixed = but(MANY, unsubscribe=())
        fewer = but(fixed, streams=("x",))
        assert endpoint_change(fixed, fewer) == EndpointChange(fewer, Depth.CONNECTION)
        more = but(fixed, streams=("x", "y", "z"))
        assert endpoint_change(fixed, more) == EndpointChange(more, Depth.STREAMS, ("z",))
        by_uri = but(fixed, uri="ws://h/{stream}")
        assert endpoint_change(by_uri, but(by_uri, streams=("x",))) == EndpointChange(
            but(by_uri, streams=("x",)), Depth.STREAMS, (), ("y",)
        )

    def test_an_endpoint_that_gets_its_first_streams_is_another_one(self) -> None:
        after = but(A, streams=("x",))
        assert endpoint_change(A, after) == EndpointChange(after, Depth.CONNECTION)
        assert endpoint_change(after, A) == EndpointChange(A, Depth.CONNECTION)

    @pytest.mark.parametrize("keys", [{"uri": "ws://h/c"}, {"headers": {"X": "1"}}, {"linger": 1.0}])
    def test_anything_else(self, keys: dict[str, Any]) -> None:
        after = but(A, **keys)
        assert endpoint_change(A, after) == EndpointChange(after, Depth.CONNECTION)

    def test_streams_with_anything_else(self) -> None:
        after = but(MANY, streams=("x",), linger=1.0, worker=0)
        assert endpoint_change(MANY, after) == EndpointChange(after, Depth.CONNECTION, is_placed_anew=True)


class TestConfigurations:
    def test_the_same(self) -> None:
        assert reload(of(A, B), of(B, A)) == ConfigChanges()

    def test_added_removed_and_changed(self) -> None:
        heavy = but(B, weight=2.0)
        assert reload(of(A, B), of(heavy, C)) == ConfigChanges(
            added=(C,), removed=("a",), changed=(EndpointChange(heavy, Depth.PLACEMENT, is_placed_anew=True),)
        )

    def test_an_endpoint_of_another_name_is_another_one(self) -> None:
        other = but(A, name="z")
        assert reload(of(A), of(other)) == ConfigChanges(added=(other,), removed=("a",))

    def test_what_a_person_has_done_stays(self) -> None:
        """`b` was removed, `c` added, and the streams were changed, all in the live run."""
        now = (A, C, but(MANY, streams=("x", "z")))
        assert reload(of(A, B, MANY), of(A, B, MANY), *now) == ConfigChanges()

    def test_only_the_keys_that_have_changed_are_followed(self) -> None:
        now = but(MANY, streams=("x", "z"))
        heavy = but(now, weight=2.0)
        assert reload(of(MANY), of(but(MANY, weight=2.0)), now) == ConfigChanges(
            changed=(EndpointChange(heavy, Depth.PLACEMENT, is_placed_anew=True),)
        )
        wanted = but(MANY, streams=("x", "y", "w"))
        assert reload(of(MANY), of(wanted), now) == ConfigChanges(
            changed=(EndpointChange(wanted, Depth.STREAMS, ("y", "w"), ("z",)),)
        )

    def test_what_is_there_already(self) -> None:
        assert reload(of(A), of(A, B), A, B) == ConfigChanges()
        assert reload(of(A, B), of(A), A) == ConfigChanges()
        heavy = but(B, weight=2.0)
        assert reload(of(A), of(A, heavy), A, B).changed == (
            EndpointChange(heavy, Depth.PLACEMENT, is_placed_anew=True),
        )

    def test_what_was_removed_comes_back_when_it_changes(self) -> None:
        heavy = but(B, weight=2.0)
        assert reload(of(A, B), of(A, heavy), A) == ConfigChanges(added=(heavy,))


class TestTheRun:
    def test_keys_that_need_a_restart(self) -> None:
        new = of(A, sink=("x",), rebalance=Rebalance(by="bytes"), secrets=("hunter22",))
        assert reload(of(A), new) == ConfigChanges(restart=("rebalance", "sink"))

    @pytest.mark.parametrize(
        ("before", "after", "workers", "restart"),
        [
            (2, 4, 4, ()),
            (0, 4, 4, ()),
            (4, 0, None, ("workers",)),
            (4, "auto", None, ("workers",)),
            ("auto", 4, None, ("workers",)),
        ],
    )
    def test_workers(
        self, before: int | str, after: int | str, workers: int | None, restart: tuple[str, ...]
    ) -> None:
        assert reload(of(A, workers=before), of(A, workers=after)) == ConfigChanges(
            workers=workers, restart=restart
        )

    def test_a_state_file_that_is_derived_is_no_change(self) -> None:
        assert reload(of(A), of(A, state="s")) == ConfigChanges()
        assert reload(of(A, state="s"), of(A)) == ConfigChanges()
        assert reload(of(A, state="s"), of(A, state="t")) == ConfigChanges(restart=("state",))
