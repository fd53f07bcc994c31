"""A configuration while it is made: checked as a whole, with every fault in one error."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from scaleout import hooks
from scaleout.config import TLS, Config, Endpoint
from scaleout.errors import ConfigError, Fault
from scaleout.loading.combinations import contradictions
from scaleout.loading.keys import ENDPOINT_KEYS, RUN_KEYS
from scaleout.loading.parsing import Table
from scaleout.loading.reading import BAD, Reader, Reading, found, join
from scaleout.monitor.text import printable
from scaleout.processors import load_or_explain
from scaleout.secrets import Redactor
from scaleout.signatures import Processor
from scaleout.sinks import path_of_sink

COMMAND_LINE = "command line"


def derive_name(uri: str) -> str:
    """Name an endpoint after its URI: host, port and path, without user information and query."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri.partition("?")[0]
    return (parts.netloc.rpartition("@")[2] + parts.path).rstrip("/")


class Draft:
    """A configuration while it is read: its sources, and the faults and secrets found so far.

    Args:
        source: what faults call it.
        environment: what `${NAME}` is replaced from; None takes every text as it is.
        import_processors: also import every processor, for the faults to include theirs.
        secrets: those that are known already.
    """

    def __init__(
        self,
        source: str,
        environment: Mapping[str, str] | None,
        import_processors: bool,
        secrets: Iterable[str] = (),
    ) -> None:
        self.source = source
        self._imports_processors = import_processors
        self.faults: list[Fault] = []
        self.secrets = dict.fromkeys(secrets)
        problem = functools.cache(_function_problem) if import_processors else _unchecked
        self.file, self.command_line = (
            Reading(each, environment, self.faults, self.secrets, problem) for each in (source, COMMAND_LINE)
        )

    def finish(self, raw: Table | None, overrides: Table | None, endpoint_overrides: Table | None) -> Config:
        """Read everything and make the configuration of it.

        Args:
            raw: the file's table; None where that fault is reported already.

        Raises:
            ConfigError: there were faults.
        """
        values: dict[str, object] = {}
        if raw is not None and not isinstance(raw, Mapping):
            self.file.fault("", f"expected a table, found {found(raw)}")
            raw = None
        if raw is not None:
            values = self._run_keys(raw)
        values |= self.command_line.table(overrides or {}, "", RUN_KEYS)
        self._check_files(values)
        endpoints = self._endpoints(raw, endpoint_overrides or {})
        self._check_workers(values, endpoints)
        if self.faults:
            redact = Redactor(self.secrets)
            unique = dict.fromkeys(
                Fault(each.source, each.key, printable(redact(each.problem))) for each in self.faults
            )
            raise ConfigError(tuple(unique))
        return Config(endpoints=endpoints, secrets=tuple(self.secrets), **values)  # type: ignore[arg-type]

    def _run_keys(self, raw: Table) -> dict[str, object]:
        misplaced = [name for name in raw if name in ENDPOINT_KEYS]
        for name in misplaced:
            self.file.fault(
                join("", name), "is a key of an endpoint: it belongs in [defaults] or [[endpoints]]"
            )
        ours = {name: value for name, value in raw.items() if name not in misplaced}
        known: dict[str, Reader] = {**RUN_KEYS, "defaults": _read_elsewhere, "endpoints": _read_elsewhere}
        return self.file.table(ours, "", known)

    def _endpoint_keys(self, raw: object, key: str) -> dict[str, object]:
        if not isinstance(raw, Mapping):
            return self.file.table(raw, key, ENDPOINT_KEYS)
        misplaced = [name for name in raw if name in RUN_KEYS]
        for name in misplaced:
            self.file.fault(join(key, name), "is a key of the whole run: it belongs above the first [table]")
        ours = {name: value for name, value in raw.items() if name not in misplaced}
        return self.file.table(ours, key, ENDPOINT_KEYS)

    def _endpoints(self, raw: Table | None, overrides: Table) -> tuple[Endpoint, ...]:
        override_values = self.command_line.table(overrides, "", ENDPOINT_KEYS)
        if raw is None:
            return ()
        raw_defaults = raw.get("defaults")
        defaults = {} if raw_defaults is None else self._endpoint_keys(raw_defaults, "defaults")
        merged = []
        for index, table in enumerate(self._tables(raw)):
            key = f"endpoints[{index}]"
            own = self._endpoint_keys(table, key)
            values = {**defaults, **own, **override_values}
            self._check_tls(values, own, key)
            for name, problem in contradictions(values):
                self.file.fault(join(key, name), problem)
            self._check_processors(values, key)
            layers = [each for each in (raw_defaults, table, overrides) if isinstance(each, Mapping)]
            uri = next((layer["uri"] for layer in reversed(layers) if layer.get("uri") is not None), None)
            if uri is None and isinstance(table, Mapping):
                self.file.fault(join(key, "uri"), "expected a ws:// or wss:// URI, found nothing")
            merged.append((values, uri))
        return self._named(merged)

    def _tables(self, raw: Table) -> Sequence[object]:
        tables = raw.get("endpoints")
        if tables is None or tables == [] or tables == ():
            if self.source == COMMAND_LINE:
                self.file.fault("", "nothing to do: give a configuration file or URIs")
            else:
                self.file.fault("endpoints", "nothing to do: expected an endpoint")
            return ()
        if not isinstance(tables, list | tuple):
            self.file.fault(
                "endpoints", f"expected an array of tables ([[endpoints]]), found {found(tables)}"
            )
            return ()
        return tables

    def _named(self, merged: list[tuple[dict[str, object], object]]) -> tuple[Endpoint, ...]:
        """Make the endpoints, each with a name of its own."""
        places: dict[object, str] = {}
        for index, (values, _) in enumerate(merged):
            name = values.get("name")
            place = f"endpoints[{index}]"
            if name in places:
                self.file.fault(
                    join(place, "name"), f"expected a unique name, found {name!r}, as in {places[name]}"
                )
            elif name is not None:
                places[name] = place
        endpoints = []
        for index, (values, uri) in enumerate(merged):
            if "name" not in values:
                name = self._derived(uri, places)
                places[name] = f"endpoints[{index}]"
                values["name"] = name
            if "uri" in values:
                endpoints.append(Endpoint(**values))  # type: ignore[arg-type]
        return tuple(endpoints)

    def _derived(self, uri: object, taken: Mapping[object, str]) -> str:
        base = derive_name(uri) if isinstance(uri, str) else "endpoint"
        if self.file.environment is not None:
            base = base.replace("$$", "$")
        name, count = base, 1
        while name in taken:
            count += 1
            name = f"{base}-{count}"
        return name

    def _check_tls(self, values: dict[str, object], own: dict[str, object], key: str) -> None:
        uri = values.get("uri")
        if not isinstance(uri, str) or not uri.lower().startswith("ws:"):
            return
        if own.get("tls", TLS()) != TLS():
            self.file.fault(join(key, "tls"), "expected no tls on a ws:// URI: use wss://, or leave it out")
        # Defaults are for all endpoints, and this one has no use for them.
        values.pop("tls", None)

    def _check_processors(self, values: dict[str, object], key: str) -> None:
        """A processor whose calls are awaited can't be spread over helper processes."""
        spec = values.get("processor")
        if not self._imports_processors or not values.get("processors") or not isinstance(spec, str):
            return
        loaded = load_or_explain(spec)
        if isinstance(loaded, Processor) and (loaded.is_async or loaded.is_async_generator):
            place = join(key, "processors")
            self.file.fault(place, f"works with plain functions, and {spec} is async: leave it out")

    def _check_workers(self, values: dict[str, object], endpoints: Sequence[Endpoint]) -> None:
        """An endpoint that is to have a worker of its own choice needs one that there is."""
        workers = values.get("workers")
        if not isinstance(workers, int):
            return
        for index, endpoint in enumerate(endpoints):
            if endpoint.worker is not None and endpoint.worker >= workers:
                place = f"endpoints[{index}].worker"
                ids = "0" if workers == 1 else f"0 to {workers - 1}"
                self.file.fault(
                    place, f"expected the id of a worker, of which there are {ids}, found {endpoint.worker}"
                )

    def _check_files(self, values: dict[str, object]) -> None:
        """Every file the run writes must be a file of its own."""
        sinks = values.get("sink", ())
        assert isinstance(sinks, tuple)
        uses = [(f"sink[{index}]", sink) for index, sink in enumerate(sinks)]
        keys = ("summary", "dead_letters", "state", "control")
        uses += [(key, Path(str(values[key]))) for key in keys if key in values]
        first: dict[object, str] = {}
        if self.file.environment is not None and self.source != COMMAND_LINE:
            first[_place(Path(self.source))] = "the configuration"
        for key, file in uses:
            place = _place(file if isinstance(file, Path) else path_of_sink(file) or file)
            if place in first:
                self.file.fault(key, f"expected a file of its own, found that of {first[place]}")
            first.setdefault(place, key)
        if "sink" in values and not sinks:
            self.file.fault(
                "sink", 'expected at least one sink (or "-" for standard output), found an empty array'
            )


def _place(file: str | Path) -> object:
    """What is the same for all names of a file."""
    return file.resolve() if isinstance(file, Path) else file


def _read_elsewhere(reading: Reading, raw: object, key: str) -> object:
    return BAD


def _function_problem(role: str, spec: str) -> str | None:
    if role != "processor":
        return hooks.problem_of(role, spec)
    loaded = load_or_explain(spec)
    return loaded if isinstance(loaded, str) else None


def _unchecked(role: str, spec: str) -> None:
    return None
