"""Durations and sizes as people write them: "5ms", "1.5m", "64KiB"."""

from __future__ import annotations

import re

_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-z]*)", re.ASCII)

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}

_BYTES = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}


def parse_duration(text: str) -> float:
    """Read a duration such as "250ms", "5s", "1.5m", "2h" or "1d"; without a unit it is in seconds.

    Returns:
        The duration in seconds.

    Raises:
        ValueError: it isn't a duration.
    """
    amount, unit = _split(text)
    if unit not in _SECONDS:
        raise ValueError(f"unknown unit of time {unit!r}")
    seconds = _SECONDS[unit]
    # Dividing by a whole number keeps "5ms" the float 0.005, which multiplying by 0.001 doesn't promise.
    return float(amount) * seconds if seconds >= 1 else float(amount) / round(1 / seconds)


def parse_size(text: str) -> int:
    """Read a size such as "64KiB", "4MiB" or "1GB"; without a unit it is in bytes.

    Returns:
        The size in bytes.

    Raises:
        ValueError: it isn't a size, or not a whole number of bytes.
    """
    amount, unit = _split(text)
    factor = _BYTES.get(unit.lower())
    if factor is None:
        raise ValueError(f"unknown unit of size {unit!r}")
    whole, _, fraction = amount.partition(".")
    scale: int = 10 ** len(fraction)
    size, rest = divmod(int(whole + fraction) * factor, scale)
    if rest:
        raise ValueError("not a whole number of bytes")
    return size


def format_duration(seconds: float) -> str:
    """Write a duration as `parse_duration` reads it, in the largest unit that leaves no fraction."""
    for unit in ("d", "h", "m", "s", "ms"):
        amount = seconds / _SECONDS[unit] if _SECONDS[unit] >= 1 else seconds * 1000
        if amount >= 1 and amount == int(amount):
            return f"{int(amount)}{unit}"
    return f"{seconds * 1000:.6g}ms" if 0 < seconds < 1 else f"{seconds:.10g}s"


def format_size(size_bytes: int) -> str:
    """Write a size as `parse_size` reads it, in the largest binary unit that leaves no fraction."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        factor = _BYTES[unit.lower()]
        if size_bytes >= factor and size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    return f"{size_bytes}B"


def _split(text: str) -> tuple[str, str]:
    match = _AMOUNT.fullmatch(text.strip())
    if match is None or len(text) > 64:
        raise ValueError(f"expected a number with a unit, found {text[:64]!r}")
    return match[1], match[2]
