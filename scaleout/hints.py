"""The end of a sentence about an unknown word: which known one was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


def did_you_mean(word: str, known: Iterable[str], show: Callable[[str], str] = str) -> str:
    """Suggest the known word that is nearest, as `; did you mean workers?`; empty where none is near.

    Args:
        show: how the suggestion is written, such as `repr`.
    """
    nearest = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {show(nearest[0])}?" if nearest else ""
