"""Decisions of people: authorization codes from a browser, and approved devices.

Codes follow RFC 6749 (section 4.1) with RFC 7636, 9207 and 9449 (section 10); devices follow
RFC 8628.
"""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import attrs

from tests.support.authorization_jwt import digest
from tests.support.authorization_values import CODE, Answer, Refusal, require

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tests.support.authorization_tokens import Family
    from tests.support.authorization_values import Call, Client

CODE_LIFETIME: Final = timedelta(seconds=60)
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_\-]{43}")
_VERIFIER: Final = re.compile(r"[A-Za-z0-9\-._~]{43,128}")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
_SLOWER_BY: Final = 5


@attrs.define(kw_only=True, eq=False)
class Code:
    """An authorization code that a browser brings back to the client."""

    client: Client
    scope: tuple[str, ...]
    redirect_uri: str | None
    challenge: str
    jkt: str | None
    expires: datetime
    family: Family | None = None


@attrs.define(kw_only=True, eq=False)
class Device:
    """A device login that waits for a person's decision."""

    client: Client
    scope: tuple[str, ...]
    user_code: str
    interval: int
    expires: datetime
    polled: datetime | None = None
    decision: bool | None = None
    used: bool = False


def granted_scope(
    client: Client, request: str | None, allowed: tuple[str, ...] | None = None
) -> tuple[str, ...]:
    """Return the scope that a request gets; raise a Refusal if the request asks for too much."""
    allowed_scopes = tuple(sorted(client.scopes)) if allowed is None else allowed
    scope = allowed_scopes if request is None else tuple(sorted(set(request.split(" "))))
    if not set(scope) <= set(allowed_scopes):
        raise Refusal("invalid_scope", "the scope exceeds what the client may request")
    return scope


def challenge_of(verifier: str) -> str:
    """Return the S256 code challenge of a verifier."""
    return digest(verifier.encode())


class People:
    """The people whom the authorization server asks, with their codes and devices.

    Attributes:
        approve: whether a person who is asked in a browser agrees.
        interval: seconds that a device must wait between polls. lifetime: seconds that a login
            may take.
        hasty: the number of polls that came too early.
    """

    def __init__(self) -> None:
        self.approve = True
        self.interval = 5
        self.device_lifetime = 600
        self.hasty = 0
        self._codes: dict[str, Code] = {}
        self._devices: dict[str, Device] = {}

    # --- in a browser ------------------------------------------------------

    def ask(self, call: Call, clients: Mapping[str, Client], issuer: str) -> Answer:
        """Redirect a person back to the client, with a code or with an error (RFC 6749, 4.1.2)."""
        requests = {name: values[0] for name, values in call.query.items() if len(values) == 1}
        client = clients.get(requests.get("client_id", ""))
        if client is None:
            raise Refusal("invalid_request", "there is no such client")
        target = requests.get("redirect_uri") or _only_redirect_uri(client)
        if not any(_same_place(target, registered_uri) for registered_uri in client.redirect_uris):
            raise Refusal("invalid_request", "redirect_uri is not registered")
        redirect_parameters = {"state": requests["state"]} if "state" in requests else {}
        try:
            require(len(requests) == len(call.query), "invalid_request", "a parameter occurs twice")
            redirect_parameters["code"] = self._code(requests, client, call.now)
        except Refusal as refusal:
            redirect_parameters |= {
                "error": refusal.error,
                "error_description": refusal.description,
            }
        separator = "&" if urlsplit(target).query else "?"
        location = f"{target}{separator}{urlencode(redirect_parameters | {'iss': issuer})}"
        return Answer(status=302, headers=(("Location", location), ("Cache-Control", "no-store")))

    def _code(self, fields: Mapping[str, str], client: Client, now: datetime) -> str:
        if "response_type" not in fields:
            raise Refusal("invalid_request", "response_type is missing")
        if fields["response_type"] != "code":
            raise Refusal(
                "unsupported_response_type", "this server supports only response_type=code"
            )
        if CODE not in client.grants:
            raise Refusal("unauthorized_client", "the client may not use authorization codes")
        if fields.get("code_challenge_method") != "S256":
            raise Refusal("invalid_request", "code_challenge_method is not S256")
        if not _CHALLENGE.fullmatch(fields.get("code_challenge", "")):
            raise Refusal("invalid_request", "code_challenge is not a SHA-256 in base64url")
        scope = granted_scope(client, fields.get("scope"))
        if not self.approve or fields.get("person") == "denies":
            raise Refusal("access_denied", "the person refused the request")
        text = f"code-{secrets.token_urlsafe(18)}"
        self._codes[text] = Code(
            client=client,
            scope=scope,
            redirect_uri=fields.get("redirect_uri"),
            challenge=fields["code_challenge"],
            jkt=fields.get("dpop_jkt"),
            expires=now + CODE_LIFETIME,
        )
        return text

    def redeem(self, call: Call, client: Client, jkt: str | None) -> Code:
        """Redeem an authorization code for a client; a code is valid once."""
        code = self._codes.get(call.needed_parameter("code"))
        if code is None or code.client.id != client.id:
            raise Refusal("invalid_grant", "the client has no such authorization code")
        if code.family is not None:
            code.family.live = False
            raise Refusal("invalid_grant", "the code was used before")
        if call.now >= code.expires:
            raise Refusal("invalid_grant", "the code has expired")
        if call.optional_parameter("redirect_uri") != code.redirect_uri:
            raise Refusal("invalid_grant", "redirect_uri differs from the authorization request")
        if code.jkt not in {None, jkt}:
            raise Refusal("invalid_grant", "the authorization code is bound to another key")
        verifier = call.needed_parameter("code_verifier")
        if not _VERIFIER.fullmatch(verifier) or challenge_of(verifier) != code.challenge:
            raise Refusal("invalid_grant", "code_verifier does not match the code_challenge")
        return code

    # --- with a device -----------------------------------------------------

    def begin(self, call: Call, client: Client, url: str) -> dict[str, Any]:
        """Start a device login, and return its codes."""
        alphabet = "BCDFGHJKLMNPQRSTVWXZ"
        letters = "".join(secrets.choice(alphabet) for _ in range(8))
        device = Device(
            client=client,
            scope=granted_scope(client, call.optional_parameter("scope")),
            user_code=f"{letters[:4]}-{letters[4:]}",
            interval=self.interval,
            expires=call.now + timedelta(seconds=self.device_lifetime),
        )
        text = f"device-{secrets.token_urlsafe(18)}"
        self._devices[text] = device
        page = f"{url}/device"
        return {
            "device_code": text,
            "user_code": device.user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={device.user_code}",
            "expires_in": self.device_lifetime,
            "interval": device.interval,
        }

    def decide(self, user_code: str, *, approve: bool) -> None:
        """Approve or reject the device that shows this code."""
        (device,) = (device for device in self._devices.values() if device.user_code == user_code)
        device.decision = approve

    def poll(self, call: Call, client: Client) -> Device:
        """Return a polling device, once a person has approved it."""
        device = self._devices.get(call.needed_parameter("device_code"))
        if device is None or device.used or device.client.id != client.id:
            raise Refusal("invalid_grant", "the client has no such device code")
        if call.now >= device.expires:
            raise Refusal("expired_token", "the device code has expired")
        if device.decision is False:
            raise Refusal("access_denied", "the person refused the request")
        if device.decision is None:
            self._hold(device, call.now)
        return device

    def _hold(self, device: Device, now: datetime) -> None:
        last_poll, device.polled = device.polled, now
        if last_poll is not None and now < last_poll + timedelta(seconds=device.interval):
            self.hasty += 1
            device.interval += _SLOWER_BY
            raise Refusal("slow_down", "the device sends requests too often")
        raise Refusal("authorization_pending", "the person has not decided yet")


def _only_redirect_uri(client: Client) -> str:
    if len(client.redirect_uris) != 1:
        raise Refusal("invalid_request", "redirect_uri is missing")
    return client.redirect_uris[0]


def _same_place(request: str, existing: str) -> bool:
    """Return whether two URIs are equal, ignoring the port of a loopback address."""
    one, registered_url = urlsplit(request), urlsplit(existing)
    if registered_url.scheme == "http" and registered_url.hostname in _LOOPBACK:
        portless_urls = (
            one._replace(netloc=one.hostname or ""),
            registered_url._replace(netloc=registered_url.hostname),
        )
        return portless_urls[0] == portless_urls[1] and "@" not in one.netloc
    return request == existing
