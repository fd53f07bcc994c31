"""From files, mappings, URIs and Python to a checked `Config`; every fault found, all in one error."""

from scaleout.loading.additions import endpoints_from_file, endpoints_from_tables, endpoints_from_toml
from scaleout.loading.draft import COMMAND_LINE, derive_name
from scaleout.loading.report import report
from scaleout.loading.sources import check_config, from_mapping, from_uris, load

__all__ = [
    "COMMAND_LINE",
    "check_config",
    "derive_name",
    "endpoints_from_file",
    "endpoints_from_tables",
    "endpoints_from_toml",
    "from_mapping",
    "from_uris",
    "load",
    "report",
]
