"""The rules of the house: which file may import, or touch, what."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import scaleout

PACKAGE = Path(scaleout.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

PURE = {
    "__future__", "array", "base64", "bisect", "collections", "dataclasses", "datetime", "email.utils", "enum",
    "fractions", "functools", "hashlib", "heapq", "io", "itertools", "json", "math", "operator", "random",
    "re", "statistics", "string", "struct", "types", "typing", "urllib.parse", "zlib",
}  # fmt: skip
"""What `core` may import of the standard library: nothing that knows the time, the disk, the net or processes."""
C = "cython.cimports.libc.string"
"""Compiled, it may use C's functions for bytes, too."""


def module_of(file: Path) -> str:
    parts = ["scaleout", *file.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): ast.parse(file.read_text()) for file in FILES}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def nodes_of(tree: ast.AST, *, at_import: bool) -> Iterator[ast.AST]:
    """All nodes of a module; with `at_import` only those that run when it is imported."""
    for node in ast.iter_child_nodes(tree):
        if at_import and (
            is_type_checking(node) or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        ):
            continue
        yield node
        yield from nodes_of(node, at_import=at_import)


def imports_of(module: str, *, at_import: bool = False) -> set[str]:
    """The modules that a module imports, by full name."""
    found: set[str] = set()
    for node in nodes_of(MODULES[module], at_import=at_import):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            assert node.module is not None
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= submodules or {node.module}
    return found


def is_within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def importers_of(*packages: str) -> set[str]:
    return {
        module
        for module in MODULES
        if any(is_within(name, *packages) for name in imports_of(module)) and not is_within(module, *packages)
    }


CORE = [module for module in MODULES if is_within(module, "scaleout.core")]


@pytest.mark.parametrize("module", CORE)
def test_core_is_pure(module: str) -> None:
    for name in imports_of(module):
        allowed = is_within(name, "scaleout.core", "scaleout.config", "scaleout.errors", "msgspec", C, *PURE)
        assert allowed, f"{module} imports {name}"


@pytest.mark.parametrize("module", CORE)
def test_core_opens_no_files_and_asks_for_nothing(module: str) -> None:
    called = {
        node.func.id
        for node in ast.walk(MODULES[module])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"open", "input", "print", "__import__", "exec", "eval"}


@pytest.mark.parametrize("module", ["scaleout.config", "scaleout.errors"])
def test_what_core_imports_is_pure_too(module: str) -> None:
    for name in imports_of(module):
        assert is_within(name, "scaleout.errors", "msgspec", *PURE), f"{module} imports {name}"


def test_workers_know_nothing_of_the_supervisor() -> None:
    reached = {module for module in MODULES if is_within(module, "scaleout.worker")}
    while more := {name for module in reached for name in imports_of(module) if name in MODULES} - reached:
        reached |= more
    assert not {module for module in reached if is_within(module, "scaleout.supervisor", "scaleout.sinks")}


def test_only_the_package_itself_imports_the_command_line() -> None:
    assert importers_of("scaleout.cli") == {"scaleout.__main__"}


def test_only_one_file_touches_signals() -> None:
    assert importers_of("signal") == {"scaleout.signals"}
    for module, tree in MODULES.items():
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        if module != "scaleout.signals":
            assert not attributes & {"add_signal_handler", "remove_signal_handler"}, module


def is_pipe(argument: ast.arg) -> bool:
    annotation = ast.unparse(argument.annotation) if argument.annotation is not None else ""
    return annotation.split(".")[-1] in ("Connection", "Connection | None")


def makes_pipe(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Pipe")


def pipe_names(tree: ast.AST) -> set[str]:
    """Names of arguments that are declared to be one end of a pipe, and of variables that get one."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and is_pipe(node):
            names.add(node.arg)
        elif isinstance(node, ast.Assign) and makes_pipe(node.value):
            names |= {name.id for name in ast.walk(node.targets[0]) if isinstance(name, ast.Name)}
    return names


def test_only_the_channel_touches_pipes() -> None:
    """Others make pipes and hand them on."""
    for module, tree in MODULES.items():
        if module == "scaleout.channel":
            continue
        names = pipe_names(tree)
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id in names
            ):
                raise AssertionError(f"{module} uses {ast.unparse(node)}, line {node.lineno}")


def test_only_those_who_hand_pipes_on_know_them() -> None:
    assert importers_of("multiprocessing.connection") == {
        "scaleout.channel",
        "scaleout.spawning",
        "scaleout.worker.entry",
        "scaleout.worker.main",
        "scaleout.worker.spread.helper",
    }
    makers = {module for module, tree in MODULES.items() for node in ast.walk(tree) if makes_pipe(node)}
    assert makers == {"scaleout.spawning"}


def test_imports_make_no_cycle() -> None:
    edges = {
        module: {name for name in imports_of(module, at_import=True) if name in MODULES} - {module}
        for module in MODULES
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join((*path[path.index(module) :], module))
        if module not in done:
            for name in sorted(edges[module]):
                visit(name, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


def test_every_file_says_its_idea_in_its_first_line() -> None:
    for module, tree in MODULES.items():
        docstring = ast.get_docstring(tree)
        assert docstring, f"{module} has no docstring"
        assert docstring.splitlines()[0].endswith((".", ":", "?")), module


def reached_from(*modules: str) -> set[str]:
    """All modules that are imported with these."""
    reached: set[str] = set()
    coming = set(modules)
    while coming:
        reached |= coming
        names = {name for module in coming for name in imports_of(module, at_import=True)}
        coming = {name for name in names if name in MODULES} - reached
    return reached


@pytest.mark.parametrize(
    ("start", "left_out"),
    [
        ("scaleout.cli", ("scaleout.simulator", "scaleout.deadletters.command", "scaleout.worker.main")),
        ("scaleout.worker.main", ("scaleout.loading", "scaleout.simulator", "scaleout.control")),
    ],
)
def test_a_process_imports_what_it_needs_alone(start: str, left_out: tuple[str, ...]) -> None:
    """A run shall begin soon."""
    assert not {module for module in reached_from(start) if is_within(module, *left_out)}
