"""Processors of endpoints that move."""

from __future__ import annotations

import asyncio
from random import Random

_rng = Random(1)


def begin() -> None:
    """Take the same times in each story, whichever were told before."""
    _rng.seed(2)


async def slow(message: object) -> object:
    """Takes its time, each time another."""
    await asyncio.sleep(_rng.choice([0.0, 0.01, 0.1]))
    return message
