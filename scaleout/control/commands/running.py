"""`reload` and `drain`: a live run follows its configuration, or ends."""

from __future__ import annotations

import argparse

from msgspec import structs

from scaleout import exits, streams
from scaleout.control.commands.common import control_of, tell
from scaleout.control.text import reload_text, totals_text
from scaleout.monitor.text import plural


def reload(namespace: argparse.Namespace) -> int:
    """Let the run read its configuration again."""
    done = control_of(namespace).reload()
    tell(namespace, structs.asdict(done), reload_text(done))
    for problem in done.problems:
        streams.tell(f"scaleout: {problem}")
    if done.restart and not namespace.json:
        streams.tell(f"restart to apply: {', '.join(done.restart)}")
    return exits.FAILED if done.problems else exits.OK


def drain(namespace: argparse.Namespace) -> int:
    """Let the run end, and wait until everything is written."""
    totals = control_of(namespace).drain()
    tell(namespace, {"drained": totals}, f"drained: {totals_text(totals)}")
    left = totals.get("in_flight", 0)
    if left:
        streams.tell(f"scaleout: the run ended before {plural(left, 'message')} in flight could be written")
    return exits.FAILED if left else exits.OK
