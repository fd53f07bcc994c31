"""Which editor is started."""

from __future__ import annotations

import pytest

from scaleout.deadletters.editing import NotEditedError, editor_command


@pytest.mark.parametrize(
    ("environment", "command"),
    [
        ({}, ["vi"]),
        ({"EDITOR": ""}, ["vi"]),
        ({"EDITOR": "nano -w"}, ["nano", "-w"]),
        ({"EDITOR": "nano", "VISUAL": "'my editor' --wait"}, ["my editor", "--wait"]),
    ],
)
def test_the_editor_of_the_environment(environment: dict[str, str], command: list[str]) -> None:
    assert editor_command(environment) == command


def test_what_is_no_command() -> None:
    with pytest.raises(NotEditedError, match=r"\$EDITOR isn't a command"):
        editor_command({"EDITOR": '"nano'})
