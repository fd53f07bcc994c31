"""Where configurations come from: files, mappings, URIs and Python."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct, structs

from scaleout.config import TLS, Config, Endpoint, InvalidShare, Rate
from scaleout.loading.draft import COMMAND_LINE, Draft
from scaleout.loading.parsing import Table, parse_file
from scaleout.loading.reading import BAD


def load(
    path: str | os.PathLike[str],
    *,
    overrides: Table | None = None,
    endpoint_overrides: Table | None = None,
    environment: Mapping[str, str] | None = None,
    import_processors: bool = False,
) -> Config:
    """Read a configuration from a TOML or JSON file.

    Args:
        path: its ending says which of the two it is.
        overrides: keys of the run that count more than the file's, from the command line.
        endpoint_overrides: keys that count more than those of every endpoint in the file.
        environment: what `${NAME}` is replaced from; by default the process's.
        import_processors: also import every processor, for the faults to include theirs.

    Raises:
        ConfigError: it can't be used; holds all that is wrong.
    """
    draft = Draft(os.fspath(path), _environment(environment), import_processors)
    raw = parse_file(Path(path), draft.file)
    config = draft.finish(raw, overrides, endpoint_overrides)
    if config.state is None and _outlives(config):
        config = structs.replace(config, state=str(Path(path).with_suffix(".state.json")))
    return config


def _outlives(config: Config) -> bool:
    """Whether there is anything that a next run should know: cursors, or rates to place endpoints by."""
    has_places = len(config.endpoints) > 1 and config.workers != 1
    return has_places or any(endpoint.cursor is not None for endpoint in config.endpoints)


def from_mapping(
    raw: Table,
    source: str,
    *,
    overrides: Table | None = None,
    endpoint_overrides: Table | None = None,
    environment: Mapping[str, str] | None = None,
    import_processors: bool = False,
) -> Config:
    """Read a configuration from what a file would hold; the arguments are those of `load`.

    Args:
        source: what faults call it.

    Raises:
        ConfigError: it can't be used; holds all that is wrong.
    """
    draft = Draft(source, _environment(environment), import_processors)
    return draft.finish(raw, overrides, endpoint_overrides)


def from_uris(
    uris: Iterable[str],
    *,
    overrides: Table | None = None,
    endpoint_overrides: Table | None = None,
    environment: Mapping[str, str] | None = None,
    import_processors: bool = False,
) -> Config:
    """Make a configuration of an endpoint for each URI; the other arguments are those of `load`.

    Raises:
        ConfigError: it can't be used; holds all that is wrong.
    """
    draft = Draft(COMMAND_LINE, _environment(environment), import_processors)
    return draft.finish({"endpoints": [{"uri": uri} for uri in uris]}, overrides, endpoint_overrides)


def check_config(config: Config, *, import_processors: bool = False) -> Config:
    """Check a configuration made in Python, and fill in what is derived.

    Texts are taken as they are: `${NAME}` is for files.

    Args:
        import_processors: also import every processor, for the faults to include theirs.

    Returns:
        The same configuration with tuples for lists, texts with units read, and every endpoint named.

    Raises:
        ConfigError: it can't be used; holds all that is wrong.
    """
    draft = Draft("Config", None, import_processors, config.secrets)
    raw = given_fields(config)
    raw.pop("secrets", None)
    return draft.finish(raw, None, None)


def _environment(given: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if given is None else given


_DEFAULTS: Mapping[type, Struct] = {TLS: TLS(), Endpoint: Endpoint(uri=""), Config: Config()}


def given_fields(value: object) -> dict[str, object]:
    """The fields of a Struct that differ from their defaults, as a file would have them."""
    if not isinstance(value, Struct):
        return {}
    defaults = _DEFAULTS.get(type(value))
    given = {}
    for name in value.__struct_fields__:
        item, default = getattr(value, name), getattr(defaults, name, BAD)
        if type(item) is not type(default) or item != default:
            given[name] = _as_raw(item)
    return given


def _as_raw(value: object) -> object:
    if isinstance(value, Rate | InvalidShare):
        return value
    if isinstance(value, Struct):
        return given_fields(value)
    if isinstance(value, dict):
        return {name: _as_raw(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_raw(item) if isinstance(item, Struct) else item for item in value]
    return value
