"""The commands to a live run: by name, what tells a parser of their arguments, and what does them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from scaleout.control.commands import endpoints, running, status, talking, workers
from scaleout.control.commands.common import add_common

AddArguments = Callable[[argparse.ArgumentParser], None]
Command = Callable[[argparse.Namespace], int]

SUBCOMMANDS: Mapping[str, tuple[AddArguments, Command, str]] = {
    "status": (status.add_arguments, status.run, "Show a live run: its workers, endpoints, moves and books."),
    "add": (endpoints.add_arguments_of_add, endpoints.add, "Add endpoints to a live run."),
    "remove": (
        endpoints.add_names,
        endpoints.remove,
        "Close endpoints of a live run, write what they have brought, and forget them.",
    ),
    "pause": (
        endpoints.add_names,
        endpoints.pause,
        "Close endpoints of a live run, and write what they have brought, until they are resumed.",
    ),
    "resume": (
        endpoints.add_arguments_of_resume,
        endpoints.resume,
        "End an endpoint's pause or quarantine, or its wait between two attempts, in a live run.",
    ),
    "move": (
        workers.add_arguments_of_move,
        workers.move,
        "Move an endpoint to another worker of a live run, without losing or repeating a message.",
    ),
    "rebalance": (add_common, workers.rebalance, "Balance the workers of a live run at once."),
    "scale": (workers.add_arguments_of_scale, workers.scale, "Have more workers in a live run, or fewer."),
    "send": (
        talking.add_arguments_of_send,
        talking.send,
        "Send a text on an endpoint's connection in a live run.",
    ),
    "streams": (
        talking.add_arguments_of_streams,
        talking.change_streams,
        "Add streams to an endpoint in a live run, and take others away; the rest goes on.",
    ),
    "reload": (
        add_common,
        running.reload,
        "Let a live run read its configuration again, and make the smallest change.",
    ),
    "drain": (
        add_common,
        running.drain,
        "Let a live run stop reading, write all that is in flight, and end.",
    ),
}
