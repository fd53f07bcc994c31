"""What each endpoint costs: moving averages of messages, bytes and CPU time per second, from running counts."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Literal

from msgspec import Struct

Measure = Literal["messages", "bytes", "cpu"]
"""By what load is balanced."""

HALF_LIFE_S = 10.0


class Load(Struct, frozen=True):
    """What an endpoint brings, per second."""

    messages: float = 0.0
    bytes: float = 0.0
    cpu: float = 0.0
    """CPU seconds per second: 1.0 is a whole core."""

    def by(self, measure: Measure) -> float:
        """The one figure that is balanced."""
        if measure == "messages":
            return self.messages
        return self.bytes if measure == "bytes" else self.cpu


class _Average:
    """A slot's last counts, and its averages so far as weighted sums with their weight."""

    __slots__ = ("bytes", "bytes_sum", "cpu_ns", "cpu_sum", "messages", "messages_sum", "weight")

    def __init__(self) -> None:
        self.messages = self.bytes = self.cpu_ns = -1
        """-1: not counted here."""
        self.messages_sum = self.bytes_sum = self.cpu_sum = self.weight = 0.0


class Rates:
    """Exponentially weighted averages of every slot; right for looks at irregular times and from the start.

    A measurement of a half-life ago weighs half of one of this moment. The weights add up to less than 1 at
    first, and the sums are divided by that: after two looks the average is the mean of what was seen, and what
    wasn't seen doesn't pull it towards 0.
    """

    def __init__(self, half_life_s: float = HALF_LIFE_S) -> None:
        self._half_life_s = half_life_s
        self._averages: dict[int, _Average] = {}
        self._looked: float | None = None

    def look(
        self, now: float, counts: Mapping[int, tuple[int, int, int]], held: Container[int] = frozenset()
    ) -> None:
        """Take the counts of this moment.

        Args:
            now: of a monotonic clock, in seconds.
            counts: messages, bytes and nanoseconds of processing since the start, by slot; never falling, but
                in a new process, which starts from 0. A slot that is not among them is forgotten.
            held: slots whose counts stand still for a reason that says nothing about their load (no worker,
                no connection): they keep their averages.
        """
        averages, looked = self._averages, self._looked
        if looked is not None and now <= looked:
            return
        self._looked = now
        if len(averages) > len(counts) or not averages.keys() <= counts.keys():
            self._averages = averages = {slot: each for slot, each in averages.items() if slot in counts}
        elapsed = 0.0 if looked is None else now - looked
        kept = 2.0 ** (-elapsed / self._half_life_s)
        added = 1.0 - kept
        per_s = added / elapsed if elapsed else 0.0
        for slot, (messages, bytes_, cpu_ns) in counts.items():
            average = averages.get(slot)
            if average is None:
                average = averages[slot] = _Average()
            elif average.messages >= 0 and elapsed and not (held and slot in held):
                if messages < average.messages or bytes_ < average.bytes or cpu_ns < average.cpu_ns:
                    average.messages = average.bytes = average.cpu_ns = 0
                average.messages_sum = average.messages_sum * kept + (messages - average.messages) * per_s
                average.bytes_sum = average.bytes_sum * kept + (bytes_ - average.bytes) * per_s
                average.cpu_sum = average.cpu_sum * kept + (cpu_ns - average.cpu_ns) * per_s
                average.weight = average.weight * kept + added
            average.messages, average.bytes, average.cpu_ns = messages, bytes_, cpu_ns

    def restore(self, slot: int, load: Load) -> None:
        """Begin with what an earlier run measured; what is measured here takes its place by and by."""
        average = self._averages.setdefault(slot, _Average())
        average.messages_sum, average.bytes_sum, average.cpu_sum = load.messages, load.bytes, load.cpu * 1e9
        average.weight = 1.0

    def forget(self, slot: int) -> None:
        """Drop all that is known of a slot."""
        self._averages.pop(slot, None)

    def is_known(self, slot: int) -> bool:
        """Whether its load has been measured or restored."""
        average = self._averages.get(slot)
        return average is not None and average.weight > 0

    def load(self, slot: int) -> Load:
        """Its load per second; zeros where nothing is known."""
        average = self._averages.get(slot)
        if average is None or not average.weight:
            return Load()
        weight = average.weight
        return Load(average.messages_sum / weight, average.bytes_sum / weight, average.cpu_sum / weight / 1e9)

    def known(self, measure: Measure) -> Iterator[tuple[int, float]]:
        """Every slot whose load is known, with the one figure that is balanced; quicker than one by one."""
        if measure == "messages":
            return ((slot, it.messages_sum / it.weight) for slot, it in self._averages.items() if it.weight)
        if measure == "bytes":
            return ((slot, it.bytes_sum / it.weight) for slot, it in self._averages.items() if it.weight)
        return ((slot, it.cpu_sum / it.weight / 1e9) for slot, it in self._averages.items() if it.weight)


def say_load(load: float, measure: Measure) -> str:
    """A load for people."""
    if measure == "cpu":
        return f"{100 * load:.1f} % of a core"
    if measure == "messages":
        return f"{load:,.0f} messages/s" if load >= 10 else f"{load:.1f} messages/s"
    for unit in ("B", "kB", "MB"):
        if load < 1000:
            return f"{load:.3g} {unit}/s"
        load /= 1000
    return f"{load:.3g} GB/s"
