"""An endpoint's way from one worker to another, without losing or repeating a message."""
