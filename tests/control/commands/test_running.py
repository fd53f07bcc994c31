"""A live run follows its configuration, or ends: what is told, and when that is a failure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from scaleout.control.messages import Reloaded
from scaleout.errors import ConfigError, Fault

Invoke = Callable[..., tuple[int, str, str]]


def test_reload(control: Any, invoke: Invoke) -> None:
    assert invoke("reload", "--control", "s") == (0, "", "reloaded feeds.toml: nothing has changed\n")
    control.reloaded = Reloaded(source="feeds.toml", added=("a", "b"), changed=("c",), restart=("sink",))
    assert invoke("reload", "--control", "s") == (
        0,
        "",
        "reloaded feeds.toml: 2 endpoints added, 1 changed\nrestart to apply: sink\n",
    )
    code, out, err = invoke("reload", "--control", "s", "--json")
    assert (code, err) == (0, "")
    done = json.loads(out)
    assert (done["added"], done["removed"], done["changed"], done["restart"]) == (
        ["a", "b"],
        [],
        ["c"],
        ["sink"],
    )


def test_a_reload_that_does_a_part(control: Any, invoke: Invoke) -> None:
    control.reloaded = Reloaded(source="f", removed=("b",), problems=("a isn't added: no room",))
    code, _, err = invoke("reload", "--control", "s")
    assert (code, err.splitlines()) == (
        1,
        ["reloaded f: 1 endpoint removed", "scaleout: a isn't added: no room"],
    )


def test_a_reload_of_a_bad_file(control: Any, invoke: Invoke) -> None:
    control.problem = ConfigError([Fault("f", "wrokers", "unknown key"), Fault("f", "sink", "no")])
    assert invoke("reload", "--control", "s") == (
        2,
        "",
        "scaleout: f: wrokers: unknown key\nscaleout: f: sink: no\n",
    )


def test_drain(control: Any, invoke: Invoke) -> None:
    assert invoke("drain", "--control", "s") == (0, "", "drained: 5 messages received · 5 delivered\n")
    control.totals = {"received": 5, "delivered": 3, "in_flight": 2}
    code, out, err = invoke("drain", "--control", "s", "--json")
    assert (code, json.loads(out)) == (1, {"drained": control.totals})
    assert err == "scaleout: the run ended before 2 messages in flight could be written\n"
