"""The arguments that `deadletters` takes."""

from __future__ import annotations

import argparse

from scaleout.arguments import add_no_envelope
from scaleout.deadletters import command, retry
from scaleout.deadletters.choosing import ANY, letter_id, since
from scaleout.deadletters.letters import STAGES, Status


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell a parser what `deadletters` takes."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, action: command.Action, summary: str) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        sub.add_argument("--dead-letters", metavar="FILE", required=True, help="the store of a run")
        sub.set_defaults(action=action)
        return sub

    _add_list(add("list", command.list_letters, "Print dead letters, newest last."))
    shown = add("show", command.show, "Print all about some letters.")
    shown.add_argument("ids", nargs="+", type=letter_id, metavar="ID", help="these letters")
    _add_retry(
        add(
            "retry",
            retry.retry,
            "Put letters through their processors once more, in place or in a live run.",
        )
    )
    discarded = add("discard", command.discard, "Be done with letters without a retry.")
    _add_filters(discarded)
    _add_all(discarded)
    _add_export(add("export", command.export, "Write letters as JSON, one a line."))
    counted = add("stats", command.stats, "Count letters by endpoint, stage and reason.")
    _add_filters(counted, with_ids=False)
    counted.add_argument("--json", action="store_true", help="as one JSON object")
    for sub in actions.choices.values():
        sub.set_defaults(options=getattr(sub, "options", []))


def _add_filters(parser: argparse.ArgumentParser, *, with_ids: bool = True) -> None:
    if with_ids:
        parser.add_argument("ids", nargs="*", type=letter_id, metavar="ID", help="these letters")
    add = parser.add_argument_group("filters").add_argument
    add("--endpoint", action="append", metavar="NAME", help="letters of this endpoint; repeatable")
    add("--stage", action="append", choices=STAGES, help="letters that failed there; repeatable")
    add("--reason", metavar="TEXT", help="letters with this in their reason")
    add(
        "--since",
        type=since,
        metavar="TIME",
        help="received since then: how long ago (2h), or when (2026-01-31T12:00)",
    )


def _add_all(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="all dead letters, without ids and filters")


def _add_status(parser: argparse.ArgumentParser, default: str) -> None:
    choices = (*(status.value for status in Status), ANY)
    parser.add_argument("--status", choices=choices, help=f"letters in this state (default: {default})")


def _add_list(parser: argparse.ArgumentParser) -> None:
    _add_filters(parser)
    _add_status(parser, "dead; with ids: any")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, whole payloads")
    parser.add_argument("--watch", action="store_true", help="go on with letters that come, until Ctrl-C")


def _add_export(parser: argparse.ArgumentParser) -> None:
    _add_filters(parser)
    _add_all(parser)
    _add_status(parser, "dead")
    parser.add_argument(
        "--output", metavar="FILE", help="a file that isn't there yet (default: standard output)"
    )


def _add_retry(parser: argparse.ArgumentParser) -> None:
    _add_filters(parser)
    _add_all(parser)
    parser.add_argument(
        "--control",
        metavar="PATH",
        help="the socket of a live run: letters go through its processors and sinks",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="without a live run: the configuration with the endpoints' processors",
    )
    parser.add_argument(
        "--sink",
        action="append",
        metavar="URI",
        help="without a live run: where results go, as in `scaleout run`; repeatable",
    )
    add_no_envelope(parser)
    parser.add_argument("--edit", action="store_true", help="change each payload in $EDITOR first")
