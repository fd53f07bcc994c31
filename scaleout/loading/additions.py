"""Endpoints that come into a live run: from a file, from a text, or through the run's control socket."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from scaleout.config import Config
from scaleout.errors import ConfigError, Fault
from scaleout.loading.draft import Draft
from scaleout.loading.keys import RUN_KEYS
from scaleout.loading.parsing import Table, parse_file

_ONE = "endpoints[0]"


def endpoints_from_file(
    path: str | os.PathLike[str], *, environment: Mapping[str, str] | None = None
) -> Config:
    """Read endpoints from a TOML or JSON file: `[defaults]` and `[[endpoints]]`, or the keys of one endpoint.

    Args:
        path: its ending says which of the two it is.
        environment: what `${NAME}` is replaced from; by default the process's.

    Returns:
        A configuration of them, and of the values that are to be kept secret; its other keys mean nothing.

    Raises:
        ConfigError: they can't be used; holds all that is wrong.
    """
    draft = _draft(os.fspath(path), environment)
    return _finish(draft, parse_file(Path(path), draft.file))


def endpoints_from_toml(text: str, source: str, *, environment: Mapping[str, str] | None = None) -> Config:
    """Read endpoints from a text; otherwise as `endpoints_from_file`.

    Args:
        text: TOML.
        source: what faults call it.
        environment: what `${NAME}` is replaced from; by default the process's.

    Raises:
        ConfigError: they can't be used; holds all that is wrong.
    """
    draft = _draft(source, environment)
    raw: Table | None = None
    try:
        raw = tomllib.loads(text)
    except RecursionError:
        draft.file.fault("", "is nested too deep")
    except ValueError as error:
        draft.file.fault("", f"isn't valid TOML: {error}")
    return _finish(draft, raw)


def endpoints_from_tables(tables: Sequence[Table], source: str, secrets: Iterable[str]) -> Config:
    """Check endpoints that another process has read; texts are taken as they are, and processors imported.

    Args:
        tables: the keys of each endpoint.
        source: what faults call it.
        secrets: values that are never shown.

    Raises:
        ConfigError: they can't be used; holds all that is wrong.
    """
    draft = Draft(source, None, import_processors=True, secrets=secrets)
    return draft.finish({"endpoints": list(tables)}, None, None)


def _draft(source: str, environment: Mapping[str, str] | None) -> Draft:
    return Draft(source, os.environ if environment is None else environment, import_processors=False)


def _finish(draft: Draft, raw: Table | None) -> Config:
    if raw is None:
        return draft.finish(None, None, None)
    for key in raw:
        if key in RUN_KEYS:
            draft.file.fault(key, "is a key of the whole run, which goes on as it is: leave it out")
    ours = {key: value for key, value in raw.items() if key not in RUN_KEYS}
    if not ours or "endpoints" in ours or "defaults" in ours:
        return draft.finish(ours, None, None)
    try:
        return draft.finish({"endpoints": [ours]}, None, None)
    except ConfigError as error:
        raise ConfigError(
            [Fault(each.source, _bare(each.key), each.problem) for each in error.faults]
        ) from None


def _bare(key: str) -> str:
    """A key's path where the file itself is the table of the endpoint."""
    return key.removeprefix(f"{_ONE}.") if key != _ONE else ""
