"""Logs on standard error: structured, as text or JSON, with every secret blotted out."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, MutableMapping
from typing import Any

import msgspec

from scaleout.secrets import Redactor, learnt

ROOT = "scaleout"


class Settings(msgspec.Struct, frozen=True):
    """How a process logs; the arguments are those of `configure`."""

    level: str = "info"
    log_format: str = "text"
    secrets: tuple[str, ...] = ()
    worker: int | None = None


_settings = Settings()

_FIELDS = ("worker", "endpoint")
"""Attributes of a record that are shown as fields of their own."""


class _Formatter(logging.Formatter):
    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def _timestamp(self, record: logging.LogRecord) -> str:
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{whole}.{int(record.msecs):03d}Z"

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        fields = {field: getattr(record, field) for field in _FIELDS if hasattr(record, field)}
        return {
            field: self._redact(value) if isinstance(value, str) else value for field, value in fields.items()
        }

    def _message(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{self.formatException(record.exc_info)}"
        # File names may hold bytes that aren't text.
        return self._redact(message.encode(errors="backslashreplace").decode())


class TextFormatter(_Formatter):
    """`2026-01-01T00:00:00.000Z INFO    message worker=0 endpoint=btc`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, or more with a traceback."""
        fields = "".join(f" {name}={value}" for name, value in self._fields(record).items())
        first, *rest = self._message(record).splitlines() or [""]
        line = f"{self._timestamp(record)} {record.levelname:<7} {first}{fields}"
        return "\n".join([line, *rest])


class JSONFormatter(_Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger, message, and the fields."""
        entry = {
            "time": self._timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._message(record),
        }
        return msgspec.json.encode(entry | self._fields(record)).decode()


class _WorkerFilter(logging.Filter):
    def __init__(self, worker: int) -> None:
        super().__init__()
        self._worker = worker

    def filter(self, record: logging.LogRecord) -> bool:
        record.worker = self._worker
        return True


def configure(level: str, log_format: str, secrets: Iterable[str], worker: int | None = None) -> None:
    """Send this process's logs to standard error.

    Args:
        level: debug, info, warning or error.
        log_format: text or json.
        secrets: values to blot out.
        worker: id of the worker that this process is.
    """
    global _settings
    _settings = Settings(level, log_format, tuple(secrets), worker)
    handler = logging.StreamHandler(sys.stderr)
    formatter = JSONFormatter if log_format == "json" else TextFormatter
    handler.setFormatter(formatter(Redactor(_settings.secrets)))
    if worker is not None:
        handler.addFilter(_WorkerFilter(worker))
    for name, threshold in ((ROOT, level.upper()), ("websockets", "WARNING"), ("asyncio", "WARNING")):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(threshold)
        logger.propagate = False


def settings() -> Settings:
    """How this process logs, for its children to do likewise."""
    return msgspec.structs.replace(_settings, secrets=(*_settings.secrets, *learnt()))


class EndpointLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs about one endpoint."""

    def __init__(self, endpoint: str, secrets: Iterable[str]) -> None:
        super().__init__(logging.getLogger(f"{ROOT}.worker"), {"endpoint": endpoint})
        self.redact = Redactor(secrets)

    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        """Add the endpoint to each record."""
        kwargs["extra"] = self.extra
        return msg, kwargs
