"""The commands on dead letters: what they print, change and refuse."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scaleout import cli
from scaleout.deadletters import Letter, NewLetter, Selection, Status, Store

MakeLetter = Callable[..., NewLetter]
Do = Callable[..., tuple[int, str, str]]

SECOND = 10**9
START = 1_767_225_600 * SECOND

PROCESSORS = """
from scaleout import Reject
def fixed(message: object) -> object:
    print("printed")
    if message["seq"] == 3:
        raise Reject("still bad")
    return message["seq"] if message["seq"] != 4 else None
"""


@pytest.fixture
def do(
    filled: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Do]:
    """Run `deadletters` on the filled store: exit code, standard output and error."""
    monkeypatch.chdir(filled.parent)
    monkeypatch.delenv("VISUAL", raising=False)
    Path("reprocessing.py").write_text(PROCESSORS)
    endpoints = [
        {"name": name, "uri": "ws://127.0.0.1", "processor": "reprocessing:fixed"} for name in ("btc", "eth")
    ]
    Path("feeds.json").write_text(json.dumps({"endpoints": endpoints}))

    def run(action: str, *arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            cli.main(["deadletters", action, "--dead-letters", "dead.db", *arguments])
        out, err = capfdbinary.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, out.decode(), err.decode()

    yield run
    sys.modules.pop("reprocessing", None)


def kept(**selection: Any) -> list[Letter]:
    with Store(Path("dead.db")) as store:
        return list(store.letters(Selection(**{"statuses": (), **selection})))


def test_the_table(do: Do) -> None:
    code, out, err = do("list")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "ID  RECEIVED        ENDPOINT  STAGE    TRIES  REASON             PAYLOAD",
        " 1  01-01 00:00:01  btc       decode       1  JSON is malformed  no\\x1b[31m",
        " 2  01-01 00:00:02  eth       decode       1  a binary message   b'\\xff\\x00'",
        ' 3  01-01 00:00:03  btc       process      1  ValueError: bad    {"seq":3}',
        ' 4  01-01 00:00:04  eth       process      1  ValueError: bad    {"seq":4}',
    ]


def test_the_table_fits_100_columns(do: Do, letter: MakeLetter) -> None:
    with Store(Path("dead.db")) as store:
        store.add([letter(5, "e" * 99, reason="r\u202e" * 99, payload=b'{"x":"' + b"y" * 999)], 0)
    _, out, _ = do("list")
    assert max(map(len, out.splitlines())) == 100
    assert "\u202e" not in out and "\\u202e" in out
    assert out.splitlines()[-1].endswith("yyy…")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), [1, 2, 3, 4]),
        (("2", "4"), [2, 4]),
        (("--endpoint", "btc"), [1, 3]),
        (("--endpoint", "btc", "--endpoint", "eth", "--stage", "decode"), [1, 2]),
        (("--reason", "valueerror"), [3, 4]),
        (("--since", "2026-01-01T00:00:03Z"), [3, 4]),
        (("--since", "2h"), []),
        (("--status", "retried"), []),
        (("--status", "any"), [1, 2, 3, 4]),
    ],
)
def test_filters(arguments: tuple[str, ...], expected: list[int], do: Do) -> None:
    code, out, err = do("list", "--json", *arguments)
    assert (code, err) == (0, "")
    assert [json.loads(line)["id"] for line in out.splitlines()] == expected


def test_nothing_to_list_is_said(do: Do) -> None:
    assert do("list", "--endpoint", "no") == (0, "", "no such letters\n")
    assert do("discard", "--all") == (0, "", "4 letters discarded\n")
    assert do("list") == (0, "", "no dead letters\n")


def test_letters_for_programs(do: Do) -> None:
    _, out, _ = do("list", "--json", "1", "2")
    text, binary = map(json.loads, out.splitlines())
    assert (text["payload"], text["encoding"]) == ("no\x1b[31m", "text")
    assert (binary["payload"], binary["encoding"]) == ("/wA=", "base64")
    assert binary.keys() >= {
        "endpoint", "id", "stage", "reason", "received_at", "attempts", "status", "traceback"
    }  # fmt: skip
    assert (binary["stage"], binary["status"], binary["attempts"]) == ("decode", "dead", 1)


def test_all_about_a_letter(do: Do) -> None:
    code, out, _ = do("show", "3")
    assert code == 0
    for expected in (
        "endpoint  btc",
        "ValueError: bad",
        "    Traceback:\n      File x\n",
        '    {\n      "seq": 3\n',
    ):
        assert expected in out
    _, out, _ = do("show", "1", "2")
    assert "\x1b" not in out and "no\\x1b[31m" in out
    assert "00000000  ff 00" in out


def test_counts(do: Do) -> None:
    do("discard", "1")
    code, out, _ = do("stats")
    assert code == 0
    assert "3 dead, 0 retried, 1 discarded" in out
    assert "left for lack of room: 0 dead" in out
    _, out, _ = do("stats", "--json", "--endpoint", "eth")
    counts = json.loads(out)
    assert counts["letters"] == {"dead": 3, "retried": 0, "discarded": 1}
    assert [(group["reason"], group["letters"], group["oldest"]) for group in counts["groups"]] == [
        ("a binary message", 1, START + 2 * SECOND),
        ("ValueError: bad", 1, START + 4 * SECOND),
    ]


def test_exporting(do: Do) -> None:
    _, out, _ = do("export", "--stage", "decode")
    assert len(out.splitlines()) == 2
    code, listed, err = do("export", "--all", "--output", "letters.jsonl")
    assert (code, listed, err) == (0, "", "4 letters exported to letters.jsonl\n")
    assert stat.S_IMODE(Path("letters.jsonl").stat().st_mode) == 0o600
    assert Path("letters.jsonl").read_text() == do("list", "--json")[1]
    code, _, err = do("export", "--all", "--output", "letters.jsonl")
    assert code == 2 and "exists already" in err


RETRY = ("--config", "feeds.json", "--sink", "out.jsonl")


def test_retrying(do: Do) -> None:
    code, out, err = do("retry", "--stage", "process", *RETRY)
    assert (code, out) == (1, "")
    assert "letter 3 of btc: dead again: still bad" in err
    assert err.endswith("2 retried = 0 delivered + 1 filtered + 1 dead again\n")
    ill, well = kept(ids=(3, 4))
    assert (ill.status, ill.attempts, ill.reason, ill.traceback) == (Status.DEAD, 2, "still bad", None)
    assert (well.status, well.attempts) == (Status.RETRIED, 2)
    assert Path("out.jsonl").read_bytes() == b""


def edit_with(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("editor.py").write_text(
        f"import os, sys\npath = sys.argv[-1]\ncontent = open(path, 'rb').read()\n{script}\n"
    )
    monkeypatch.setenv("EDITOR", f"{sys.executable} editor.py")


def test_editing_first(do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    check = "assert os.stat(path).st_mode & 0o777 == 0o600 and content == b'no\\x1b[31m'"
    edit_with(
        f"{check}\nopen(path, 'wb').write(b'{{\"seq\":7}}\\n')\nopen('where', 'w').write(path)", monkeypatch
    )
    code, out, err = do("retry", "--edit", "1", *RETRY[:-1], "-")
    assert (code, err) == (0, "printed\n1 retried = 1 delivered + 0 filtered + 0 dead again\n")
    assert json.loads(out) == {"endpoint": "btc", "received_at": START + SECOND, "data": 7}
    (letter,) = kept(ids=(1,))
    assert (letter.payload, letter.edited, letter.status) == (b"no\x1b[31m", b'{"seq":7}', Status.RETRIED)
    assert not Path(Path("where").read_text()).exists()


def test_an_edited_letter_that_fails_again_keeps_the_edit(do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    edit_with("open(path, 'ab').write(b'!')", monkeypatch)
    assert do("retry", "--edit", "3", *RETRY)[0] == 1
    assert do("retry", "--edit", "3", *RETRY)[0] == 1
    (letter,) = kept(ids=(3,))
    assert (letter.payload, letter.edited, letter.attempts) == (b'{"seq":3}', b'{"seq":3}!!', 3)
    assert letter.stage == "decode"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("", "left unchanged"),
        ("open(path, 'ab').write(b'\\n')", "left unchanged"),
        ("open(path, 'wb')", "left empty"),
        ("open(path, 'wb').write(b'\\xff')", "not UTF-8"),
        ("sys.exit(4)", "failed with code 4"),
        ("os.unlink(path)", "took the file away"),
    ],
)
def test_an_editor_without_a_result(
    script: str, expected: str, do: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_with(script, monkeypatch)
    code, _, err = do("retry", "--edit", "3", *RETRY)
    assert code == 1
    assert expected in err and "1 left as they were" in err
    assert kept(ids=(3,))[0].attempts == 1


@pytest.mark.parametrize("editor", ["no-such-editor", '"'])
def test_no_editor(editor: str, do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", editor)
    code, _, err = do("retry", "--edit", "3", *RETRY)
    assert code == 1 and "not retried" in err


def test_a_sink_that_refuses_leaves_the_letters_dead(do: Do) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with Store(Path("dead.db")) as store:
        store.add([NewLetter("btc", "process", "r", b'{"seq":9}', True, START)], 0)
    code, _, err = do("retry", "5", "--config", "feeds.json", "--sink", "/dev/full")
    assert code == 1
    assert "No space left" in err and "0 retried" in err
    assert (kept(ids=(5,))[0].status, kept(ids=(5,))[0].attempts) == (Status.DEAD, 1)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("retry", *RETRY), "which letters?"),
        (("discard",), "which letters?"),
        (("export",), "which letters?"),
        (("retry", "3"), "--config"),
        (("retry", "3", "--config", "feeds.json"), "--sink"),
        (("retry", "3", "--config", "none.json", "--sink", "x"), "none.json"),
        (("retry", "3", "--config", "feeds.json", "--sink", "dead.db"), "dead.db"),
        (("show", "99"), "99: dead.db has no such letter"),
        (("show",), "ID"),
        (("list", "x"), "expected the number of a letter"),
        (("list", "--since", "yesterday"), "yesterday"),
        (("list", "--stage", "sing"), "sing"),
        (("list", "--wach"), "did you mean --watch?"),
    ],
)
def test_bad_usage_is_one_line_and_code_2(arguments: tuple[str, ...], expected: str, do: Do) -> None:
    code, out, err = do(*arguments)
    assert (code, out) == (2, "")
    assert expected in err
    assert len(err.splitlines()) == 1


def test_letters_that_are_dealt_with(do: Do) -> None:
    do("discard", "3")
    for action in (("discard", "3"), ("retry", "3", *RETRY), ("export", "3")):
        code, _, err = do(*action)
        assert code == 2 and "3: this letter is discarded already" in err


def test_an_endpoint_that_is_not_configured(do: Do) -> None:
    Path("feeds.json").write_text(json.dumps({"endpoints": [{"name": "btc", "uri": "ws://127.0.0.1"}]}))
    code, _, err = do("retry", "--all", *RETRY)
    assert code == 2
    assert (
        err
        == "scaleout: feeds.json: endpoints: no endpoint 'eth', of which 2 dead letters are; there are btc\n"
    )
    assert not Path("out.jsonl").exists()


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "there is no file"), (b"", "is empty"), (b"x" * 200, "isn't a dead-letter store")],
)
def test_files_that_are_no_stores(content: bytes | None, expected: str, do: Do) -> None:
    Path("dead.db").unlink()
    if content is not None:
        Path("dead.db").write_bytes(content)
    code, _, err = do("list")
    assert code == 2 and expected in err and len(err.splitlines()) == 1
