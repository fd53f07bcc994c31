"""Pure decisions: no asyncio, sockets, processes, signals or files; clock and randomness are passed in."""
