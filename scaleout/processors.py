"""Processors by name: MODULE:FUNCTION, imported once, with every problem in one line."""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
import traceback
import types
from pathlib import Path

from scaleout.config import Config
from scaleout.errors import ConfigError, Fault, ProcessorError
from scaleout.hints import did_you_mean
from scaleout.secrets import Redactor
from scaleout.signatures import Processor, inspect_processor


def make_cwd_importable() -> None:
    """Put the current directory first in the import path, unless it is there."""
    try:
        directory = str(Path.cwd())
    except FileNotFoundError:
        return
    if directory not in sys.path:
        sys.path.insert(0, directory)


def load_processors(config: Config) -> dict[str, Processor]:
    """Import the processors of all endpoints that name one.

    Returns:
        The processors by the endpoint's name.

    Raises:
        ConfigError: some of them can't be used; every one has its line.
    """
    load = functools.cache(load_or_explain)
    redact = Redactor(config.secrets)
    processors: dict[str, Processor] = {}
    faults: list[Fault] = []
    for index, endpoint in enumerate(config.endpoints):
        if endpoint.processor is None:
            continue
        loaded = load(endpoint.processor)
        if isinstance(loaded, Processor):
            processors[endpoint.name] = loaded
        else:
            faults.append(Fault("Config", f"endpoints[{index}].processor", redact(loaded)))
    if faults:
        raise ConfigError(faults)
    return processors


def load_or_explain(spec: str) -> Processor | str:
    """Import a processor; where that can't be done, say why in one line."""
    try:
        return load_processor(spec)
    except ProcessorError as error:
        return str(error)


def load_processor(spec: str) -> Processor:
    """Import a processor and read its signature.

    Args:
        spec: MODULE:FUNCTION; the function may be an attribute of an object, as in `feeds:handler.on_trade`.

    Raises:
        ProcessorError: it can't be imported, or what it wants can't be told from its signature.
    """
    return inspect_processor(load_object(spec), spec)


def load_object(spec: str) -> object:
    """Import what MODULE:FUNCTION names.

    Raises:
        ProcessorError: it can't be imported.
    """
    module_name, _, path = spec.partition(":")
    names = [*module_name.split("."), *path.split(".")]
    if not all(name.isidentifier() for name in names):
        hint = ' (a module\'s name, without ".py")' if module_name.endswith(".py") or "/" in spec else ""
        raise ProcessorError(f'expected MODULE:FUNCTION such as "feeds:on_trade"{hint}, found {spec!r}')
    found: object = _import(module_name)
    where = module_name
    for name in path.split("."):
        found = _attribute(found, name, where)
        where = f"{where}{':' if where == module_name else '.'}{name}"
    return found


def _import(name: str) -> types.ModuleType:
    make_cwd_importable()
    importlib.invalidate_caches()
    try:
        with contextlib.redirect_stdout(sys.stderr):  # standard output carries sink data alone
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            where = "the current directory and what is installed"
            raise ProcessorError(f"no module named {error.name!r} in {where}") from None
        raise ProcessorError(_import_failure(name, error)) from error
    except (Exception, SystemExit) as error:
        raise ProcessorError(_import_failure(name, error)) from error


def _import_failure(module: str, error: BaseException) -> str:
    lines = str(error).splitlines() or [""]
    what = f"{type(error).__name__}: {lines[0]}" if lines[0] else type(error).__name__
    if isinstance(error, SyntaxError):
        what = f"{type(error).__name__}: {error.msg}"
        return f"importing {module} failed: {what} ({error.filename}, line {error.lineno})"
    machinery = (__file__, importlib.__file__, "<frozen importlib")
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(machinery)]
    place = f" ({theirs[-1].filename}, line {theirs[-1].lineno})" if theirs else ""
    return f"importing {module} failed: {what}{place}"


def _attribute(owner: object, name: str, where: str) -> object:
    try:
        return getattr(owner, name)
    except AttributeError:
        hint = did_you_mean(name, dir(owner), repr)
        raise ProcessorError(f"{where} has no attribute {name!r}{hint}") from None
    except Exception as error:
        raise ProcessorError(f"{where}.{name} can't be read: {type(error).__name__}: {error}") from error
