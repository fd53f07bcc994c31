"""What goes wrong on request: a Struct of knobs, and the decisions that follow from them and a seed.

Three kinds. Faults *of the stream* (garbage, gaps, repeats, fragments, pings) belong to message numbers:
every connection to an endpoint sees them at the same place. Faults *of a connection* end it, or what can be
read on it, at some point of its own life; until then it was sent whole messages, all of which a client must
account for. Faults *of the handshake* come before there is a connection.
"""

from scaleout.simulator.faults.fates import End, Fate, Pending, fates
from scaleout.simulator.faults.handshake import REDIRECTED, Offer, Verdict, is_refused, judge
from scaleout.simulator.faults.knobs import BadFrame, BadHandshake, Faults
from scaleout.simulator.faults.stream import StreamFaults, numbers_sent

__all__ = [
    "REDIRECTED",
    "BadFrame",
    "BadHandshake",
    "End",
    "Fate",
    "Faults",
    "Offer",
    "Pending",
    "StreamFaults",
    "Verdict",
    "fates",
    "is_refused",
    "judge",
    "numbers_sent",
]
