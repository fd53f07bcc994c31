"""A feed server on loopback that speaks real feeds' dialects and misbehaves on request.

    async with Simulator(SimulatorConfig(endpoints=3, rate=1000)) as simulator:    in this event loop
    with SimulatorProcess(SimulatorConfig(firehose=True)) as simulator:            in processes of its own

Both have `endpoints`, a list of (name, uri); `ca_file`, with TLS; and `connections` and `attempts`, which
say what each client was sent. `streams_uri`, `stream_template` and `stream_names` are for clients that
subscribe by name, or have a URI for each stream.
"""

from scaleout.errors import SimulatorError
from scaleout.simulator.config import SimulatorConfig
from scaleout.simulator.dialogue import Dialogue
from scaleout.simulator.faults import Faults, numbers_sent
from scaleout.simulator.process import SimulatorProcess
from scaleout.simulator.rates import RateChange
from scaleout.simulator.records import Attempt, ConnectionRecord, Cut, Ended, StreamRecord
from scaleout.simulator.server import EndpointAddress, Simulator

__all__ = [
    "Attempt",
    "ConnectionRecord",
    "Cut",
    "Dialogue",
    "Ended",
    "EndpointAddress",
    "Faults",
    "RateChange",
    "Simulator",
    "SimulatorConfig",
    "SimulatorError",
    "SimulatorProcess",
    "StreamRecord",
    "numbers_sent",
]
