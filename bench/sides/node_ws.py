"""ws on Node, in a process of its own, which this one asks where it stands."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import msgspec

from bench.errors import MissingPeerError
from bench.sides.expectation import Tally
from bench.sides.meter import Meter
from bench.sides.peer import check
from bench.sides.result import SideResult, Task, Usage, main

SCRIPT = Path(__file__).with_name("node_ws.js")
PACKAGE = "ws@8"
DIRECTORY = Path("build") / "node"
"""Where npm puts it, under the repository's top."""
INSTALL_WITHIN_S = 60.0


class Standing(msgspec.Struct):
    """What the script tells of itself."""

    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    problems: list[str]
    tallies: list[tuple[int, int, str]]

    @property
    def messages(self) -> int:
        """Of all connections."""
        return sum(messages for messages, _, _ in self.tallies)


def require() -> None:
    """Install ws where it isn't yet.

    Raises:
        MissingPeerError: there is no Node, or npm can't install it.
    """
    if shutil.which("node") is None:
        raise MissingPeerError("Node is not installed")
    modules = DIRECTORY / "node_modules"
    if (modules / "ws").is_dir():
        return
    if shutil.which("npm") is None:
        raise MissingPeerError("npm, which installs ws, is not installed")
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--prefix", str(DIRECTORY), "--no-audit", "--no-fund", PACKAGE]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_WITHIN_S)
    except (subprocess.SubprocessError, OSError):
        raise MissingPeerError(f"npm could not install ws: try {' '.join(command)}") from None


def versions() -> dict[str, str]:
    """Of Node and of ws, where they are installed."""
    package = DIRECTORY / "node_modules" / "ws" / "package.json"
    if shutil.which("node") is None or not package.is_file():
        return {}
    node = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    return {"node": node.removeprefix("v"), "ws": msgspec.json.decode(package.read_bytes())["version"]}


def measure(task: Task) -> SideResult:
    """Receive on all connections."""
    with subprocess.Popen(
        ["node", str(SCRIPT), msgspec.json.encode(task).decode()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"NODE_PATH": str((DIRECTORY / "node_modules").resolve())},
    ) as process:
        _await_messages(process)
        time.sleep(task.warm_up_s)
        meter, before = Meter(task), _ask(process)
        time.sleep(task.seconds)
        generator, after = meter.usage(), _ask(process)
    return SideResult(
        messages=after.messages - before.messages,
        usage=Usage(after.cpu_s - before.cpu_s, after.wall_s - before.wall_s, generator.generator_cpu_s),
        output_bytes=sum(output_bytes for _, output_bytes, _ in after.tallies),
        peak_rss_bytes=after.peak_rss_bytes,
        faults=after.problems[:3]
        + check(task, [Tally(count, size, last.encode()) for count, size, last in after.tallies], None),
    )


def _await_messages(process: subprocess.Popen[bytes]) -> None:
    while not all(messages for messages, _, _ in _ask(process).tallies):
        time.sleep(0.05)


def _ask(process: subprocess.Popen[bytes]) -> Standing:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise SystemExit("the script failed")
    return msgspec.json.decode(line, type=Standing)


if __name__ == "__main__":
    main(measure)
