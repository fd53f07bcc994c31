"""Control of a live run through its socket: what is said there, and who asks."""
