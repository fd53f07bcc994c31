"""A WebSocket server that is never the limit: its frames are encoded before the first client comes."""
