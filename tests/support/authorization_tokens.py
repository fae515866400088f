"""The tokens that the test authorization server issued, and their states.

A family consists of all access and refresh tokens that come from one grant. It is revoked as a
whole, on request or when a used refresh token is sent again.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs

from tests.support.authorization_values import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tests.support.authorization_values import Client


@attrs.frozen(kw_only=True)
class Binding:
    """The thumbprints of the key and the certificate that a token is bound to."""

    jkt: str | None = None
    x5t: str | None = None

    @property
    def confirmation(self) -> dict[str, str]:
        """Return the binding as a `cnf` claim (RFC 7800)."""
        confirmations = {"jkt": self.jkt, "x5t#S256": self.x5t}
        return {name: value for name, value in confirmations.items() if value is not None}


@attrs.define(kw_only=True, eq=False)
class Family:
    """The family of tokens that come from one grant.

    Attributes:
        number: the family's number, counted from one.
        client: the client that the tokens were issued to.
        subject: the person that the tokens are about.
        scope: the granted scope.
        binding: the key and certificate that the refresh tokens are bound to.
        renewable: whether there are any refresh tokens.
        live: whether the family is not revoked.
    """

    number: int
    client: Client
    subject: str
    scope: tuple[str, ...]
    binding: Binding
    renewable: bool = False
    live: bool = True


@attrs.define(kw_only=True, eq=False)
class AccessToken:
    """A token that gives access to the resource."""

    number: int
    family: Family
    scope: tuple[str, ...]
    expires: datetime
    binding: Binding
    targets: tuple[str, ...] = ()
    live: bool = True

    def is_accepted(self, now: datetime) -> bool:
        """Return whether the resource accepts this token."""
        return self.live and self.family.live and now < self.expires


@attrs.define(kw_only=True, eq=False)
class RefreshToken:
    """A token that can be exchanged for new tokens."""

    number: int
    family: Family
    expires: datetime | None
    uses: int = 0


class Ledger:
    """All issued tokens, by their text.

    Attributes:
        rotating: whether a refresh token can be used once only.
        grace: how often a used refresh token may be sent again before that counts as theft.
        access_lifetime: the lifetime of access tokens, in seconds.
        refresh_lifetime: the lifetime of refresh tokens, in seconds; None for unlimited.
        access: the access tokens.
        refresh: the refresh tokens.
        families: the families.
        reuses: how often a used refresh token was sent again.
        rotations: how often a refresh token was exchanged for the next one.
    """

    def __init__(
        self,
        *,
        rotating: bool,
        grace: int,
        access_lifetime: float,
        refresh_lifetime: float | None,
    ) -> None:
        self.rotating = rotating
        self.grace = grace
        self.access_lifetime = access_lifetime
        self.refresh_lifetime = refresh_lifetime
        self.access: dict[str, AccessToken] = {}
        self.refresh: dict[str, RefreshToken] = {}
        self.families: list[Family] = []
        self.reused_token_count = 0
        self.rotations = 0

    def family(
        self, client: Client, subject: str, scope: Iterable[str], binding: Binding
    ) -> Family:
        """Create a family of tokens for one grant, without tokens so far.

        A confidential client's refresh tokens are bound to the client, not to a key
        (RFC 9449, section 5).
        """
        family_binding = Binding() if client.confidential else binding
        number = len(self.families) + 1
        family = Family(
            number=number,
            client=client,
            subject=subject,
            scope=tuple(scope),
            binding=family_binding,
        )
        self.families.append(family)
        return family

    def open(
        self,
        family: Family,
        now: datetime,
        binding: Binding,
        *,
        scope: tuple[str, ...] | None = None,
        targets: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Issue an access token, and return the members of the response that contain it."""
        text = f"at-{len(self.access) + 1}-{secrets.token_urlsafe(18)}"
        self.access[text] = AccessToken(
            number=len(self.access) + 1,
            family=family,
            scope=family.scope if scope is None else scope,
            expires=now + timedelta(seconds=self.access_lifetime),
            binding=binding,
            targets=targets,
        )
        return {
            "access_token": text,
            "token_type": "DPoP" if binding.jkt else "Bearer",
            "expires_in": int(self.access_lifetime),
            "scope": " ".join(self.access[text].scope),
        }

    def renewal(self, family: Family, now: datetime) -> dict[str, Any]:
        """Issue a refresh token, and return the member of the response that contains it."""
        family.renewable = True
        text = f"rt-{len(self.refresh) + 1}-{secrets.token_urlsafe(18)}"
        lifetime = self.refresh_lifetime
        self.refresh[text] = RefreshToken(
            number=len(self.refresh) + 1,
            family=family,
            expires=None if lifetime is None else now + timedelta(seconds=lifetime),
        )
        return {"refresh_token": text}

    def usable(self, text: str, client: Client, binding: Binding, now: datetime) -> RefreshToken:
        """Return a client's refresh token by its text; if it was used before, revoke its family."""
        token = self.refresh.get(text)
        if token is None or token.family.client.id != client.id:
            raise Refusal("invalid_grant", "there is no such refresh token for this client")
        family = token.family
        if not family.live:
            raise Refusal("invalid_grant", "the refresh token was revoked")
        if family.binding != Binding() and family.binding != binding:
            raise Refusal("invalid_grant", "the refresh token is bound to another key")
        if self.rotating and token.uses > self.grace:
            self.reused_token_count += 1
            family.live = False
            raise Refusal("invalid_grant", "the refresh token was used before")
        if token.expires is not None and now >= token.expires:
            raise Refusal("invalid_grant", "the refresh token has expired")
        return token

    def is_unused(self, text: str, now: datetime) -> bool:
        """Return whether a refresh token is valid and unused."""
        token = self.refresh.get(text)
        if token is None or (token.expires is not None and now >= token.expires):
            return False
        return token.family.live and token.uses == 0

    def use(self, token: RefreshToken, now: datetime) -> dict[str, Any]:
        """If tokens rotate, mark a refresh token as used, and return the next one."""
        if not self.rotating:
            return {}
        token.uses += 1
        self.rotations += 1
        return self.renewal(token.family, now)

    def revoke(self, text: str, client: Client) -> None:
        """Revoke a token of this client (RFC 7009)."""
        token = self.refresh.get(text) or self.access.get(text)
        if token is None:
            return
        if token.family.client.id != client.id:
            raise Refusal("unauthorized_client", "the token belongs to another client")
        if isinstance(token, RefreshToken):
            token.family.live = False
        else:
            token.live = False

    def expire(self) -> None:
        """Expire every access token."""
        for token in self.access.values():
            token.live = False

    @property
    def live_families(self) -> int:
        """Return the number of families that can still be renewed."""
        return sum(family.live and family.renewable for family in self.families)
