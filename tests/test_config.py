"""What a configuration says of itself."""

from __future__ import annotations

from scaleout.config import Config, Endpoint


def test_nothing_that_may_be_secret_is_in_a_repr() -> None:
    endpoint = Endpoint(
        name="btc",
        uri="wss://user:hunter22@example.org/?token=hunter22",
        headers={"X-Key": "hunter22"},
        subscribe=({"auth": "hunter22"},),
    )
    config = Config(endpoints=(endpoint,), workers=2, secrets=("hunter22",))
    assert repr(endpoint) == "<Endpoint btc>"
    assert repr(config) == "<Config: 1 endpoints, 2 workers>"
