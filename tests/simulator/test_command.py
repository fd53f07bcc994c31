"""`simulate`: arguments → configuration; what it prints; how it ends."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scaleout.simulator.command import add_arguments, config_from, configuration
from scaleout.simulator.config import SimulatorConfig, plan_endpoints
from scaleout.simulator.dialogue import Dialogue
from scaleout.simulator.faults import Faults
from scaleout.simulator.rates import RateChange
from scaleout.simulator.recording import Recording, save_recording
from scaleout.simulator.server import EndpointAddress

_RUN = (sys.executable, "-m", "scaleout", "simulate")


def parsed(*arguments: str) -> SimulatorConfig:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return config_from(parser.parse_args(arguments))


def test_without_arguments_it_is_the_default() -> None:
    assert parsed() == SimulatorConfig()


def test_arguments_become_the_configuration() -> None:
    arguments = "--endpoints 3 --dialect okx --rate 10.5 --zipf 0 --change 5:2 --change 9:0.5:1 --tls"
    faults = "--fault disconnect_every_s=1.5 --fault disconnect=reset --fault retry_after_s=3"
    said = "--dialogue heartbeat_every_s=1 --dialogue test_request=huobi --differs"
    config = parsed(*arguments.split(), *faults.split(), *said.split())
    assert config == SimulatorConfig(
        endpoints=3,
        dialect="okx",
        rate=10.5,
        zipf=0.0,
        changes=(RateChange(5.0, 2.0), RateChange(9.0, 0.5, 1)),
        tls=True,
        differs=True,
        dialogue=Dialogue(heartbeat_every_s=1.0, test_request="huobi"),
        faults=Faults(disconnect_every_s=1.5, disconnect="reset", retry_after_s=3),
    )


def test_zeros_are_kept(tmp_path: Path) -> None:
    path = save_recording(tmp_path, Recording("feed", False, [b"{}"], [0]))
    config = parsed("--replay", str(path), "--speed", "0", "--seed", "0")
    assert (config.speed, config.seed, config.replay) == (0.0, 0, (str(path),))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--fault", "disconect_after=3"], "did you mean disconnect_after?"),
        (["--fault", "bad_frame=masks"], "Invalid enum value"),
        (["--dialogue", "idle_cut=3"], "did you mean idle_cut_s?"),
        (["--fault", "disconnect_after=often"], "Expected `int`"),
        (["--change", "soon"], "expected AT:FACTOR"),
        (["--replay", "none.jsonl.gz"], "there is no file none.jsonl.gz"),
        (["--replay", "feed.txt"], "expected a file that ends in"),
        (["--dialect", "klingon"], "invalid choice"),
    ],
)
def test_bad_arguments_are_said(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(*arguments)
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


def test_the_printed_configuration_names_every_endpoint() -> None:
    plans = plan_endpoints(SimulatorConfig(endpoints=2, dialect="kraken"))
    addresses = [EndpointAddress(plan.name, f"wss://127.0.0.1:1{plan.path}") for plan in plans]
    printed = tomllib.loads(configuration(plans, addresses, '/a "b"/ca.pem'))
    assert printed["defaults"] == {"proxy": False, "tls": {"ca": '/a "b"/ca.pem'}}
    assert [(entry["name"], entry["uri"]) for entry in printed["endpoints"]] == addresses
    assert '"BTC/USD"' in printed["endpoints"][0]["subscribe"][0]


def test_binary_recordings_are_said_to_be_binary() -> None:
    plans = plan_endpoints(SimulatorConfig(replay=("/a/feed.b64.gz",)))
    printed = tomllib.loads(configuration(plans, [EndpointAddress("feed", "ws://127.0.0.1:1/feed/0")], None))
    assert printed["endpoints"] == [{"name": "feed", "uri": "ws://127.0.0.1:1/feed/0", "format": "binary"}]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_configuration_serves_and_ends_quietly(number: signal.Signals) -> None:
    with subprocess.Popen(
        [*_RUN, "--endpoints", "3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        process.send_signal(number)
        printed, rest = process.communicate(timeout=10)
    assert (process.returncode, rest) == (0, "")
    assert said.startswith("simulate: 3 endpoints on ws://127.0.0.1:")
    assert len(tomllib.loads(printed)["endpoints"]) == 3


def test_values_that_cannot_be_end_with_2() -> None:
    ended = subprocess.run([*_RUN, "--message-size", "3"], capture_output=True, text=True, timeout=20)
    assert ended.returncode == 2
    assert ended.stderr == "scaleout: simulator: message_size: expected at least 60 bytes, found 3\n"
