"""Helpers that fail."""

from __future__ import annotations

import pytest

from bench.errors import BenchError
from bench.sides.open_loop import Phase, Sent
from bench.talking import helper


def test_a_helper_that_ends_is_an_error() -> None:
    with pytest.raises(BenchError, match="line_reader has ended with exit code 1"):  # noqa: SIM117
        with helper("line_reader", ["no such file"], None) as reader:
            reader.hear()


def test_a_helper_answers_and_ends_with_its_input() -> None:
    with helper("open_loop", ["0"], None) as generator:
        assert int(generator.hear()) > 0
        assert generator.ask(Phase(0.0, None), Sent).messages == 0
