"""The rules of the test authorization server and of the resource that it protects.

Each method gets a request and returns the response; the server does the listening and injects
the faults. The caller of a method must hold the server's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

from tests.support.authorization_jwt import ALGORITHMS, digest
from tests.support.authorization_people import People, granted_scope
from tests.support.authorization_tokens import Binding
from tests.support.authorization_values import (
    ACCESS_TOKEN,
    ASSERTION,
    CLIENT,
    CODE,
    DEVICE,
    EXCHANGE,
    GRANTS,
    JWT_TOKEN,
    REFRESH,
    REFRESH_TOKEN,
    Answer,
    Refusal,
    require,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from tests.support.authorization_proofs import ClientAuthenticator
    from tests.support.authorization_tokens import AccessToken, Family, Ledger
    from tests.support.authorization_values import Call, Client

_METHODS: Final = {
    "/token": {"POST"},
    "/revoke": {"POST"},
    "/device_authorization": {"POST"},
    "/authorize": {"GET"},
    "/resource": {"GET", "POST"},
}
_NOT_FOR_IT: Final = "the client may not use this grant"
_REPEATABLE: Final = frozenset({"resource", "audience"})  # RFC 8693 and 8707


class Authority:
    """Decides about every request to the authorization server.

    Attributes:
        url: the server's URL, without a slash at the end.
        issuer: the real issuer URL.
        claimed: the issuer URL that the server claims.
        targets: the existing resources and audiences; empty if all are accepted.
        ledger: the tokens.
        door: authenticates the clients.
        people: decides for the people who are asked for consent.
        needed_scope: the scope that a token needs for the resource.
        more_metadata: entries that are added to the metadata or replace others.
    """

    def __init__(self, url: str, issuer: str, ledger: Ledger, door: ClientAuthenticator) -> None:
        self.url = url
        self.issuer = issuer
        self.claimed = issuer
        self.targets: frozenset[str] | None = None
        self.ledger = ledger
        self.door = door
        self.people = People()
        self.needed_scope: str | None = None
        self.more_metadata: dict[str, Any] = {}
        self._grants: Mapping[str, Callable[[Call, Client, Binding], dict[str, Any]]] = {
            CLIENT: self._for_itself,
            REFRESH: self._refresh,
            CODE: self._code,
            DEVICE: self._device,
            ASSERTION: self._assertion,
            EXCHANGE: self._exchange,
        }

    def answer(self, call: Call, noted: dict[str, Any]) -> Answer:
        """Return the response to a request, and record the request's details."""
        path = urlsplit(call.url).path
        if path in self._well_known():
            return self.metadata()
        allowed_methods = _METHODS.get(path)
        if allowed_methods is None:
            return Answer(status=404, members={"error": "not_found"}, headers=())
        if call.method not in allowed_methods:
            text = (("Allow", ", ".join(sorted(allowed_methods))),)
            return Answer(status=405, members={"error": "invalid_request"}, headers=text)
        match path:
            case "/token":
                return self._with_nonce(self.token(call, noted), "token")
            case "/resource":
                return self._with_nonce(self.resource(call, noted), "resource")
            case "/revoke":
                return self.revoke(call)
            case "/authorize":
                return self.authorize(call)
            case _:
                return self.device(call)

    def _well_known(self) -> set[str]:
        """Return the paths at which RFC 8414 and OpenID place the metadata."""
        path = self.issuer.removeprefix(self.url)
        return {
            f"/.well-known/oauth-authorization-server{path}",
            f"/.well-known/openid-configuration{path}",
            f"{path}/.well-known/openid-configuration",
        }

    def _with_nonce(self, answer: Answer, place: str) -> Answer:
        if not self.door.nonces_required:
            return answer
        nonce = ("DPoP-Nonce", self.door.nonce(place))
        return attrs.evolve(answer, headers=(*answer.headers, nonce))

    # --- the token endpoint ------------------------------------------------

    def token(self, call: Call, noted: dict[str, Any]) -> Answer:
        """Return the response to a token request, and record the request's details."""
        try:
            _check_form(call)
            noted["refresh_number"] = self._number(call.optional_parameter("refresh_token"))
            grant = noted["grant"] = call.needed_parameter("grant_type")
            client, method = self._client(call)
            noted |= {"client": client.id, "method": method}
            binding = self._binding(call, client)
            noted["proven"] = binding.jkt is not None
            require(grant in self._grants, "unsupported_grant_type", "there is no such grant here")
            require(grant in client.grants, "unauthorized_client", _NOT_FOR_IT)
            return Answer(members=self._grants[grant](call, client, binding))
        except Refusal as refusal:
            noted["error"] = refusal.error
            return refusal.answer()

    def _number(self, text: str | None) -> int | None:
        token = self.ledger.refresh.get(text or "")
        return token.number if token else None

    def _client(self, call: Call) -> tuple[Client, str]:
        return self.door.client(call, frozenset({self.issuer, f"{self.url}/token"}))

    def _binding(self, call: Call, client: Client) -> Binding:
        jkt = self.door.proof(call, "token")
        if client.dpop and jkt is None:
            raise Refusal(
                "invalid_dpop_proof", "the client is registered for DPoP, so a proof is required"
            )
        return Binding(jkt=jkt, x5t=digest(call.certificate) if call.certificate else None)

    def _for_itself(self, call: Call, client: Client, binding: Binding) -> dict[str, Any]:
        if not client.confidential:
            raise Refusal("unauthorized_client", "the client has no secret")
        scope = granted_scope(client, call.optional_parameter("scope"))
        family = self.ledger.family(client, client.id, scope, binding)
        return self.ledger.open(family, call.now, binding, targets=self._targets(call))

    def _refresh(self, call: Call, client: Client, binding: Binding) -> dict[str, Any]:
        token = self.ledger.usable(
            call.needed_parameter("refresh_token"), client, binding, call.now
        )
        scope = granted_scope(client, call.optional_parameter("scope"), token.family.scope)
        targets = self._targets(call)
        opened_members = self.ledger.open(
            token.family, call.now, binding, scope=scope, targets=targets
        )
        return opened_members | self.ledger.use(token, call.now)

    def _code(self, call: Call, client: Client, binding: Binding) -> dict[str, Any]:
        code = self.people.redeem(call, client, binding.jkt)
        targets = self._targets(call)
        code.family = self.ledger.family(client, "a person", code.scope, binding)
        return self._open_with_renewal(code.family, call.now, binding, targets)

    def _device(self, call: Call, client: Client, binding: Binding) -> dict[str, Any]:
        device = self.people.poll(call, client)
        targets = self._targets(call)
        device.used = True
        family = self.ledger.family(client, "a person", device.scope, binding)
        return self._open_with_renewal(family, call.now, binding, targets)

    def _open_with_renewal(
        self, family: Family, now: datetime, binding: Binding, targets: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        opened_members = self.ledger.open(family, now, binding, targets=targets)
        if REFRESH not in family.client.grants:
            return opened_members
        return opened_members | self.ledger.renewal(family, now)

    def _assertion(self, call: Call, client: Client, binding: Binding) -> dict[str, Any]:
        subject = self.door.subject(call, frozenset({self.issuer, f"{self.url}/token"}))
        scope = granted_scope(client, call.optional_parameter("scope"))
        family = self.ledger.family(client, subject, scope, binding)
        return self.ledger.open(family, call.now, binding, targets=self._targets(call))

    def _exchange(self, call: Call, client: Client, binding: Binding) -> dict[str, Any]:
        subject = self._exchanged(call, "subject_token")
        if call.optional_parameter("actor_token"):
            self._exchanged(call, "actor_token")
        elif call.optional_parameter("actor_token_type"):
            raise Refusal("invalid_request", "actor_token_type requires an actor_token")
        target = call.optional_parameter("requested_token_type") or ACCESS_TOKEN
        if target not in {ACCESS_TOKEN, JWT_TOKEN}:
            raise Refusal("invalid_request", "this server issues no token of the requested type")
        scope = granted_scope(client, call.optional_parameter("scope"), subject.scope)
        targets = self._targets(call)
        family = self.ledger.family(client, subject.subject, scope, binding)
        opened_members = self.ledger.open(family, call.now, binding, targets=targets)
        return opened_members | {"issued_token_type": target}

    def _exchanged(self, call: Call, name: str) -> Family:
        """Return the grant of a token that is presented for exchange (RFC 8693, section 2.2.2)."""
        text, kind = call.needed_parameter(name), call.needed_parameter(f"{name}_type")
        opener, renewal = self.ledger.access.get(text), self.ledger.refresh.get(text)
        if (
            kind in {ACCESS_TOKEN, JWT_TOKEN}
            and opener is not None
            and opener.is_accepted(call.now)
        ):
            return opener.family
        if kind == REFRESH_TOKEN and renewal is not None and renewal.family.live:
            return renewal.family
        raise Refusal("invalid_request", f"{name} is not valid")

    def _targets(self, call: Call) -> tuple[str, ...]:
        resources = call.form.get("resource", ())
        for resource in resources:
            place = urlsplit(resource)
            if not place.scheme or "#" in resource:
                raise Refusal("invalid_target", "resource is not an absolute URI")
        targets = (*resources, *call.form.get("audience", ()))
        if self.targets is not None and not self.targets.issuperset(targets):
            raise Refusal("invalid_target", "there is no such resource or audience")
        return targets

    def seed(
        self, client: Client, scope: str | None, binding: Binding, now: datetime
    ) -> dict[str, Any]:
        """Issue tokens as if a person had agreed."""
        family = self.ledger.family(client, "a person", granted_scope(client, scope), binding)
        return self._open_with_renewal(family, now, binding)

    # --- the other endpoints -----------------------------------------------

    def revoke(self, call: Call) -> Answer:
        """Revoke a token; an unknown token counts as revoked (RFC 7009)."""
        try:
            _check_form(call)
            client, _ = self._client(call)
            self.ledger.revoke(call.needed_parameter("token"), client)
        except Refusal as refusal:
            return refusal.answer()
        return Answer()

    def device(self, call: Call) -> Answer:
        """Start a device login (RFC 8628, section 3.1)."""
        try:
            _check_form(call)
            client, _ = self._client(call)
            require(DEVICE in client.grants, "unauthorized_client", _NOT_FOR_IT)
            return Answer(members=self.people.begin(call, client, self.url))
        except Refusal as refusal:
            return refusal.answer()

    def authorize(self, call: Call) -> Answer:
        """Ask a person for consent; errors in the client's own data are not redirected."""
        try:
            return self.people.ask(call, self.door.clients, self.claimed)
        except Refusal as refusal:
            return refusal.answer()

    def metadata(self) -> Answer:
        """Return the server's metadata (RFC 8414)."""
        methods = sorted({client.method for client in self.door.clients.values()})
        members = {
            "issuer": self.claimed,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "revocation_endpoint": f"{self.url}/revoke",
            "device_authorization_endpoint": f"{self.url}/device_authorization",
            "response_types_supported": ["code"],
            "grant_types_supported": sorted(GRANTS),
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": methods,
            "token_endpoint_auth_signing_alg_values_supported": [*ALGORITHMS, "HS256"],
            "dpop_signing_alg_values_supported": [*ALGORITHMS],
            "authorization_response_iss_parameter_supported": True,
            "tls_client_certificate_bound_access_tokens": self.url.startswith("https:"),
        }
        return Answer(members=members | self.more_metadata, headers=())

    # --- the resource ------------------------------------------------------

    def resource(self, call: Call, noted: dict[str, Any]) -> Answer:
        """Return the response to a request for the protected resource (RFC 6750, RFC 9449, 7)."""
        scheme, _, text = (call.fields.get("authorization") or ("",))[0].partition(" ")
        kind = "DPoP" if scheme.lower() == "dpop" or "dpop" in call.fields else "Bearer"
        token = self.ledger.access.get(text.strip())
        noted["access_number"] = token.number if token else None
        try:
            result = self._accepted_token(call, scheme.lower(), text.strip())
        except Refusal as refusal:
            noted["error"] = refusal.error or None
            return _challenge(refusal, kind)
        return Answer(
            members={
                "sub": result.family.subject,
                "client_id": result.family.client.id,
                "scope": " ".join(result.scope),
                "number": result.number,
                "targets": list(result.targets),
                "cnf": result.binding.confirmation,
            }
        )

    def _accepted_token(self, call: Call, scheme: str, text: str) -> AccessToken:
        if "access_token" in call.query or "access_token" in call.form:
            raise Refusal("invalid_request", "a token must be in the Authorization header")
        if len(call.fields.get("authorization", ())) > 1:
            raise Refusal("invalid_request", "the Authorization header must occur only once")
        if scheme not in {"bearer", "dpop"} or not text:
            raise Refusal("", "nothing was presented", status=401)
        token = self.ledger.access.get(text)
        if token is None or not token.is_accepted(call.now):
            raise Refusal("invalid_token", "the token is not known or has expired", status=401)
        if (token.binding.jkt is not None) != (scheme == "dpop"):
            raise Refusal(
                "invalid_token", "the token belongs to another authentication scheme", status=401
            )
        if token.binding.jkt is not None:
            self._check_proof(call, token, text)
        shown_thumbprint = digest(call.certificate) if call.certificate else None
        if token.binding.x5t not in {None, shown_thumbprint}:
            raise Refusal("invalid_token", "the token is bound to a certificate", status=401)
        if self.needed_scope is not None and self.needed_scope not in token.scope:
            raise Refusal(
                "insufficient_scope", "the scope of the token does not allow this", status=403
            )
        return token

    def _check_proof(self, call: Call, token: AccessToken, text: str) -> None:
        try:
            jkt = self.door.proof(call, "resource", text)
        except Refusal as refusal:
            raise Refusal(refusal.error, refusal.description, status=401) from None
        if jkt is None:
            raise Refusal("invalid_dpop_proof", "the proof is missing", status=401)
        if jkt != token.binding.jkt:
            raise Refusal("invalid_token", "the token is bound to another key", status=401)


def _check_form(call: Call) -> None:
    """Refuse a body that is not a form as RFC 6749, section 3.2, requires."""
    if not call.formed:
        raise Refusal("invalid_request", "the body is not application/x-www-form-urlencoded")
    if call.query:
        raise Refusal("invalid_request", "parameters must be in the body")
    for name, values in call.form.items():
        if len(values) > 1 and name not in _REPEATABLE:
            raise Refusal("invalid_request", "a parameter occurs twice")


def _challenge(refusal: Refusal, scheme: str) -> Answer:
    """Return the resource's refusal; without a token it has no error code (RFC 6750, 3.1)."""
    fields = {"error": refusal.error, "error_description": refusal.description}
    if scheme == "DPoP":
        fields["algs"] = " ".join(ALGORITHMS)
    challenge_parameters = ", ".join(
        f'{name}="{text}"' for name, text in fields.items() if refusal.error
    )
    header = (
        "WWW-Authenticate",
        f"{scheme} {challenge_parameters}"
        if challenge_parameters
        else f'{scheme} realm="resource"',
    )
    return Answer(status=refusal.status, members={"error": refusal.error}, headers=(header,))
