"""Numbers on the command line."""

from __future__ import annotations

import argparse

import pytest

from scaleout.arguments import at_least, number, whole_number


def test_numbers() -> None:
    assert (whole_number("-3"), number("1.5"), number("2")) == (-3, 1.5, 2.0)


@pytest.mark.parametrize("text", ["many", "1.5", "", "nan"])
def test_no_whole_numbers(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"expected a whole number, found '{text}'"):
        whole_number(text)


def test_a_number_that_is_too_small() -> None:
    assert at_least(1)("1") == 1
    with pytest.raises(argparse.ArgumentTypeError, match="expected a whole number, 1 or more, found 0"):
        at_least(1)("0")


@pytest.mark.parametrize("text", ["soon", "", "nan", "inf", "-inf"])
def test_no_numbers(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"expected a number, found '{text}'"):
        number(text)
