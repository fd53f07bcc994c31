"""The command line: arguments → Config → run; subcommands; exit codes."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from msgspec import Struct

from scaleout import compiled, demo, exits, loading, logs, processors, streams
from scaleout.arguments import add_no_envelope, number, number_or_auto, whole_number
from scaleout.config import Config, Endpoint
from scaleout.control.commands import SUBCOMMANDS as CONTROL_SUBCOMMANDS
from scaleout.deadletters import arguments as deadletters
from scaleout.deadletters import command as deadletters_command
from scaleout.errors import ConfigError, ControlError, Fault, MissingExtraError, SimulatorError, WorkerError
from scaleout.hints import did_you_mean
from scaleout.monitor import plain
from scaleout.runner import check_dead_letters, run_checked, worker_count
from scaleout.simulator import command as simulate
from scaleout.supervisor.reloading import Source
from scaleout.supervisor.status import Summary

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `scaleout` and `python -m scaleout`; exits with the run's code."""
    streams.fill_gaps()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in (*_SUBCOMMANDS, "-h", "--help", "--version"):
        arguments.insert(0, "run")
    try:
        namespace = _parse(arguments)
        command: Command = namespace.command
        code = command(namespace)
    except ConfigError as exc:
        for fault in exc.faults:
            streams.tell(f"scaleout: {fault}")
        code = exits.USAGE
    except MissingExtraError as exc:
        streams.tell(f"scaleout: {exc}")
        code = exits.USAGE
    except (OSError, ControlError, SimulatorError, WorkerError) as exc:
        streams.tell(f"scaleout: {exc}")
        code = exits.FAILED
    except KeyboardInterrupt:
        code = exits.FAILED
    finally:
        streams.let_go()
    sys.exit(code)


# run


def _run(namespace: argparse.Namespace) -> int:
    given, for_endpoints = _given(namespace, Config), _given(namespace, Endpoint)
    if namespace.demo:
        if namespace.source:
            raise ConfigError([_usage_fault("--demo", "brings its own feeds: leave the others out")])
        return demo.run(given, for_endpoints, _run_config)
    load = partial(_load, namespace.source, given, for_endpoints)
    source = Source(namespace.source[0], load) if _is_file(namespace.source) else None
    return _run_config(load(), source)


def _is_file(source: list[str]) -> bool:
    return len(source) == 1 and "://" not in source[0]


def _given(namespace: argparse.Namespace, keys_of: type[Struct]) -> dict[str, object]:
    """The keys of a configuration that options of the same name have set."""
    return {
        key: value
        for key in keys_of.__struct_fields__
        if (value := getattr(namespace, key, None)) is not None
    }


def _load(source: list[str], given: dict[str, object], for_endpoints: dict[str, object]) -> Config:
    if not source:
        problem = "nothing to run: give a configuration file, or URIs (ws://… or wss://…), or --demo"
        raise ConfigError([_usage_fault("", problem)])
    options = {"overrides": given, "endpoint_overrides": for_endpoints, "import_processors": True}
    if any("://" in item for item in source):
        return loading.from_uris(source, **options)  # type: ignore[arg-type]
    hint = did_you_mean(source[0], _SUBCOMMANDS)
    if hint and not Path(source[0]).exists():
        raise ConfigError([_usage_fault(source[0], f"neither a command nor a file{hint}")])
    if len(source) > 1:
        raise ConfigError([_usage_fault("", f"one configuration file at a time, found {len(source)}")])
    return loading.load(source[0], **options)  # type: ignore[arg-type]


def _usage_fault(key: str, problem: str) -> Fault:
    return Fault(loading.COMMAND_LINE, key, problem)


def _run_config(config: Config, source: Source | None = None) -> int:
    """Run a checked configuration with its view, and turn its end into an exit code."""
    logs.configure(config.log_level, config.log_format, config.secrets)
    shows = config.view == "plain" or (config.view == "auto" and sys.stderr.isatty())
    watch = partial(plain.watch, out=sys.stderr) if shows else None
    summary = run_checked(config, watch, partial(_show, view=config.view), source)
    return exits.OK if summary.balanced else exits.UNACCOUNTED


def _show(summary: Summary, view: str) -> None:
    if view != "none":
        streams.tell(f"\n{plain.final_table(summary)}")
    elif not summary.balanced:
        streams.tell(f"scaleout: {plain.verdict(summary)}")


# check


def _check(namespace: argparse.Namespace) -> int:
    config = loading.load(namespace.config, import_processors=True)
    check_dead_letters(config)
    report = loading.report(config, processors.load_processors(config), worker_count(config))
    with contextlib.suppress(BrokenPipeError):  # `| head` has seen enough
        streams.show(report, sys.stdout)
    return exits.OK


# Arguments


_ABOUT_ONE = re.compile(r"argument (\S+): (.*)")
_NO_CHOICE = re.compile(r"invalid choice: (.*) \(choose from (.*)\)")
"""As argparse words them."""


class _Parser(argparse.ArgumentParser):
    """Reports bad usage as every other fault is reported: in one line."""

    @property
    def options(self) -> list[str]:
        """Every spelling of every option."""
        return list(self._option_string_actions)

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong."""
        hint = f"(see {self.prog} --help)"
        match = _ABOUT_ONE.fullmatch(message)
        if match is None:
            raise ConfigError([_usage_fault("", f"{message} {hint}")])
        problem = _NO_CHOICE.sub(r"expected one of \2, found \1", match[2])
        raise ConfigError([_usage_fault(match[1], f"{problem} {hint}")])


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    namespace, unknown = parser.parse_known_args(arguments)
    if unknown:
        raise ConfigError([_usage_fault(each, _unknown(each, namespace.options)) for each in unknown])
    return namespace


def _unknown(argument: str, options: Sequence[str]) -> str:
    if not argument.startswith("-"):
        return "one argument too many"
    return f"unknown option{did_you_mean(argument, options)}"


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="scaleout",
        description="Consume many high-volume WebSocket feeds on all cores, without losing count of a message.",
        epilog="Without a command, `run` is meant: scaleout --workers 4 feeds.toml",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="say which version this is")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (add_arguments, command, summary) in _SUBCOMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        add_arguments(sub)
        sub.set_defaults(command=command, options=sub.options)
    return parser


class _ShowVersion(argparse.Action):
    """Says the version when it is asked for: finding it out takes as long as parsing all else."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"scaleout {_version()}")
        parser.exit()


def _version() -> str:
    form = "compiled" if compiled.ARE_COMPILED else "not compiled: slower"
    try:
        return f"{metadata.version('scaleout')} ({form})"
    except metadata.PackageNotFoundError:
        return f"(not installed, {form})"


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "source",
        nargs="*",
        metavar="CONFIG | URI",
        help="a TOML or JSON file, or the feeds' ws:// or wss:// URIs",
    )
    add("--demo", action="store_true", help="run on a built-in feed simulator, with nothing to set up")
    add(
        "--workers",
        type=number_or_auto,
        metavar="N|auto",
        help="worker processes; auto: by the load (default: as many as cores, or as endpoints if they are fewer)",
    )
    add("--processor", metavar="MODULE:FUNCTION", help="what each message goes through, for all endpoints")
    add(
        "--subscribe",
        action="append",
        metavar="TEXT",
        help="message to send after every connect; repeatable",
    )
    add(
        "--sink",
        action="append",
        metavar="URI",
        help="where results go: a path, - for standard output, file:PATH?rotate_size=1GiB, null:; repeatable",
    )
    add_no_envelope(parser)
    add("--duration", type=number, metavar="SECONDS", help="stop reading after that time")
    add(
        "--limit",
        type=whole_number,
        metavar="MESSAGES",
        help="stop reading after so many messages over all endpoints",
    )
    add("--summary", metavar="FILE", help="write the books as JSON at the end")
    add("--dead-letters", metavar="FILE", help="keep messages that can't be processed, for `deadletters`")
    add("--control", metavar="PATH", help="socket for commands to the live run, such as `scaleout status`")
    add(
        "--view",
        choices=("auto", "plain", "none"),
        help="a line a second and a table at the end (default: auto, the line on a terminal alone)",
    )
    add(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        help="of what standard error tells (default: info)",
    )
    add("--log-format", choices=("text", "json"), help="a line of text or a JSON object (default: text)")


def _add_check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="a TOML or JSON file")


_SUBCOMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], Command, str]] = {
    "run": (_add_run_arguments, _run, "Consume feeds until they end, or until a signal."),
    "check": (
        _add_check_arguments,
        _check,
        "Validate a configuration without connecting, and show what would run.",
    ),
    "simulate": (
        simulate.add_arguments,
        simulate.run,
        "Serve simulated feeds on loopback, for tests, demos and load.",
    ),
    "deadletters": (
        deadletters.add_arguments,
        deadletters_command.run,
        "List, show, retry, discard, export and count messages that could not be processed.",
    ),
    **CONTROL_SUBCOMMANDS,
}
