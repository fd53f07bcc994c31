"""`python -m scaleout`, and the installed command."""

from __future__ import annotations

import sys

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line; a Ctrl-C while it is still being imported ends quietly, too."""
    try:
        from scaleout import cli
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    cli.main()


if __name__ == "__main__":
    main()
