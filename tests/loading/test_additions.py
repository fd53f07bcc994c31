"""Endpoints for a live run: what is taken for them, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaleout.errors import ConfigError
from scaleout.loading import endpoints_from_file, endpoints_from_tables, endpoints_from_toml


def faults_of(text: str, **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        endpoints_from_toml(text, "text", environment=environment)
    return list(map(str, caught.value.faults))


def test_a_table_with_defaults() -> None:
    config = endpoints_from_toml(
        '[defaults]\nweight = 2\n[[endpoints]]\nuri = "ws://h/a"\n[[endpoints]]\nuri = "ws://h/b"', "text"
    )
    assert [(each.name, each.weight) for each in config.endpoints] == [("h/a", 2.0), ("h/b", 2.0)]


def test_the_keys_of_one_endpoint() -> None:
    config = endpoints_from_toml(
        'uri = "ws://${HOST}/a"\n[backoff]\ninitial = "1s"', "text", environment={"HOST": "h123"}
    )
    (endpoint,) = config.endpoints
    assert (endpoint.uri, endpoint.backoff.initial) == ("ws://h123/a", 1.0)
    assert config.secrets == ("h123",)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("more.toml", '[[endpoints]]\nuri = "ws://h/a"'),
        ("more.json", '{"endpoints": [{"uri": "ws://h/a"}]}'),
        ("one.json", '{"uri": "ws://h/a"}'),
    ],
)
def test_files(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert [endpoint.uri for endpoint in endpoints_from_file(path).endpoints] == ["ws://h/a"]


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"more\.toml: can't be read: No such file"):
        endpoints_from_file(tmp_path / "more.toml")
    with pytest.raises(ConfigError, match=r"expected a name that ends in \.toml or \.json"):
        endpoints_from_file(tmp_path / "more.yaml")


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ["text: endpoints: nothing to do: expected an endpoint"]),
        ("[defaults]\nweight = 1", ["text: endpoints: nothing to do: expected an endpoint"]),
        ('urii = "ws://h/"', [
            'text: urii: unknown key; did you mean "uri"?',
            "text: uri: expected a ws:// or wss:// URI, found nothing",
        ]),
        ('uri = "ws://${NO}/"', ["text: uri: the environment variable NO isn't set"]),
        ('[[endpoints]]\nuri = "ws://h/"\nlinger = -1', [
            "text: endpoints[0].linger: expected 0 seconds or more, found -1",
        ]),
        ('workers = 2\nuri = "ws://h/"', [
            "text: workers: is a key of the whole run, which goes on as it is: leave it out",
        ]),
        ("workers = 2", [
            "text: workers: is a key of the whole run, which goes on as it is: leave it out",
            "text: endpoints: nothing to do: expected an endpoint",
        ]),
    ],
)  # fmt: skip
def test_faults(text: str, faults: list[str]) -> None:
    assert faults_of(text) == faults


def test_no_toml() -> None:
    (fault,) = faults_of("uri =")
    assert fault.startswith("text: isn't valid TOML: ")
    (fault,) = faults_of("x = " + "[" * 5_000)
    assert fault.startswith("text: ")


def test_tables_of_another_process() -> None:
    config = endpoints_from_tables([{"uri": "ws://h/$${x}", "name": "a"}], "f", ["hunter22"])
    assert [endpoint.uri for endpoint in config.endpoints] == ["ws://h/$${x}"], "variables have been replaced"
    with pytest.raises(ConfigError) as caught:
        endpoints_from_tables([{"uri": "ws://h/", "processor": "nosuch.hunter22:f"}], "f", ["hunter22"])
    (fault,) = caught.value.faults
    assert (fault.source, fault.key) == ("f", "endpoints[0].processor")
    assert "no module named 'nosuch'" in fault.problem and "hunter22" not in fault.problem
