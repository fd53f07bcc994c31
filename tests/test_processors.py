"""Processors by name."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scaleout.config import Config, Endpoint
from scaleout.errors import ConfigError, ProcessorError
from scaleout.processors import load_processor, load_processors, make_cwd_importable
from scaleout.signatures import Payload

numbers = itertools.count()

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a module into the current directory; returns its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))

    def write_module(source: str) -> str:
        name = f"processor_module_{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return write_module


def problem(spec: str) -> str:
    with pytest.raises(ProcessorError) as caught:
        load_processor(spec)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


def test_the_current_directory_is_importable(write: Write) -> None:
    name = write("def on_trade(message: bytes): ...\n")
    processor = load_processor(f"{name}:on_trade")
    assert processor.payload is Payload.BYTES
    assert processor.spec == f"{name}:on_trade"


def test_the_current_directory_is_added_once(write: Write, tmp_path: Path) -> None:
    make_cwd_importable()
    make_cwd_importable()
    assert sys.path[0] == str(tmp_path)
    assert sys.path.count(str(tmp_path)) == 1


def test_postponed_annotations(write: Write) -> None:
    name = write(
        "from __future__ import annotations\nimport msgspec\nfrom scaleout.context import Context\n"
        "class Trade(msgspec.Struct):\n    price: float\n"
        "def f(trades: list[Trade], context: Context): ...\n"
    )
    processor = load_processor(f"{name}:f")
    assert processor.is_batch
    assert processor.wants_context
    assert processor.describe() == f"a batch as {name}.Trade, with context"


def test_attributes_of_objects(write: Write) -> None:
    name = write("class H:\n    def f(self, message: str): ...\nclass G:\n    h = H()\n")
    assert load_processor(f"{name}:G.h.f").payload is Payload.TEXT


@pytest.mark.parametrize(
    "spec", ["feeds", "feeds:", ":f", "feeds:f()", "feeds:a b", "a:b:c", "..a:f", "feeds:f.", ""]
)
def test_what_is_not_a_name(spec: str) -> None:
    assert problem(spec).startswith('expected MODULE:FUNCTION such as "feeds:on_trade"')


@pytest.mark.parametrize("spec", ["./feeds:f", "feeds/main:f"])
def test_paths_are_not_modules(spec: str) -> None:
    assert 'without ".py"' in problem(spec)


def test_a_file_is_not_a_module(write: Write) -> None:
    assert "processor" in problem(write("") + ".py:f")


def test_no_such_module() -> None:
    assert problem("no_such_package.module:f") == (
        "no module named 'no_such_package' in the current directory and what is installed"
    )


def test_a_module_that_misses_another(write: Write, tmp_path: Path) -> None:
    name = write("\nimport no_such_module\n")
    assert problem(f"{name}:f") == (
        f"importing {name} failed: ModuleNotFoundError: No module named 'no_such_module'"
        f" ({tmp_path}/{name}.py, line 2)"
    )


def test_a_module_that_raises(write: Write, tmp_path: Path) -> None:
    name = write("def g():\n    raise ValueError('first\\nsecond')\ng()\n")
    expected = f"importing {name} failed: ValueError: first ({tmp_path}/{name}.py, line 2)"
    assert problem(f"{name}:f") == expected


@pytest.mark.parametrize("source", ["raise SystemExit(3)", "import sys; sys.exit('bye')", "raise Exception"])
def test_a_module_that_ends_the_process(write: Write, source: str) -> None:
    assert "failed: " in problem(f"{write(source)}:f")


def test_a_module_with_a_syntax_error(write: Write, tmp_path: Path) -> None:
    name = write("x = 1\ndef f(:\n")
    text = problem(f"{name}:f")
    assert text.startswith(f"importing {name} failed: SyntaxError: ")
    assert text.endswith(f"({tmp_path}/{name}.py, line 2)")


def test_the_nearest_attribute_is_suggested(write: Write) -> None:
    name = write("def on_trade(message): ...\n")
    assert problem(f"{name}:on_trad") == f"{name} has no attribute 'on_trad'; did you mean 'on_trade'?"
    assert problem(f"{name}:on_trade.x") == f"{name}:on_trade has no attribute 'x'"


def test_processors_of_a_configuration(write: Write) -> None:
    name = write("def f(message: str): ...\n")
    endpoints = (Endpoint(uri="ws://h", name="a", processor=f"{name}:f"), Endpoint(uri="ws://h", name="b"))
    assert {key: each.spec for key, each in load_processors(Config(endpoints=endpoints)).items()} == {
        "a": f"{name}:f"
    }


def test_all_faults_of_the_processors(write: Write) -> None:
    name = write("def f(message: str): ...\n")
    specs = [f"{name}:g", f"{name}:f", "no_such_module:f", f"{name}:g"]
    endpoints = tuple(Endpoint(uri="ws://h", name=str(i), processor=spec) for i, spec in enumerate(specs))
    with pytest.raises(ConfigError) as caught:
        load_processors(Config(endpoints=endpoints))
    assert [each.key for each in caught.value.faults] == [f"endpoints[{i}].processor" for i in (0, 2, 3)]


def test_a_module_that_fails_is_imported_once(write: Write, tmp_path: Path) -> None:
    name = write(f"open({str(tmp_path / 'imports')!r}, 'a').write('x')\nraise ValueError\n")
    endpoints = tuple(Endpoint(uri="ws://h", name=str(i), processor=f"{name}:f") for i in range(3))
    with pytest.raises(ConfigError):
        load_processors(Config(endpoints=endpoints))
    assert (tmp_path / "imports").read_text() == "x"
