"""`python -m scaleout simulate`: a feed server on loopback, and the configuration to consume it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from scaleout import signals
from scaleout.arguments import number, whole_number
from scaleout.errors import ConfigError, SimulatorError
from scaleout.hints import did_you_mean
from scaleout.simulator.config import MIXED, EndpointPlan, SimulatorConfig, plan_endpoints
from scaleout.simulator.dialects import dialect, dialect_names
from scaleout.simulator.dialogue import Dialogue
from scaleout.simulator.faults import Faults
from scaleout.simulator.process import SimulatorProcess
from scaleout.simulator.rates import RateChange
from scaleout.simulator.recording import is_binary_recording, recording_name
from scaleout.simulator.server import EndpointAddress

_KNOBS: tuple[tuple[str, type[Faults] | type[Dialogue], str], ...] = (
    ("fault", Faults, "what goes wrong"),
    ("dialogue", Dialogue, "what is said besides data"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell a parser what `simulate` takes."""
    _add_feed_arguments(parser)
    _add_server_arguments(parser)


def _add_feed_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("feeds").add_argument
    add("--endpoints", type=whole_number, metavar="N", help="how many there are (default: 24)")
    add("--dialect", choices=(*dialect_names(), MIXED), help="whose messages they send (default: trade)")
    add("--message-size", type=whole_number, metavar="BYTES", help="size of a trade, from 60 (default: 131)")
    add("--rate", type=number, metavar="MESSAGES", help="a second, of all endpoints together (default: 5000)")
    add("--zipf", type=number, metavar="EXPONENT", help="unevenness of rates; 0: equal (default: 1.2)")
    add(
        "--change",
        dest="changes",
        action="append",
        type=_rate_change,
        metavar="AT:FACTOR[:ENDPOINT]",
        help="multiply the first rates of all endpoints, or of one, from AT seconds on; repeatable",
    )
    add("--shuffle-every", type=number, metavar="SECONDS", help="deal the rates to the endpoints anew")
    add("--firehose", action="store_true", help="trades as fast as each client reads")
    add("--replay", nargs="+", type=_recording, metavar="FILE", help="send recorded messages instead")
    add(
        "--speed",
        type=number,
        metavar="FACTOR",
        help="of a replay; 0: as fast as each client reads (default: 1)",
    )
    add("--resume", action="store_true", help="go on where an endpoint's last connection ended")
    add("--count", type=whole_number, metavar="N", help="end each endpoint after N messages")
    add("--at-end", choices=("close", "hold"), help="what comes after the last message (default: close)")
    add(
        "--start",
        choices=("connection", "server"),
        help="when a feed begins: with each connection, or with the server (default: connection)",
    )
    add("--await-subscribe", action="store_true", help="send data only after a client's message")
    add("--shift", type=number, metavar="SECONDS", help="connections see a feed up to so much late")
    add("--differs", action="store_true", help="messages hold their connection's number")
    add("--lossless", action="store_true", help="let slow clients fall behind instead of cutting them")


def _add_server_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("server").add_argument
    add("--host", metavar="ADDRESS", help="where to listen (default: 127.0.0.1)")
    add(
        "--port",
        type=whole_number,
        metavar="N",
        help="the first process's; the next ones take the next (default: free ones)",
    )
    add("--processes", type=whole_number, metavar="N", help="how many share the endpoints (default: 1)")
    add("--tls", action="store_true", help="serve wss:// with a certificate made at start")
    add("--compression", action="store_true", help="compress messages for clients that offer it")
    add("--seed", type=whole_number, metavar="N", help="of everything random (default: 1)")
    for option, knobs, what in _KNOBS:
        add(
            f"--{option}",
            dest=knobs.__name__.lower(),
            action="append",
            type=functools.partial(_knob, knobs),
            metavar="NAME=VALUE",
            help=f"{what}; repeatable; names: {', '.join(knobs.__struct_fields__)}",
        )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM, or until nobody takes the configuration that is printed first.

    Returns:
        The exit code: 0.

    Raises:
        ConfigError: the arguments can't be.
        MissingExtraError: TLS is wanted and the library that makes certificates isn't installed.
        SimulatorError: a process couldn't start, or has died.
    """
    config = config_from(args)
    with contextlib.suppress(BrokenPipeError):
        asyncio.run(_serve(config))
    return 0


def config_from(args: argparse.Namespace) -> SimulatorConfig:
    """The configuration that parsed arguments ask for.

    Raises:
        ConfigError: values that can't be.
    """
    given = {
        name: value
        for name in SimulatorConfig.__struct_fields__
        if (value := getattr(args, name, None)) is not None and value is not False
    }
    for _, knobs, _ in _KNOBS:
        given[knobs.__name__.lower()] = dict(given.get(knobs.__name__.lower(), ()))
    return msgspec.convert(msgspec.to_builtins(given), SimulatorConfig)


def configuration(
    plans: Sequence[EndpointPlan], addresses: Sequence[EndpointAddress], ca_file: str | None
) -> str:
    """The configuration, in TOML, of a run that consumes these endpoints."""
    lines = ["[defaults]", "proxy = false"]
    if ca_file is not None:
        lines.append(f"tls = {{ca = {_quoted(ca_file)}}}")
    for plan, address in zip(plans, addresses, strict=True):
        lines += ["", "[[endpoints]]", f"name = {_quoted(address.name)}", f"uri = {_quoted(address.uri)}"]
        if plan.recording is None:
            lines.append(f"subscribe = [{_quoted(dialect(plan.dialect).subscribe(plan.index))}]")
        elif is_binary_recording(Path(plan.recording)):
            lines.append('format = "binary"')
    return "\n".join(lines) + "\n"


async def _serve(config: SimulatorConfig) -> None:
    stopping = asyncio.Event()
    with signals.stop_signals_call(stopping.set), SimulatorProcess(config) as simulator:
        print(
            configuration(plan_endpoints(config), simulator.endpoints, simulator.ca_file), end="", flush=True
        )
        bases = sorted({address.uri.rsplit("/feed/", 1)[0] for address in simulator.endpoints})
        count = len(simulator.endpoints)
        print(f"simulate: {count} endpoints on {', '.join(bases)}; Ctrl-C ends", file=sys.stderr, flush=True)
        waits = {asyncio.create_task(stopping.wait()), asyncio.create_task(simulator.died())}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    if not stopping.is_set():
        raise SimulatorError("a process that served endpoints has died")


def _quoted(text: str) -> str:
    """A TOML string; JSON's rules for strings are a part of TOML's."""
    return msgspec.json.encode(text).decode()


def _rate_change(text: str) -> RateChange:
    at_s, _, rest = text.partition(":")
    factor, _, endpoint = rest.partition(":")
    try:
        return RateChange(float(at_s), float(factor), int(endpoint) if endpoint else None)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected AT:FACTOR or AT:FACTOR:ENDPOINT, found {text!r}"
        ) from None


def _knob(knobs: type[Faults] | type[Dialogue], text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    known = knobs.__struct_fields__
    if name not in known:
        what = next(option for option, of, _ in _KNOBS if of is knobs)
        raise argparse.ArgumentTypeError(f"unknown {what} {name!r}{did_you_mean(name, known)}")
    try:
        return name, getattr(msgspec.convert({name: value}, knobs, strict=False), name)
    except msgspec.ValidationError as error:
        raise argparse.ArgumentTypeError(f"{name}: {str(error).partition(' - at ')[0]}") from None


def _recording(text: str) -> str:
    path = Path(text)
    try:
        recording_name(path)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return str(path.resolve())
