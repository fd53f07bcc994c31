"""A configuration file as a table: TOML or JSON, by its ending."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

from scaleout.loading.reading import Reading, found

Table = Mapping[str, object]
"""Keys and values as a file has them."""


def parse_file(path: Path, reading: Reading) -> Table | None:
    """Parse the file to a table, or report why that can't be done."""
    if path.suffix not in (".toml", ".json"):
        reading.fault("", f"expected a name that ends in .toml or .json, found {(path.name or str(path))!r}")
        return None
    try:
        text = path.read_text("utf-8-sig")
        if path.suffix == ".toml":
            return tomllib.loads(text)
        raw: object = json.loads(text, object_pairs_hook=_without_repeats)
    except OSError as error:
        reading.fault("", f"can't be read: {error.strerror or error}")
    except UnicodeDecodeError as error:
        reading.fault(
            "", f"expected UTF-8, found the byte 0x{error.object[error.start]:02x} at {error.start}"
        )
    except RecursionError:
        reading.fault("", "is nested too deep")
    except ValueError as error:
        reading.fault("", f"isn't valid {path.suffix[1:].upper()}: {error}")
    else:
        if isinstance(raw, dict):
            return raw
        reading.fault("", f"expected an object with the keys of a configuration, found {found(raw)}")
    return None


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {json.dumps(repeated)} is given twice in one object")
    return table
