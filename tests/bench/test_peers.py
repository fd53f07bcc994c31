"""Sides that can't run are left out with a line that says why."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from bench import peers
from bench.cases import AIOHTTP, CASES, NODE, SCALEOUT, WEBSOCKET_CLIENT
from bench.sides import node_ws


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(node_ws, "DIRECTORY", tmp_path)


@pytest.mark.usefixtures("nothing_installed")
def test_a_missing_peer_is_told_in_a_line() -> None:
    assert peers.find_missing(AIOHTTP) == "aiohttp not installed: pip install 'scaleout[bench]'"
    assert str(peers.find_missing(WEBSOCKET_CLIENT)).startswith("websocket-client and orjson not installed")
    assert peers.find_missing(NODE) == "Node is not installed"
    assert peers.find_missing(SCALEOUT) is None


@pytest.mark.usefixtures("nothing_installed")
def test_a_case_goes_on_with_the_other_sides() -> None:
    sides, left_out = peers.choose_sides(CASES["pass"])
    assert [side.name for side in sides] == ["scaleout", "websockets"]
    assert left_out[0].startswith("picows is left out: picows not installed")
    assert str(peers.find_missing_feed(CASES["tls"])).startswith("trustme")
    assert peers.find_missing_feed(CASES["bulk"]) is None


def test_npm_that_fails_is_a_missing_peer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/nowhere/{name}")
    monkeypatch.setattr(node_ws, "DIRECTORY", tmp_path / "node")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert str(peers.find_missing(NODE)).startswith("npm could not install ws: try npm install --prefix ")
