"""One connection taking over from another of the same feed, without losing or repeating a message."""
