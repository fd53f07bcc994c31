"""What the exit codes of the command line mean."""

OK = 0
"""Ended as asked, and the books balance."""
FAILED = 1
"""Failed while running; or letters are dead still after a retry."""
USAGE = 2
"""Bad usage or configuration."""
UNACCOUNTED = 3
"""Ended, but messages are unaccounted for."""
INTERRUPTED = 130
"""A Ctrl-C while the program was still being loaded."""
