"""From files, mappings, URIs and Python to a checked `Config`; every fault found, all in one error."""

from scaleout.loading.draft import COMMAND_LINE, check_config, derive_name, from_mapping, from_uris, load
from scaleout.loading.report import report

__all__ = ["COMMAND_LINE", "check_config", "derive_name", "from_mapping", "from_uris", "load", "report"]
