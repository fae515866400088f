"""Consent on another device (RFC 8628): a person enters a code, and the program polls.

Laws:

1. No poll comes sooner than the server allows, and after `slow_down` the pause is five seconds
   longer.
2. While the server fails or cannot be reached, the pause doubles each time.
3. Polling ends when the code expires, whatever the server answers.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.oauth.server import checked_url
from moorage.domain.oauth.token_answer import Refusal, Refused, read_refusal
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.errors import ConfigurationError, ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.http.requests import Response
    from moorage.domain.oauth.grants import Parameters

_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_USUAL_INTERVAL: Final = 5.0
_SLOW_DOWN_SECONDS: Final = 5.0
_SHORTEST_INTERVAL: Final = 1.0
_USUAL_LIFE: Final = 600.0
_LONGEST_LIFE: Final = 86_400.0
_LONGEST_CODE: Final = 64
_LONGEST_PAUSE: Final = 300.0


def _convert_to_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


@with_careful_constructor
@attrs.frozen(kw_only=True)
class DeviceConsent:
    """The code and the URL to show to a person who consents on another device.

    Attributes:
        user_code: the code for the person to type in.
        verification_uri: the URL of the page for the code.
        verification_uri_complete: the same URL with the code in it, for a QR code, if the server
            provides it.
        device_code: the secret code with which tokens are requested.
        expires_at: the time until which the codes are valid, in UTC.
        interval: the seconds between two polls.
    """

    user_code: str
    verification_uri: str
    verification_uri_complete: str | None = None
    device_code: Secret = attrs.field(converter=as_secret, hash=False)
    expires_at: datetime = attrs.field(converter=_convert_to_utc)
    interval: float = _USUAL_INTERVAL


def read_device(
    response: Response, asked_at: datetime, hidden: Iterable[Secret] = ()
) -> DeviceConsent | Refused:
    """Return the code and URL for the person, read from the server's response, or its error."""
    refusal = read_refusal(response, asked_at, hidden)
    if refusal is not None:
        return refusal
    consent = _consent(response, asked_at)
    return Refused(why=Refusal.WRONG, code="unreadable answer") if consent is None else consent


def _consent(response: Response, asked_at: datetime) -> DeviceConsent | None:
    try:
        members: dict[str, Any] = response.json()
        code, complete_uri = members["user_code"], members.get("verification_uri_complete")
        # Some servers use the field name of an early draft.
        uri = checked_url(members.get("verification_uri") or members.get("verification_url"), "uri")
        if complete_uri is not None:
            checked_url(complete_uri, "uri")
        if not (code.isprintable() and 0 < len(code) <= _LONGEST_CODE):
            return None
        lifetime = _whole_seconds(members.get("expires_in"), _USUAL_LIFE)
        return DeviceConsent(
            user_code=code,
            verification_uri=uri,
            verification_uri_complete=complete_uri,
            device_code=members["device_code"],
            expires_at=asked_at + timedelta(seconds=lifetime),
            interval=max(
                _SHORTEST_INTERVAL, _whole_seconds(members.get("interval"), _USUAL_INTERVAL)
            ),
        )
    except (InvalidData, ConfigurationError, LookupError, TypeError, AttributeError):
        return None


def _whole_seconds(value: object, otherwise: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        return otherwise
    # Polling ends when the code expires, so larger numbers make no difference.
    return float(min(value, _LONGEST_LIFE))


def polling_parameters(code: Secret) -> Parameters:
    """Return the parameters of the request that polls for the person's decision."""
    return (("grant_type", _GRANT), ("device_code", code.reveal()))


@attrs.frozen
class PollingPace:
    """The pauses between the requests that poll for a person's decision.

    Attributes:
        interval: the seconds that the server wants between two polls.
        pause: the seconds until the next poll.
    """

    interval: float
    pause: float

    @classmethod
    def at_first(cls, interval: float) -> PollingPace:
        """Return the first pauses, from the polling interval that the server demands.

        The first poll waits too, because a person always needs some time.
        """
        return cls(interval, interval)

    def after(self, answer: Refused | ConnectorError) -> PollingPace | None:
        """Return the pauses after a response without a token.

        Return None if no further poll can bring a token.
        """
        if isinstance(answer, ConnectorError):
            doubled_pause = min(2 * self.pause, _LONGEST_PAUSE)
            return PollingPace(self.interval, doubled_pause) if answer.retryable else None
        if answer.why is Refusal.PENDING:
            return PollingPace(self.interval, self.interval)
        if answer.code == "slow_down":
            slower_interval = self.interval + _SLOW_DOWN_SECONDS
            return PollingPace(slower_interval, max(slower_interval, answer.wait or 0.0))
        if answer.why is Refusal.LATER:
            return PollingPace(
                self.interval, max(min(2 * self.pause, _LONGEST_PAUSE), answer.wait or 0.0)
            )
        return None
