"""Cursors survive a run in a private file, and a bad file or disk stops nobody."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
from pathlib import Path
from typing import Any

import pytest

from scaleout.core.marks import CursorMark
from scaleout.core.rates import Load
from scaleout.supervisor import statefile
from scaleout.supervisor.statefile import StateFile

NAMES = {0: "a", 1: "b"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feeds.state.json"


@pytest.mark.parametrize("value", [5, "seq-5", 1.5, 2**62])
def test_cursors_survive(path: Path, value: int | str | float) -> None:
    first = StateFile(str(path), NAMES)
    assert first.cursor(0) is None
    first.note(1, CursorMark(0, value, (b"\x00\xff",)))
    assert first.cursor(0) == CursorMark(0, value, (b"\x00\xff",))
    first.save()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    second = StateFile(str(path), {7: "a", 8: "other"})
    assert second.cursor(7) == CursorMark(7, value, (b"\x00\xff",))
    assert second.cursor(8) is None


def test_endpoints_that_are_not_in_this_run_stay(path: Path) -> None:
    first = StateFile(str(path), NAMES)
    first.note(1, CursorMark(0, 5))
    first.save()
    second = StateFile(str(path), {0: "b"})
    second.note(1, CursorMark(0, 6))
    second.save()
    assert json.loads(path.read_bytes()) == {
        "version": 1,
        "cursors": {"a": {"value": 5}, "b": {"value": 6}},
        "rates": {},
    }


def test_batches_that_are_written_out_of_order_never_move_it_back() -> None:
    state = StateFile(None, NAMES)
    state.note(5, CursorMark(0, 50))
    state.note(3, CursorMark(0, 30))
    state.note(4, CursorMark(1, 40))
    assert state.cursor(0) == CursorMark(0, 50)
    assert state.cursor(1) == CursorMark(1, 40)


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = StateFile(None, NAMES)
    state.note(1, CursorMark(0, 1))
    state.save()
    asyncio.run(state.keep_saving())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", b"[]", b'{"cursors":{"a":5}}', b'{"cursors":{"a":{"value":null}}}', b"\xff",
     b'{"version":2,"cursors":{"a":{"value":5}}}'],
)  # fmt: skip
def test_a_bad_file_is_told_and_the_run_goes_on(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(content)
    with caplog.at_level(logging.ERROR):
        state = StateFile(str(path), NAMES)
    assert state.cursor(0) is None
    assert f"the state file {path} can't be read, cursors and rates start anew" in caplog.text
    state.note(1, CursorMark(0, 9))
    state.save()
    assert StateFile(str(path), NAMES).cursor(0) == CursorMark(0, 9)
    assert Path(f"{path}.bad").read_bytes() == content  # of another version, or somebody else's
    state.note(2, CursorMark(0, 10))
    state.save()
    assert Path(f"{path}.bad").read_bytes() == content


def test_two_runs_on_one_file_are_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = StateFile(str(path), NAMES), StateFile(str(path), NAMES)
    with caplog.at_level(logging.ERROR):
        for value in range(3):
            first.note(value, CursorMark(0, value))
            first.save()
        assert not caplog.text
        second.note(1, CursorMark(1, 1))
        second.save()
        for value in range(3, 6):
            first.note(value, CursorMark(0, value))
            first.save()
    assert caplog.text.count(f"{path} is written by another run, too") == 2  # once by each of them


def test_a_file_that_was_removed_is_written_again(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = StateFile(str(path), NAMES)
    for value in range(2):
        state.note(value, CursorMark(0, value))
        state.save()
        path.unlink()
    state.note(2, CursorMark(0, 2))
    state.save()
    assert StateFile(str(path), NAMES).cursor(0) == CursorMark(0, 2)
    assert not caplog.text


def test_bad_digests_are_left_out(path: Path) -> None:
    path.write_text('{"cursors":{"a":{"value":5,"digests":["xyz"]}}}')
    assert StateFile(str(path), NAMES).cursor(0) == CursorMark(0, 5)


def test_a_file_that_cannot_be_written_is_told_once_and_tried_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = path.parent / "gone"
    folder.mkdir()
    state = StateFile(str(folder / "state.json"), NAMES)
    folder.rmdir()
    with caplog.at_level(logging.ERROR):
        for value in range(3):
            state.note(value, CursorMark(0, value))
            state.save()
    assert caplog.text.count("can't be written") == 1
    folder.mkdir()
    state.save()
    assert StateFile(str(folder / "state.json"), NAMES).cursor(0) == CursorMark(0, 2)


def test_a_leftover_of_a_crash_is_no_hindrance_and_no_leak(path: Path) -> None:
    part = Path(f"{path}.part")
    part.write_text("half")
    part.chmod(0o644)
    state = StateFile(str(path), NAMES)
    state.note(1, CursorMark(0, 1))
    state.save()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not part.exists()


def test_an_older_document_never_takes_the_place_of_a_newer(path: Path) -> None:
    state = StateFile(str(path), NAMES)
    state.note(1, CursorMark(0, 1))
    older = state._encode()
    state.note(2, CursorMark(0, 2))
    state.save()
    state._write(path, *older)  # as a thread that was late
    assert StateFile(str(path), NAMES).cursor(0) == CursorMark(0, 2)


def test_it_is_saved_at_intervals(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statefile, "SAVE_EVERY_S", 0.001)

    async def main() -> None:
        state = StateFile(str(path), NAMES)
        loop = asyncio.get_running_loop()
        saved: asyncio.Queue[None] = asyncio.Queue()
        write = state._write

        def note(*arguments: Any) -> None:
            write(*arguments)
            loop.call_soon_threadsafe(saved.put_nowait, None)

        monkeypatch.setattr(state, "_write", note)
        saving = asyncio.ensure_future(state.keep_saving())
        for value in (1, 2):
            state.note(value, CursorMark(0, value))
            await asyncio.wait_for(saved.get(), 10)
            assert StateFile(str(path), NAMES).cursor(0) == CursorMark(0, value)
        with pytest.raises(TimeoutError):  # nothing has changed
            await asyncio.wait_for(saved.get(), 0.02)
        saving.cancel()

    asyncio.run(main())


def test_rates_outlive_the_run(path: Path) -> None:
    first = StateFile(str(path), NAMES)
    assert first.loads(["a"]) == {}
    first.note_loads({"a": Load(1000.0, 131_000.0, 0.25)})
    first.save()
    second = StateFile(str(path), NAMES)
    second.note_loads({"b": Load(1.0, 2.0, 0.0)})
    second.save()
    third = StateFile(str(path), NAMES)
    assert third.loads(["b", "c", "a"]) == {0: Load(1.0, 2.0, 0.0), 2: Load(1000.0, 131_000.0, 0.25)}


def test_what_is_forgotten_is_not_saved(path: Path) -> None:
    first = StateFile(str(path), NAMES)
    first.note(1, CursorMark(0, 5))
    first.forget(0)
    first.save()
    assert StateFile(str(path), NAMES).cursor(0) is None
