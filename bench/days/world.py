"""A synthetic day: how many messages each endpoint sends at any time, and which workers are there.

Rates are Zipf's with a flattened head (Mandelbrot): the hottest endpoint has below half a worker's share, as what
is heavier than a worker can be balanced by nobody. On that lie the time of day, a random walk, bursts of single
endpoints, crowds on all endpoints of a host, and deaths of workers. The same settings make the same day.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from random import Random

from msgspec import Struct

HOUR_S = 3600.0


class Settings(Struct, frozen=True):
    """What a day is like."""

    endpoints: int = 100_000
    workers: int = 1_000
    hours: float = 24.0
    seed: int = 1
    tick_s: float = 20.0
    messages_per_s: float = 5e6
    """Of all endpoints on average."""
    exponent: float = 1.0
    hottest: float = 0.45
    """Rate of the hottest endpoint, in mean loads of a worker."""
    regions: int = 4
    """Parts of the world with a time of day of their own."""
    swing: tuple[float, float] = (0.1, 0.5)
    """Amplitudes of the time of day, of the mean."""
    walk: float = 0.05
    """Standard deviation of the random walk of each rate after an hour, of the rate."""
    bursts_per_hour: float = 12.0
    """Of single endpoints: up to so many times the rate, most of them growing over minutes."""
    burst: tuple[float, float] = (2.0, 8.0)
    ceiling: float = 0.8
    """The highest a burst goes, in mean loads of a worker."""
    sudden: float = 0.02
    """The part of bursts that is there from one moment to the next."""
    crowds_per_hour: float = 0.25
    """Of all endpoints of a host."""
    crowd: tuple[float, float] = (2.0, 4.0)
    hosts: int = 200
    restarts_per_hour: float = 4.0
    """Workers that die and are back with their endpoints after a moment."""
    losses_per_hour: float = 0.5
    """Workers that die and stay away for minutes: their endpoints go elsewhere."""


class Swell(Struct):
    """Endpoints that send more for a while."""

    slots: list[int]
    factor: float
    begin_s: float
    ramp_s: float
    end_s: float

    def at(self, now: float) -> float:
        """By how much rates are multiplied."""
        if now >= self.end_s + self.ramp_s or now < self.begin_s:
            return 1.0
        part = min((now - self.begin_s) / self.ramp_s, (self.end_s + self.ramp_s - now) / self.ramp_s, 1.0)
        return 1.0 + (self.factor - 1.0) * part


class Absence(Struct):
    """A worker that is not there for a while."""

    worker: int
    begin_s: float
    end_s: float
    is_lost: bool
    """Its endpoints go elsewhere; otherwise they are without service until it is back."""


class World:
    """One day. Rates are per second; those of a part of the endpoints are worked out anew in each tick."""

    ROTATION = 15
    """The time of day and the random walk reach an endpoint every so many ticks."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._rng = rng = Random(settings.seed)
        count = settings.endpoints
        self.hosts = [rng.randrange(settings.hosts) for _ in range(count)]
        self._base = shares(count, settings.workers, settings.exponent, settings.hottest)
        rng.shuffle(self._base)
        self._base = [share * settings.messages_per_s for share in self._base]
        regions = [HOUR_S * 24 * region / settings.regions for region in range(settings.regions)]
        self._phases = [rng.choice(regions) + rng.gauss(0, 1.5 * HOUR_S) for _ in range(count)]
        self._amplitudes = [rng.uniform(*settings.swing) for _ in range(count)]
        self._walks = [0.0] * count
        self._calm = [self._calm_rate(slot, 0.0) for slot in range(count)]
        self.rates = list(self._calm)
        self._swells = sorted(self._all_swells(), key=lambda swell: swell.begin_s)
        self.absences = sorted(self._all_absences(), key=lambda absence: absence.begin_s)
        self._active: list[Swell] = []
        self._part = 0

    def advance(self, now: float) -> None:
        """Set `rates` to those of that moment, a tick after the last."""
        settings, rng = self.settings, self._rng
        step = settings.walk * math.sqrt(settings.tick_s * self.ROTATION / HOUR_S)
        for slot in range(self._part, settings.endpoints, self.ROTATION):
            self._walks[slot] += rng.gauss(0.0, step)
            self.rates[slot] = self._calm[slot] = self._calm_rate(slot, now)
        self._part = (self._part + 1) % self.ROTATION
        while self._swells and self._swells[0].begin_s <= now:
            self._active.append(self._swells.pop(0))
        factors: defaultdict[int, float] = defaultdict(lambda: 1.0)
        for swell in self._active:
            factor = swell.at(now)
            for slot in swell.slots:
                factors[slot] *= factor
        for slot, factor in factors.items():
            self.rates[slot] = self._calm[slot] * factor
        self._active = [swell for swell in self._active if now < swell.end_s + swell.ramp_s]

    def _calm_rate(self, slot: int, now: float) -> float:
        day = math.sin(2 * math.pi * (now - self._phases[slot]) / (24 * HOUR_S))
        return self._base[slot] * (1.0 + self._amplitudes[slot] * day) * math.exp(self._walks[slot])

    def _all_swells(self) -> Iterator[Swell]:
        settings, rng = self.settings, self._rng
        for begin in self._moments(settings.bursts_per_hour):
            slot = rng.randrange(settings.endpoints)
            ramp = 1.0 if rng.random() < settings.sudden else rng.uniform(240.0, 900.0)
            highest = settings.ceiling / (self._base[slot] / settings.messages_per_s * settings.workers)
            factor = min(rng.uniform(*settings.burst), max(highest, 1.0))
            yield Swell([slot], factor, begin, ramp, begin + ramp + rng.expovariate(1 / 600))
        for begin in self._moments(settings.crowds_per_hour):
            host, ramp = rng.randrange(settings.hosts), rng.uniform(300.0, 900.0)
            slots = [slot for slot, its in enumerate(self.hosts) if its == host]
            yield Swell(
                slots, rng.uniform(*settings.crowd), begin, ramp, begin + ramp + rng.expovariate(1 / 3600)
            )

    def _all_absences(self) -> Iterator[Absence]:
        settings, rng = self.settings, self._rng
        for begin in self._moments(settings.restarts_per_hour):
            yield Absence(rng.randrange(settings.workers), begin, begin + rng.uniform(2.0, 30.0), False)
        for begin in self._moments(settings.losses_per_hour):
            yield Absence(rng.randrange(settings.workers), begin, begin + rng.uniform(300.0, 1800.0), True)

    def _moments(self, per_hour: float) -> Iterator[float]:
        """When something happens that often."""
        now = 0.0
        while (
            per_hour
            and (now := now + self._rng.expovariate(per_hour / HOUR_S)) < self.settings.hours * HOUR_S
        ):
            yield now


def shares(count: int, workers: int, exponent: float, hottest: float) -> list[float]:
    """Zipf-Mandelbrot shares, heaviest first: rank k has 1/(k + q)**exponent, q as small as `hottest` allows."""
    low, high = 1.0, float(count) * workers
    for _ in range(60):
        middle = math.sqrt(low * high)
        weights = [(rank + middle) ** -exponent for rank in range(count)]
        if weights[0] / sum(weights) * workers > hottest:
            low = middle
        else:
            high = middle
        if high / low < 1.001:
            break
    weights = [(rank + high) ** -exponent for rank in range(count)]
    total = sum(weights)
    return [weight / total for weight in weights]
