from __future__ import annotations

import pytest
from websockets.uri import WebSocketURI, parse_uri

from scaleout.worker.proxies import KEEP_S, MAX_ANSWERS, Proxies

FEED = parse_uri("wss://feed.example.org/btc")


class _System:
    """Names a proxy, and a clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.proxy: str | None = "http://one.example.org"
        self.asked: list[str] = []
        self.proxies = Proxies(self.look_up, lambda: self.now)

    def look_up(self, server: WebSocketURI) -> str | None:
        self.asked.append(f"{server.host}:{server.port}")
        return self.proxy


def test_it_is_asked_once_for_each_server() -> None:
    system = _System()
    for path in ("/btc", "/eth"):
        assert system.proxies.proxy_for(parse_uri(f"wss://feed.example.org{path}")) == system.proxy
    system.proxies.proxy_for(parse_uri("ws://feed.example.org"))
    assert system.asked == ["feed.example.org:443", "feed.example.org:80"]


def test_that_there_is_none_is_kept_too() -> None:
    system = _System()
    system.proxy = None
    assert [system.proxies.proxy_for(FEED) for _ in range(3)] == [None, None, None]
    assert len(system.asked) == 1


def test_an_answer_is_kept_for_a_while() -> None:
    system = _System()
    system.proxies.proxy_for(FEED)
    system.proxy = "http://other.example.org"
    system.now += KEEP_S - 1
    assert system.proxies.proxy_for(FEED) == "http://one.example.org"
    system.now += 1
    assert system.proxies.proxy_for(FEED) == "http://other.example.org"


def test_answers_do_not_fill_the_memory() -> None:
    system = _System()
    for number in range(MAX_ANSWERS + 1):
        system.proxies.proxy_for(parse_uri(f"ws://feed{number}.example.org"))
    system.proxies.proxy_for(parse_uri("ws://feed0.example.org"))
    assert len(system.asked) == MAX_ANSWERS + 2


def test_the_environment_is_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example.org:3128")
    monkeypatch.setenv("no_proxy", "direct.example.org")
    proxies = Proxies()
    assert proxies.proxy_for(FEED) == "http://proxy.example.org:3128"
    assert proxies.proxy_for(parse_uri("wss://direct.example.org")) is None
