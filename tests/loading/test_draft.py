"""Configurations from files, mappings, URIs and Python."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout.config import TLS, Backoff, Config, Endpoint
from scaleout.errors import ConfigError
from scaleout.loading import check_config, derive_name, from_mapping, from_uris, load
from scaleout.loading.keys import ENDPOINT_KEYS, RUN_KEYS

URI = "wss://stream.example.org/ws"


def endpoint(**keys: object) -> dict[str, object]:
    return {"endpoints": [{"uri": URI, **keys}]}


def read(raw: Mapping[str, object], **environment: str) -> Config:
    return from_mapping(raw, "feeds.toml", environment=environment)


def faults(raw: Mapping[str, object], **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(raw, **environment)
    return str(caught.value).splitlines()


def fault(raw: Mapping[str, object], **environment: str) -> str:
    (line,) = faults(raw, **environment)
    return line.removeprefix("feeds.toml: ")


def test_every_field_has_a_key() -> None:
    assert set(ENDPOINT_KEYS) == set(Endpoint.__struct_fields__)
    assert {*RUN_KEYS, "endpoints", "secrets"} == set(Config.__struct_fields__)


def test_defaults_are_those_of_the_structs() -> None:
    config = read(endpoint(name="a"))
    assert config == Config(endpoints=(Endpoint(uri=URI, name="a"),))


def test_a_full_file(tmp_path: Path) -> None:
    file = tmp_path / "feeds.toml"
    certificate = tmp_path / "ca.pem"
    certificate.write_text("")
    file.write_text(
        f"""
        workers = 4
        sink = ["{tmp_path}/trades.jsonl", "-"]
        sink_backlog = "1MiB"
        envelope = false
        duration = "1.5m"
        limit = 1000
        summary = "{tmp_path}/summary.json"
        dead_letters = "{tmp_path}/dead.jsonl"
        view = "none"
        log_level = "debug"
        log_format = "json"
        heartbeat_timeout = 5
        drain_timeout = "10s"
        [defaults]
        linger = "10ms"
        backoff = {{initial = 1, maximum = "2m", factor = 3}}
        tls = {{ca = "{certificate}", verify = false}}
        [[endpoints]]
        name = "btc"
        uri = "wss://stream.example.org/ws"
        headers = {{Authorization = "Bearer ${{TOKEN}}"}}
        subprotocols = ["v1.json"]
        subscribe = ["hello", {{method = "SUBSCRIBE", params = ["btc@trade", "${{TOKEN}}"]}}]
        processor = "feeds:on_trade"
        max_message_size = "64KiB"
        weight = 2
        [[endpoints]]
        uri = "ws://stream.example.org/ws"
        linger = 0
        proxy = false
        """
    )
    config = load(file, environment={"TOKEN": "swordfish"})
    backoff = Backoff(initial=1.0, maximum=120.0, factor=3.0)
    btc, other = config.endpoints
    assert btc == Endpoint(
        name="btc",
        uri="wss://stream.example.org/ws",
        headers={"Authorization": "Bearer swordfish"},
        subprotocols=("v1.json",),
        subscribe=("hello", {"method": "SUBSCRIBE", "params": ["btc@trade", "swordfish"]}),
        processor="feeds:on_trade",
        max_message_size=65536,
        weight=2.0,
        linger=0.01,
        backoff=backoff,
        tls=TLS(ca=str(certificate), verify=False),
    )
    assert other == Endpoint(
        name="stream.example.org/ws",
        uri="ws://stream.example.org/ws",
        linger=0.0,
        proxy=False,
        backoff=backoff,
    )
    assert (config.workers, config.duration, config.limit, config.envelope) == (4, 90.0, 1000, False)
    assert config.sink_backlog == 2**20
    assert config.sink == (f"{tmp_path}/trades.jsonl", "-")
    assert config.secrets == ("swordfish",)


def test_json_has_the_same_keys_and_null_is_absent(tmp_path: Path) -> None:
    file = tmp_path / "feeds.json"
    file.write_text(
        json.dumps({"workers": None, "sink": "-", "endpoints": [{"uri": URI, "processor": None}]})
    )
    assert load(file) == Config(endpoints=(Endpoint(uri=URI, name="stream.example.org/ws"),))


def test_tables_are_replaced_whole() -> None:
    raw = {
        "defaults": {"headers": {"A": "1"}, "backoff": {"factor": 5}},
        "endpoints": [{"uri": URI, "headers": {"B": "2"}, "backoff": {"initial": 1}}],
    }
    (made,) = read(raw).endpoints
    assert made.headers == {"B": "2"}
    assert made.backoff == Backoff(initial=1)


def test_all_faults_at_once() -> None:
    raw = {
        "snik": "-",
        "workers": "many",
        "defaults": {"linger": "abc"},
        "endpoints": [{"uri": "http://x"}, {"uri": URI, "weight": 0, "tls": {"verfy": True}}, {}],
    }
    assert faults(raw) == [
        'feeds.toml: snik: unknown key; did you mean "sink"?',
        "feeds.toml: workers: expected a whole number of processes, 1 or more, or \"auto\", found 'many'",
        "feeds.toml: defaults.linger: expected a number of seconds or a text such as \"5ms\", found 'abc'",
        "feeds.toml: endpoints[0].uri: expected a ws:// or wss:// URI (scheme isn't ws or wss), found 'http://x'",
        "feeds.toml: endpoints[1].weight: expected a number greater than 0, found 0",
        'feeds.toml: endpoints[1].tls.verfy: unknown key; did you mean "verify"?',
        "feeds.toml: endpoints[2].uri: expected a ws:// or wss:// URI, found nothing",
    ]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("linger", True, 'expected a number of seconds or a text such as "5ms", found true'),
        ("linger", -1, "expected 0 seconds or more, found -1"),
        ("linger", float("nan"), 'expected a number of seconds or a text such as "5ms", found nan'),
        ("linger", float("inf"), 'expected a number of seconds or a text such as "5ms", found inf'),
        (
            "linger",
            10**500,
            'expected a number of seconds or a text such as "5ms", found a number of more than',
        ),
        ("open_timeout", 0, "expected more than 0 seconds, found 0"),
        ("open_timeout", "99999d", "expected 100 years or less"),
        ("weight", -1, "expected a number greater than 0, found -1"),
        ("weight", True, "expected a number greater than 0, found true"),
        ("max_message_size", 0, "expected more than 0 bytes, found 0"),
        ("max_message_size", 1.5, 'expected a whole number of bytes or a text such as "4MiB", found 1.5'),
        ("max_message_size", "4MB/s", 'expected a whole number of bytes or a text such as "4MiB", found'),
        ("format", "xml", 'expected "json" or "text" or "binary", found \'xml\''),
        ("reconnect", 1, 'expected "always" or "on_error" or "never", found 1'),
        ("compression", True, 'expected "off" or "deflate", found true'),
        ("name", "", "expected a text on one line, found ''"),
        ("name", "a\nb", "expected a text on one line, found 'a\\nb'"),
        ("uri", 5, "expected a ws:// or wss:// URI, found 5"),
        ("uri", "wss://", "expected a ws:// or wss:// URI (hostname isn't provided), found 'wss://'"),
        ("uri", "ws://h:0/", "expected a ws:// or wss:// URI (invalid port), found 'ws://h:0/'"),
        ("uri", "ws://h:70000/", "expected a ws:// or wss:// URI (invalid port), found 'ws://h:70000/'"),
        ("uri", "ws://h:x/", "expected a ws:// or wss:// URI (invalid port), found 'ws://h:x/'"),
        ("uri", "ws://h/#a", "expected a ws:// or wss:// URI (fragment identifier is meaningless), found"),
        ("uri", "ws://[h/", "expected a ws:// or wss:// URI (invalid host or user information), found"),
        ("uri", "ws://h/a b", "expected a ws:// or wss:// URI without spaces and control characters, found"),
        ("uri", "ws://u:secret@h/#a", "found 'ws://***@h/#***'"),
        ("subprotocols", "v1", "expected an array of texts, found 'v1'"),
        ("subscribe", "hello", "expected an array of texts, tables and arrays, found 'hello'"),
        ("headers", ["A: b"], "expected a table of header names and values, found an array"),
        ("backoff", 5, "expected a table, found 5"),
        ("backoff", {"initial": 90}, "expected maximum (60 s) to be at least initial (90 s)"),
        ("processor", "feeds", "expected MODULE:FUNCTION such as \"feeds:on_trade\", found 'feeds'"),
        (
            "proxy",
            "ftp://h",
            "expected true, false, or an http://, https://, socks4:// or socks5:// URI, found",
        ),
        ("proxy", "http://u@h", "(username provided without password), found 'http://***@h'"),
        ("proxy", 1, "expected true, false, or an http://"),
        ("sink", "-", "is a key of the whole run: it belongs above the first [table]"),
    ],
)
def test_faults_of_an_endpoint(key: str, value: object, expected: str) -> None:
    line = fault(endpoint(**{key: value}))
    assert line.startswith(f"endpoints[0].{key}: ")
    assert expected in line


@pytest.mark.parametrize(
    ("keys", "place", "expected"),
    [
        ({"backoff": {"initial": 0}}, "backoff.initial", "expected more than 0 seconds, found 0"),
        ({"backoff": {"factor": 0.5}}, "backoff.factor", "expected a number, 1 or more, found 0.5"),
        ({"backoff": {"fctor": 2}}, "backoff.fctor", 'unknown key; did you mean "factor"?'),
        ({"backoff": {"zzz": 2}}, "backoff.zzz", "unknown key; known are initial, maximum, factor"),
        ({"headers": {"A B": "c"}}, 'headers."A B"', "expected a header's name"),
        ({"headers": {"A": "b\r\nC: d"}}, "headers.A", "expected a text on one line, found '…'"),
        ({"headers": {"A": 1}}, "headers.A", "expected a text on one line, found 1"),
        ({"subprotocols": ["a b"]}, "subprotocols[0]", "expected a subprotocol's name"),
        ({"subscribe": ["a", 1]}, "subscribe[1]", "expected a text, a table or an array, found 1"),
        ({"subscribe": [{"a": float("nan")}]}, "subscribe[0]", "expected what JSON can say, found nan"),
        ({"subscribe": [{"a": 2**70}]}, "subscribe[0]", "found a number of more than 64 bits"),
        ({"subscribe": [{"a": "\ud800"}]}, "subscribe[0]", "half of a surrogate pair"),
        ({"tls": {"ca": "/no/such/file"}}, "tls.ca", "expected a file that exists, found '/no/such/file'"),
        ({"tls": {"key": __file__}}, "tls.cert", "expected the certificate that tls.key belongs to"),
        ({"max-message-size": 5}, "max-message-size", 'unknown key; did you mean "max_message_size"?'),
        ({"\n": 5}, '"\\n"', "unknown key"),
    ],
)
def test_faults_within_an_endpoint(keys: dict[str, object], place: str, expected: str) -> None:
    line = fault(endpoint(**keys))
    assert line.startswith(f"endpoints[0].{place}: ")
    assert expected in line


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("workers", 0, 'expected a whole number of processes, 1 or more, or "auto", found 0'),
        ("pin", "yes", "expected true or false, found 'yes'"),
        ("pin", 1, "expected true or false, found 1"),
        ("workers", 2.0, 'expected a whole number of processes, 1 or more, or "auto", found 2.0'),
        ("limit", 0, "expected a whole number of messages, 1 or more, found 0"),
        ("duration", 0, "expected more than 0 seconds, found 0"),
        ("envelope", "no", "expected true or false, found 'no'"),
        ("sink", [], "expected at least one sink"),
        ("sink", 5, "expected a text or an array of texts, found 5"),
        ("sink", "nonsense:x", "unknown kind of sink"),
        ("summary", "/no/such/directory/file", "expected a file in a directory that exists, found"),
        ("dead_letters", "/", "expected the name of a file, not of a directory, found '/'"),
        ("log_level", "loud", 'expected "debug" or "info" or "warning" or "error", found \'loud\''),
        ("linger", 5, "is a key of an endpoint: it belongs in [defaults] or [[endpoints]]"),
        ("secrets", ["a"], "unknown key"),
        ("defaults", [], "expected a table, found an array"),
    ],
)
def test_faults_of_the_run(key: str, value: object, expected: str) -> None:
    line = fault({key: value, **endpoint()})
    assert line.startswith(f"{key}: ")
    assert expected in line


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        ([], "endpoints: nothing to do: expected an endpoint"),
        (None, "endpoints: nothing to do: expected an endpoint"),
        ({}, "endpoints: expected an array of tables ([[endpoints]]), found a table"),
        (["wss://h"], "endpoints[0]: expected a table, found 'wss://h'"),
        ([None], "endpoints[0]: expected a table, found null"),
    ],
)
def test_faults_of_the_list_of_endpoints(endpoints: object, expected: str) -> None:
    assert fault({"endpoints": endpoints}).startswith(expected)


def test_one_file_for_two_uses() -> None:
    raw = {"sink": ["a.jsonl", "a.jsonl"], "summary": "a.json", "dead_letters": "a.json", **endpoint()}
    assert faults(raw) == [
        "feeds.toml: sink[1]: expected a file of its own, found that of sink[0]",
        "feeds.toml: dead_letters: expected a file of its own, found that of summary",
    ]


@pytest.mark.parametrize(
    ("key", "place"),
    [("sink", "sink[0]"), ("summary", "summary"), ("dead_letters", "dead_letters")],
)
def test_the_state_file_is_a_file_of_its_own(key: str, place: str) -> None:
    raw = {key: "a.jsonl", "state": "./a.jsonl", **endpoint()}
    assert fault(raw) == f"state: expected a file of its own, found that of {place}"


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"heartbeat": {"match": {}}}, "heartbeat.match"),
        ({"goodbye": []}, "goodbye"),
        ({"ready": {"match": {}}}, "ready.match"),
        ({"reply": [{"match": [], "send": "x"}]}, "reply[0].match"),
    ],
)
def test_a_pattern_that_matches_everything_is_a_mistake(keys: dict[str, object], key: str) -> None:
    assert fault(endpoint(**keys)).startswith(
        f"endpoints[0].{key}: expected what the message contains, found a"
    )


@pytest.mark.parametrize("host", ["h:0", "h:65536"])
def test_the_port_of_a_budget_is_one(host: str) -> None:
    assert fault({"hosts": {host: {}}, **endpoint()}).startswith(f'hosts."{host}": expected a host')


def test_a_host_has_one_budget() -> None:
    raw = {"hosts": {"Example.org": {}, "example.org": {}}, **endpoint()}
    assert fault(raw) == 'hosts."example.org": expected each host once'


def test_a_sink_is_the_same_file_by_any_of_its_names() -> None:
    raw = {"sink": ["a.jsonl", "file:./a.jsonl?rotate_size=1GiB"], **endpoint()}
    assert fault(raw) == "sink[1]: expected a file of its own, found that of sink[0]"


def test_the_configuration_is_not_written_over() -> None:
    raw = {"state": "./feeds.toml", **endpoint()}
    assert fault(raw) == "state: expected a file of its own, found that of the configuration"


def test_a_duplicate_name_says_both_places() -> None:
    raw = {"endpoints": [{"uri": URI, "name": "a"}, {"uri": URI}, {"uri": URI, "name": "a"}]}
    assert fault(raw) == "endpoints[2].name: expected a unique name, found 'a', as in endpoints[0]"


def test_tls_needs_a_wss_uri() -> None:
    raw = {"endpoints": [{"uri": "ws://h/", "tls": {"verify": False}}]}
    assert fault(raw).startswith("endpoints[0].tls: expected no tls on a ws:// URI")


def test_tls_from_the_defaults_skips_ws_uris() -> None:
    raw = {"defaults": {"tls": {"verify": False}}, "endpoints": [{"uri": "ws://h/"}, {"uri": "wss://h/"}]}
    assert [each.tls.verify for each in read(raw).endpoints] == [True, False]


def test_a_socks_proxy_without_its_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert fault(endpoint(proxy="socks5://h:1080")).endswith("pip install 'scaleout[socks]'")


@pytest.mark.parametrize("scheme", ["http", "https", "socks4", "socks4a", "socks5", "socks5h"])
def test_proxies(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert read(endpoint(proxy=f"{scheme}://u:p@h:1")).endpoints[0].proxy == f"{scheme}://u:p@h:1"


class TestNames:
    @pytest.mark.parametrize(
        ("uri", "expected"),
        [
            ("wss://stream.example.org/ws/btcusdt@trade", "stream.example.org/ws/btcusdt@trade"),
            ("wss://u:p@h:9000/a/?token=x", "h:9000/a"),
            ("ws://h", "h"),
            ("ws://[::1]:80/", "[::1]:80"),
            ("wss://h/${KEY}/x?y=${Z}", "h/${KEY}/x"),
        ],
    )
    def test_derived(self, uri: str, expected: str) -> None:
        assert derive_name(uri) == expected

    def test_never_hold_a_variables_value(self) -> None:
        config = read({"endpoints": [{"uri": "wss://h/${KEY}/a$$b"}]}, KEY="swordfish")
        assert config.endpoints[0].uri == "wss://h/swordfish/a$b"
        assert config.endpoints[0].name == "h/${KEY}/a$b"

    def test_are_numbered_where_they_repeat(self) -> None:
        raw = {
            "endpoints": [{"uri": URI}, {"uri": URI}, {"uri": "ws://x", "name": "stream.example.org/ws-2"}]
        }
        assert [each.name for each in read(raw).endpoints] == [
            "stream.example.org/ws",
            "stream.example.org/ws-3",
            "stream.example.org/ws-2",
        ]


class TestVariables:
    def test_a_missing_one_is_named(self) -> None:
        line = fault(endpoint(headers={"A": "${ONE} ${TWO}"}))
        assert line == (
            "endpoints[0].headers.A: "
            "the environment variable ONE isn't set; the environment variable TWO isn't set"
        )

    def test_a_dollar_sign_alone_stays(self) -> None:
        assert read(endpoint(subscribe=["$5 $$6 $$${A}"]), A="a").endpoints[0].subscribe == ("$5 $6 $a",)

    @pytest.mark.parametrize("text", ["${", "${}", "${1}", "${a b}", "${A"])
    def test_half_a_reference_is_a_fault(self, text: str) -> None:
        assert "'${' isn't followed by NAME}" in fault(endpoint(subscribe=[text]), A="a")

    def test_keys_stay(self) -> None:
        assert read(endpoint(subscribe=[{"${A}": "${A}"}]), A="x").endpoints[0].subscribe == ({"${A}": "x"},)

    def test_an_expanded_value_is_not_expanded_again(self) -> None:
        assert read(endpoint(subscribe=["${A}"]), A="${B}$$").endpoints[0].subscribe == ("${B}$$",)

    def test_units_are_read_after_expansion(self) -> None:
        assert read(endpoint(linger="${L}"), L="7ms").endpoints[0].linger == 0.007

    @pytest.mark.parametrize(
        "key", ["uri", "linger", "max_message_size", "format", "proxy", "processor", "name"]
    )
    def test_a_value_is_never_printed(self, key: str) -> None:
        lines = "\n".join(faults(endpoint(**{key: "${SECRET}"}), SECRET="sword:fish\n"))
        assert "sword" not in lines
        assert "fish" not in lines
        assert "${SECRET}" in lines

    def test_a_sinks_value_is_never_printed(self) -> None:
        assert "swordfish" not in fault({"sink": "${SECRET}", **endpoint()}, SECRET="swordfish://x")

    @given(st.text(st.sampled_from("a$${}AB"), max_size=20))
    def test_text_without_references_needs_only_doubled_dollars(self, text: str) -> None:
        raw = endpoint(subscribe=[text.replace("$", "$$")])
        assert read(raw).endpoints[0].subscribe == (text,)

    @given(st.text(max_size=20).filter(lambda value: not {"\0", "{"} & set(value)))  # a brace: a stand-in
    def test_any_value_is_taken_as_it_is(self, value: str) -> None:
        config = read(endpoint(subscribe=[["<${A}>"]]), A=value)
        assert config.endpoints[0].subscribe == ([f"<{value}>"],)
        assert config.secrets == ((value,) if value else ())


class TestCommandLine:
    def test_counts_more_than_the_file(self) -> None:
        raw = {"workers": 2, "sink": "a.jsonl", **endpoint(linger=1)}
        config = from_mapping(
            raw,
            "f",
            overrides={"workers": 3, "sink": ["-"]},
            endpoint_overrides={"linger": 0, "subscribe": ["x"]},
        )
        assert (config.workers, config.sink) == (3, ("-",))
        assert (config.endpoints[0].linger, config.endpoints[0].subscribe) == (0.0, ("x",))

    def test_its_faults_say_so(self) -> None:
        with pytest.raises(ConfigError) as caught:
            from_mapping(endpoint(), "f", overrides={"limit": 0}, endpoint_overrides={"processor": "x"})
        assert [each.source for each in caught.value.faults] == ["command line"] * 2
        assert [each.key for each in caught.value.faults] == ["limit", "processor"]

    def test_uris(self) -> None:
        config = from_uris(["ws://a/x", "ws://a/x"], overrides={"workers": 1})
        assert [each.name for each in config.endpoints] == ["a/x", "a/x-2"]

    def test_no_uris(self) -> None:
        with pytest.raises(
            ConfigError, match="command line: nothing to do: give a configuration file or URIs"
        ):
            from_uris([])

    def test_a_bad_uri(self) -> None:
        with pytest.raises(ConfigError, match=re.escape("command line: endpoints[0].uri: expected a ws://")):
            from_uris(["feeds.tml"])


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "content", "expected"),
        [
            ("a.toml", b"workers = ", "isn't valid TOML: Invalid value (at"),
            ("a.toml", b"a = 1\na = 2", "isn't valid TOML: "),
            ("a.toml", b"\xff", "expected UTF-8, found the byte 0xff at 0"),
            ("a.toml", b"a = " + b"[" * 100_000, "is nested too deep"),
            ("a.json", b"{", "isn't valid JSON: "),
            ("a.json", b"[]", "expected an object with the keys of a configuration, found an array"),
            ("a.json", b"[" * 100_000, "is nested too deep"),
            ("a.json", b'{"sink": "a", "sink": "b"}', 'isn\'t valid JSON: the key "sink" is given twice'),
            ("a.yaml", b"", "expected a name that ends in .toml or .json, found 'a.yaml'"),
        ],
    )
    def test_that_cannot_be_read(self, name: str, content: bytes, expected: str, tmp_path: Path) -> None:
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            load(file)
        (line,) = str(caught.value).splitlines()
        assert line.startswith(f"{file}: {expected}")

    def test_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"a\.toml: can't be read: No such file or directory"):
            load(tmp_path / "a.toml")

    def test_a_byte_order_mark_is_no_fault(self, tmp_path: Path) -> None:
        file = tmp_path / "a.json"
        file.write_bytes(b"\xef\xbb\xbf" + json.dumps(endpoint()).encode())
        assert load(file).endpoints

    def test_a_broken_file_does_not_hide_the_command_lines_faults(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / "a.toml", overrides={"workers": 0})
        assert len(caught.value.faults) == 2

    def test_a_toml_date_is_no_json(self, tmp_path: Path) -> None:
        file = tmp_path / "a.toml"
        file.write_text('[[endpoints]]\nuri = "ws://h"\nsubscribe = [{since = 2026-01-01}]\n')
        with pytest.raises(ConfigError, match="expected what JSON can say, found a date or time"):
            load(file)


class TestPython:
    def test_normalises(self) -> None:
        given_config = Config(
            endpoints=[Endpoint(uri=URI, subscribe=["a", ["b"]], linger="1s", backoff=Backoff(initial=1))],  # type: ignore[arg-type]
            sink="-",  # type: ignore[arg-type]
        )
        config = check_config(given_config)
        expected = Endpoint(
            uri=URI,
            name="stream.example.org/ws",
            subscribe=("a", ["b"]),
            linger=1.0,
            backoff=Backoff(initial=1),
        )
        assert config == Config(endpoints=(expected,))
        assert isinstance(config.endpoints, tuple)

    def test_a_checked_configuration_stays(self) -> None:
        raw = {
            "defaults": {"tls": {"verify": False}},
            "endpoints": [{"uri": "ws://h/${A}"}, {"uri": "wss://h/"}],
        }
        config = read(raw, A="swordfish")
        assert check_config(config) == config
        assert config.secrets == ("swordfish",)

    def test_texts_are_taken_as_they_are(self) -> None:
        config = check_config(Config(endpoints=(Endpoint(uri=URI, subscribe=("${A}$$",)),)))
        assert config.endpoints[0].subscribe == ("${A}$$",)

    @pytest.mark.parametrize(
        ("config", "expected"),
        [
            (Config(), "Config: endpoints: nothing to do"),
            (
                Config(endpoints=(Endpoint(uri=""),)),
                "Config: endpoints[0].uri: expected a ws:// or wss:// URI",
            ),
            (Config(endpoints=(URI,)), "Config: endpoints[0]: expected a table, found 'wss://"),  # type: ignore[arg-type]
            (Config(endpoints=(Endpoint(uri=URI),), workers=-1), "Config: workers: expected a whole number"),
            (Config(endpoints=(Endpoint(uri=URI, weight=object()),)), "found a Python object"),  # type: ignore[arg-type]
        ],
    )
    def test_faults(self, config: Config, expected: str) -> None:
        with pytest.raises(ConfigError) as caught:
            check_config(config)
        assert expected in str(caught.value)

    def test_crosses_processes(self) -> None:
        config = read(endpoint(subscribe=[{"a": [1, None, True, 2.5]}], headers={"A": "b"}))
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(config), type=Config) == config


class TestProcessors:
    def test_their_faults_join_the_others(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / "loading_feeds.py").write_text("def good(message): ...\n")
        raw = {
            "defaults": {"processor": "loading_feeds:god"},
            "endpoints": [
                {"uri": "http://x", "processor": "no_such_module:f"},
                {"uri": URI, "processor": "loading_feeds:good"},
            ],
        }
        with pytest.raises(ConfigError) as caught:
            from_mapping(raw, "f", import_processors=True)
        assert [each.key for each in caught.value.faults] == [
            "defaults.processor",
            "endpoints[0].uri",
            "endpoints[0].processor",
        ]
        assert "did you mean 'good'?" in caught.value.faults[0].problem

    def test_a_variables_value_is_blotted_out_of_their_faults(self) -> None:
        with pytest.raises(ConfigError, match=r"no module named '\*\*\*' in the current directory") as caught:
            from_mapping(
                endpoint(processor="${SECRET}:f"),
                "f",
                environment={"SECRET": "no_such_module"},
                import_processors=True,
            )
        assert "no_such_module" not in str(caught.value)

    def test_that_fail_are_imported_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        source = f"open({str(tmp_path / 'imports')!r}, 'a').write('x')\nraise ValueError\n"
        (tmp_path / "loading_failing.py").write_text(source)
        raw = {"endpoints": [{"uri": URI, "processor": "loading_failing:f"}] * 3}
        with pytest.raises(ConfigError) as caught:
            from_mapping(raw, "f", import_processors=True)
        assert len(caught.value.faults) == 3
        assert (tmp_path / "imports").read_text() == "x"

    @pytest.mark.parametrize(("processors", "is_fault"), [(2, True), ("auto", True), (0, False)])
    @pytest.mark.parametrize("function", ["awaited", "generated"])
    def test_that_are_async_have_no_helper_processes(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        function: str,
        processors: object,
        is_fault: bool,
    ) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / "loading_awaiting.py").write_text(
            "async def awaited(message): ...\nasync def generated(message):\n    yield message\n"
        )
        spec = f"loading_awaiting:{function}"
        faults: tuple[str, ...] = ()
        try:
            from_mapping(endpoint(processor=spec, processors=processors), "f", import_processors=True)
        except ConfigError as error:
            faults = tuple(map(str, error.faults))
        expected = (
            f"f: endpoints[0].processors: works with plain functions, and {spec} is async: leave it out"
        )
        assert faults == ((expected,) if is_fault else ())

    def test_are_not_imported_unasked(self) -> None:
        assert read(endpoint(processor="no_such_module:f")).endpoints[0].processor == "no_such_module:f"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        [URI, "ws://h/${A}", "5ms", "-", "a:b", "${B}", "always", "\ud800", 10**400, -(10**500)]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ENDPOINTS = st.dictionaries(st.sampled_from([*ENDPOINT_KEYS, "nmae"]), VALUES, max_size=6)
RUNS = st.fixed_dictionaries(
    {"endpoints": st.lists(ENDPOINTS | VALUES, max_size=3) | VALUES},
    optional=dict.fromkeys([*RUN_KEYS, "x"], VALUES) | {"defaults": ENDPOINTS | VALUES},
)


def test_faults_are_on_one_line_whatever_they_quote() -> None:
    assert fault({**endpoint(), "sink": "no directory\r/\x1b[31m"}).isprintable()


@settings(max_examples=300)
@given(RUNS, st.dictionaries(st.sampled_from(["A", "B"]), st.text(max_size=5)))
def test_a_mangled_configuration_raises_nothing_but_its_faults(
    raw: dict[str, object], environment: dict[str, str]
) -> None:
    try:
        config = from_mapping(raw, "f", environment=environment)
    except ConfigError as error:
        assert error.faults
        assert all(len(str(each).splitlines()) == 1 for each in error.faults)
        str(error).encode()
    else:
        assert check_config(config) == config


@settings(max_examples=200)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.sampled_from([".toml", ".json"]))
def test_a_mangled_file_raises_nothing_but_its_faults(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, ending: str
) -> None:
    file = tmp_path_factory.getbasetemp() / f"mangled{ending}"
    file.write_bytes(content)
    with pytest.raises(ConfigError):
        load(file)
