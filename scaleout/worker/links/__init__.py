"""One connection of an endpoint: how it is opened, what is said on it, and why it ends."""
