"""A processor too slow for its feed: it makes progress, is not taken for stuck, and loses nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaleout.simulator import SimulatorConfig, SimulatorProcess

COUNT = 1_500


def test_a_burst_longer_than_the_heartbeat_timeout(tmp_path: Path, launch: Callable[..., Any]) -> None:
    (tmp_path / "slow.py").write_text(
        "import time\ndef slow(message: str) -> int:\n    time.sleep(0.005)\n    return len(message)\n"
    )
    with SimulatorProcess(SimulatorConfig(endpoints=2, firehose=True, count=COUNT)) as simulator:
        slow, fast = simulator.endpoints
        run = launch(
            {
                "endpoints": [
                    {"name": "slow", "uri": slow.uri, "processor": "slow:slow", "reconnect": "on_error"},
                    {"name": "fast", "uri": fast.uri, "reconnect": "on_error"},
                ],
                "workers": 1,
                "heartbeat_timeout": 2.0,
            }
        )
        assert run.wait() == 0, run.stderr
    summary = run.summary
    assert [worker["restarts"] for worker in summary["workers"]] == [0]
    assert summary["totals"]["delivered"] == 2 * COUNT
    assert [json.loads(line)["seq"] for line in run.data()["fast"]] == list(range(COUNT))
