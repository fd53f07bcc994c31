"""One file a side; each runs alone, as `python -m bench.sides.NAME URI... SECONDS`, and prints a line of JSON."""
