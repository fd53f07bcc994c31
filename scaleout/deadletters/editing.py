"""A payload in a person's editor: in a private file, and back byte for byte."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from scaleout.deadletters.letters import Letter


class NotEditedError(Exception):
    """There is nothing to try; the message says why."""


def editor_command(environment: Mapping[str, str]) -> list[str]:
    """The editor that the environment names.

    Raises:
        NotEditedError: what it names isn't a command.
    """
    for name in ("VISUAL", "EDITOR"):
        text = environment.get(name)
        if text and text.strip():
            try:
                return shlex.split(text)
            except ValueError as exc:
                raise NotEditedError(f"${name} isn't a command: {exc}") from None
    return ["vi"]


def edit(letter: Letter, environment: Mapping[str, str] = os.environ) -> bytes:
    """Let a person change the payload of a letter.

    The newline that many editors add at the end of a file is taken away again.

    Returns:
        The changed payload.

    Raises:
        NotEditedError: the editor failed, or the payload is unchanged, empty, or not what it must be.
    """
    before = letter.current
    after = _edited(before, editor_command(environment), _ending(letter))
    if not before.endswith(b"\n") and after.endswith(b"\n"):
        after = after[:-1]
    if not after:
        raise NotEditedError("left empty")
    if after == before:
        raise NotEditedError("left unchanged")
    if letter.is_text:
        try:
            after.decode()
        except UnicodeDecodeError as exc:
            raise NotEditedError(f"not UTF-8 any more, which a text message must be: {exc}") from None
    return after


def _edited(before: bytes, command: list[str], ending: str) -> bytes:
    descriptor, name = tempfile.mkstemp(prefix="dead-letter-", suffix=ending)  # readable by this user alone
    try:
        with open(descriptor, "wb") as file:
            file.write(before)
        try:
            done = subprocess.run([*command, name], check=False)
        except OSError as exc:
            raise NotEditedError(
                f"the editor {command[0]} can't be started: {exc.strerror} (set $EDITOR)"
            ) from None
        if done.returncode:
            raise NotEditedError(f"the editor {command[0]} failed with code {done.returncode}")
        try:
            return Path(name).read_bytes()
        except OSError as exc:
            raise NotEditedError(f"the editor took the file away: {exc.strerror}") from None
    finally:
        Path(name).unlink(missing_ok=True)


def _ending(letter: Letter) -> str:
    if not letter.is_text:
        return ".bin"
    return ".json" if letter.current.lstrip()[:1] in (b"{", b"[") else ".txt"
