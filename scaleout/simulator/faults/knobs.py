"""What can go wrong on request: the knobs alone."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

BadHandshake = Literal[
    "",
    "garbage",
    "wrong_accept",
    "no_upgrade",
    "unasked_extension",
    "unasked_subprotocol",
    "redirect",
    "redirect_loop",
    "no_answer",
    "close",
    "reset",
    "half_answer",
    "endless_headers",
]
BadFrame = Literal[
    "",
    "reset_mid_frame",
    "eof_mid_frame",
    "reserved_bits",
    "reserved_opcode",
    "reserved_control_opcode",
    "masked",
    "endless_fragments",
    "bomb",
    "broken_compression",
    "ping_flood",
    "large_control",
    "fragmented_control",
    "lone_continuation",
    "nested_message",
    "bad_close_code",
    "bad_close_reason",
    "short_close",
    "huge_length",
]

CertificateKind = Literal["good", "wrong_name", "expired", "unknown"]

_CLOSE_CODES = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
"""Those that may be sent."""


class Faults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The knobs; by default nothing goes wrong. Counts are in messages, and 0 means never."""

    only_endpoint: int | None = None
    """All faults befall only the endpoint of this number."""

    garbage_every: int = 0
    """After every nth message comes one more text message that is not JSON."""
    garbage_share: float = 0.0
    """The same at random places: so many garbage messages per message, from 0 to 1."""
    fragment_every: int = 0
    """Every nth message is sent in 2 to 4 frames."""
    ping_every: int = 0
    """After every nth message (or, where that one is fragmented, inside it) comes a ping."""
    skip_every: int = 0
    """Every nth message is left out: its number is used up."""
    repeat_every: int = 0
    """Every nth message comes twice."""
    step_back_every: int = 0
    """After every nth message comes again the third one before it."""

    disconnect_after: int = 0
    """A connection ends after so many messages."""
    disconnect_every_s: float = 0.0
    """A connection ends so long after it opened, in seconds."""
    disconnect_jitter: float = 0.0
    """From 0 to 1: each connection's share of both limits is drawn from [1 - jitter, 1 + jitter]."""
    close_at_once: bool = False
    """A connection ends as soon as it is open."""
    disconnect: Literal["close", "reset", "eof", "either"] = "close"
    """How: a closing handshake after all that was sent before, a TCP reset (which may destroy what is under
    way), the end of the TCP stream after all that was sent before, or one of the first two, drawn for each
    connection."""
    disconnect_code: int = 1001
    """Close code of a closing handshake."""
    goodbye_before_s: float = 0.0
    """So long before the end that `disconnect_every_s` sets comes the dialect's goodbye; data goes on."""

    invalid_utf8_after: int = 0
    """After so many messages comes a text frame that is not UTF-8, and then nothing."""
    oversized_after: int = 0
    """After so many messages comes a message of `oversized_bytes`, and then nothing."""
    oversized_bytes: int = 5 * 2**20
    bad_frame: BadFrame = ""
    """What comes after `bad_frame_after` messages, and then nothing; but a `ping_flood` is lawful, and data
    goes on. `bomb` and `broken_compression` spare connections without compression."""
    bad_frame_after: int = 0
    """Here 0 means: before the first message."""
    fragment_bytes: int = 1
    """Payload of each of the `endless_fragments`."""
    bomb_bytes: int = 2**30
    """What a `bomb` inflates to."""
    flood_pings: int = 10_000
    """How many pings a `ping_flood` is."""
    silence_after: int = 0
    """After so many messages nothing is sent any more; the connection stays open."""
    silence_after_s: float = 0.0
    """The same so long after a connection opened, in seconds."""
    silence: Literal["all", "data"] = "all"
    """Whether heartbeats and answers end with the data, or go on without it."""
    first_connections: int = 0
    """The faults of a connection befall only each endpoint's first so many connections; 0: all of them."""

    handshake_delay_s: float = 0.0
    """The answer to a handshake takes so long, in seconds."""
    refuse_first: int = 0
    """The first so many handshakes of each endpoint are refused."""
    refuse_share: float = 0.0
    """So many of the other handshakes are refused at random, from 0 to 1."""
    refuse_status: int = 503
    """HTTP status of a refusal."""
    retry_after_s: int | None = None
    """`Retry-After` of a refusal, in whole seconds."""
    refuse_compression: bool = False
    """A handshake that offers compression is answered with 400."""
    wanted_subprotocol: str = ""
    """A handshake that doesn't offer this subprotocol first is answered with 400."""
    bad_handshake: BadHandshake = ""
    """How handshakes that aren't refused go wrong."""
    bad_handshake_first: int = 0
    """Only each endpoint's first so many do; 0: all of them."""
    redirect_status: Literal[301, 302, 303, 307, 308] = 302
    redirect_to: str = ""
    """The URI that a `redirect` points to; by default that of the request with `redirected=1` in its query,
    which isn't redirected again."""
    certificate: CertificateKind = "good"
    """Of the server, with TLS; an unknown one is of an authority that clients aren't told of."""

    @property
    def of_stream(self) -> bool:
        """Whether any message may be followed by something else, be cut in pieces, left out or repeated."""
        return bool(
            self.garbage_every
            or self.garbage_share
            or self.fragment_every
            or self.ping_every
            or self.skip_every
            or self.repeat_every
            or self.step_back_every
        )

    def at_endpoint(self, endpoint: int | None) -> Faults:
        """The faults of one endpoint; None: of what many endpoints share."""
        return self if self.only_endpoint in (None, endpoint) else Faults(certificate=self.certificate)

    def problems(self) -> list[tuple[str, str]]:
        """The knobs that can't be, and why."""
        checks = [
            *(
                (getattr(self, name) < 0, name, f"expected a number from 0, found {getattr(self, name)}")
                for name in self.__struct_fields__
                if isinstance(getattr(self, name), int | float)
            ),
            *(
                (getattr(self, name) > 1, name, f"expected a share from 0 to 1, found {getattr(self, name)}")
                for name in ("garbage_share", "refuse_share", "disconnect_jitter")
            ),
            (
                self.disconnect_code not in _CLOSE_CODES,
                "disconnect_code",
                f"expected a close code that may be sent, found {self.disconnect_code}",
            ),
            (
                bool(self.goodbye_before_s) and not self.disconnect_every_s,
                "goodbye_before_s",
                "needs an end to come before: set disconnect_every_s too",
            ),
            (self.skip_every == 1, "skip_every", "expected 0 or a number from 2: every message is left out"),
            (self.fragment_bytes < 1, "fragment_bytes", "expected at least 1"),
            (self.oversized_bytes < 14, "oversized_bytes", "expected at least 14"),
        ]
        return [(name, problem) for is_wrong, name, problem in checks if is_wrong]
