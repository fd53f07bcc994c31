"""What may be compiled: both ways can be had, and what is compiled is what the sources say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from scaleout.compiled import MODULES, VARIABLE
from tests.conftest import ROOT

REBUILD = "build it again: .venv/bin/pip install -q -e '.[test]'"
MUST_BE_COMPILED = os.environ.get("SCALEOUT_COMPILED", "0") not in ("", "0")
"""Whether a test run without the extension modules would not be the one that was asked for."""

PRINT_FILES = """
import importlib
from scaleout.compiled import MODULES
for name in MODULES:
    print(importlib.import_module(name).__file__)
"""


def source_of(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def types_of(module: str) -> Path:
    return source_of(module).with_suffix(".pxd")


def extension_of(module: str) -> Path | None:
    """The extension module, where it has been compiled."""
    source = source_of(module)
    found = [source.with_name(source.stem + suffix) for suffix in EXTENSION_SUFFIXES]
    return next((path for path in found if path.exists()), None)


def cimported_by(module: str) -> set[str]:
    """The modules whose C types it uses, and those that these use."""
    found: set[str] = set()
    left = [module]
    while left:
        text = types_of(left.pop()).read_text()
        new = set(re.findall(r"^from (scaleout\S*) cimport ", text, re.MULTILINE)) - found
        found |= new
        left += new
    return found


def is_stale(extension: Path, *made_of: Path) -> bool:
    return any(path.stat().st_mtime > extension.stat().st_mtime for path in made_of)


def loaded_files(pure: str, folder: Path = ROOT) -> list[Path]:
    """Where a process of its own, in the folder of the package, finds the modules."""
    environment = {**os.environ, VARIABLE: pure}
    found = subprocess.run(
        [sys.executable, "-c", PRINT_FILES],
        env=environment,
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return list(map(Path, found.stdout.splitlines()))


def test_the_sources_alone_can_be_had() -> None:
    assert loaded_files("1") == list(map(source_of, MODULES))


@pytest.mark.parametrize("pure", ["", "0"])
def test_what_is_compiled_is_preferred(pure: str) -> None:
    extensions = [extension for module in MODULES if (extension := extension_of(module)) is not None]
    assert loaded_files(pure) == (
        extensions if len(extensions) == len(MODULES) else list(map(source_of, MODULES))
    )


def test_one_that_is_not_compiled_makes_all_do_without(tmp_path: Path) -> None:
    copy = shutil.copytree(
        ROOT / "scaleout", tmp_path / "scaleout", ignore=shutil.ignore_patterns("*.c", "__pycache__")
    )
    extension = extension_of(MODULES[-1])
    if extension is None:
        pytest.skip("not compiled here")
    (copy / extension.relative_to(ROOT / "scaleout")).unlink()
    found = [path.relative_to(tmp_path) for path in loaded_files("0", tmp_path)]
    assert found == [source_of(module).relative_to(ROOT) for module in MODULES]


def test_they_are_compiled_where_that_is_asked_for() -> None:
    missing = [module for module in MODULES if extension_of(module) is None]
    if missing and not MUST_BE_COMPILED:
        pytest.skip(f"not compiled here: {', '.join(missing)}")
    assert not missing, f"not compiled: {', '.join(missing)}. Is there a C compiler? Then {REBUILD}"
    assert not (MUST_BE_COMPILED and os.environ.get(VARIABLE, "0") not in ("", "0")), "SCALEOUT_PURE is set"


@pytest.mark.parametrize("module", MODULES)
def test_what_is_compiled_is_not_older_than_its_source(module: str) -> None:
    extension = extension_of(module)
    if extension is None:
        pytest.skip("not compiled here")
    made_of = [source_of(module), types_of(module), *map(types_of, sorted(cimported_by(module)))]
    assert not is_stale(extension, *made_of), (
        f"{extension.name} is older than {module} or the C types it uses; {REBUILD}"
    )


def test_a_file_that_is_newer_makes_it_stale(tmp_path: Path) -> None:
    extension, source, types = (tmp_path / name for name in ("it.so", "it.py", "it.pxd"))
    for age, path in enumerate((source, types, extension)):
        path.touch()
        os.utime(path, (age, age))
    assert not is_stale(extension, source, types)
    os.utime(types, (9, 9))
    assert is_stale(extension, source, types)
    assert not is_stale(extension, source)


def test_whose_types_are_used() -> None:
    used = cimported_by("scaleout.worker.reading")
    assert {"scaleout.worker.lane", "scaleout.worker.tray", "scaleout.core.frames"} <= used <= set(MODULES)


def test_each_of_them_has_c_types_and_is_built() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    built = {extension["name"]: extension for extension in settings["ext-modules"]}
    assert sorted(built) == sorted(MODULES)
    for module in MODULES:
        assert built[module]["sources"] == [str(source_of(module).relative_to(ROOT))]
        assert built[module]["optional"], "without a compiler the installation would fail"
        assert source_of(module).exists() and types_of(module).exists()


def test_nothing_else_has_c_types() -> None:
    assert set((ROOT / "scaleout").rglob("*.pxd")) == set(map(types_of, MODULES))
