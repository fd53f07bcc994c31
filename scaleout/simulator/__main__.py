"""A simulator's own process, started by `SimulatorProcess`: not for people, who use `scaleout simulate`."""

import contextlib

import uvloop

from scaleout import memory, signals
from scaleout.simulator.child import serve_parent

if __name__ == "__main__":
    signals.leave_to_parent()
    memory.keep_freed()
    with contextlib.suppress(BrokenPipeError):
        uvloop.run(serve_parent())
