"""What is offered next, when what was offered doesn't do."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout.config import Endpoint
from scaleout.worker.links.endings import Renegotiation
from scaleout.worker.links.offers import Offers

ANYTHING_ELSE, NEXT, UNCOMPRESSED, AS_BEFORE = (
    Renegotiation.ANYTHING_ELSE,
    Renegotiation.NEXT_SUBPROTOCOL,
    Renegotiation.WITHOUT_COMPRESSION,
    Renegotiation.AS_BEFORE,
)


def offers(**keys: Any) -> Offers:
    return Offers(Endpoint(uri="ws://feed.test/", **keys))


def test_subprotocols_are_offered_together_and_then_one_by_one() -> None:
    offered = offers(subprotocols=("v2", "v1"))
    seen = [list(offered.subprotocols)]
    for said in ("with the subprotocol v2 alone", "with the subprotocol v1 alone", None):
        assert offered.change(NEXT) == said
        seen.append(list(offered.subprotocols))
    assert seen == [["v2", "v1"], ["v2"], ["v1"], ["v2", "v1"]]


@pytest.mark.parametrize("names", [(), ("only",)])
def test_without_another_subprotocol_there_is_nothing_to_try(names: tuple[str, ...]) -> None:
    offered = offers(subprotocols=names)
    assert offered.change(NEXT) is None
    assert offered.subprotocols == names


def test_compression_that_does_not_work_is_never_offered_again() -> None:
    offered = offers(compression="deflate", subprotocols=("a", "b"))
    assert offered.change(UNCOMPRESSED) == "without compression"
    assert offered.change(UNCOMPRESSED) is None
    for _ in range(6):
        offered.change(ANYTHING_ELSE)
        assert not offered.compression


def test_when_the_server_does_not_say_what_all_is_tried_and_then_it_begins_anew() -> None:
    offered = offers(compression="deflate", subprotocols=("a", "b"))
    for _ in range(2):
        tried = []
        while offered.change(ANYTHING_ELSE) is not None:
            tried.append((offered.compression, offered.subprotocols))
        assert tried == [(False, ("a", "b")), (False, ("a",)), (False, ("b",))]
        assert (offered.compression, offered.subprotocols) == (True, ("a", "b"))
    assert offers().change(ANYTHING_ELSE) is None


def test_a_session_is_begun_again_once_until_one_was_good() -> None:
    offered = offers()
    assert offered.change(AS_BEFORE) == "as before"
    assert offered.change(AS_BEFORE) is None
    assert offered.change(AS_BEFORE) is None
    offered.are_in_doubt = False
    assert offered.change(AS_BEFORE) == "as before"
