"""`python -m scaleout`, and the installed command."""

from __future__ import annotations

import sys

from scaleout import exits


def main() -> None:
    """Run the command line; a Ctrl-C while it is still being imported ends quietly, too."""
    try:
        from scaleout import cli
    except KeyboardInterrupt:
        sys.exit(exits.INTERRUPTED)
    cli.main()


if __name__ == "__main__":
    main()
