"""A valve holds all of its sources, early and late ones."""

from __future__ import annotations

from scaleout.valve import Valve


class Tap:
    def __init__(self) -> None:
        self.holders: list[object] = []

    def pause_reading(self, holder: object) -> None:
        self.holders.append(holder)

    def resume_reading(self, holder: object) -> None:
        self.holders.remove(holder)


def test_sources_are_held_once_and_let_go_once() -> None:
    valve: Valve[Tap] = Valve()
    early, late, gone = Tap(), Tap(), Tap()
    valve.attach(early)
    valve.attach(gone)
    valve.detach(gone)
    valve.close()
    valve.close()
    valve.attach(late)
    assert (early.holders, late.holders, gone.holders) == ([valve], [valve], [])
    valve.open()
    valve.open()
    assert early.holders == late.holders == []


def test_a_source_that_comes_while_it_is_open_is_free() -> None:
    valve: Valve[Tap] = Valve()
    tap = Tap()
    valve.close()
    valve.open()
    valve.attach(tap)
    assert tap.holders == []


def test_another_source_is_let_go_first_each_time() -> None:
    valve: Valve[Tap] = Valve()
    order: list[int] = []

    class Numbered(Tap):
        def resume_reading(self, holder: object) -> None:
            super().resume_reading(holder)
            order.append(taps.index(self))

    taps = [Numbered() for _ in range(3)]
    for tap in taps:
        valve.attach(tap)
    for _ in range(3):
        valve.close()
        valve.open()
    assert order == [0, 1, 2, 1, 2, 0, 2, 0, 1]
