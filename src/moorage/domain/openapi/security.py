"""The security schemes of an OpenAPI description, as authentication methods without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

import attrs

from moorage.domain.auth.methods import AuthMethod, Credentials
from moorage.domain.http.headers import check_settable
from moorage.domain.oauth.client import OAuthClient
from moorage.domain.openapi.document import Node, refusal
from moorage.domain.secrets.frames import without_arguments_in_errors
from moorage.domain.values.json_text import is_object
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.openapi.document import Document
    from moorage.domain.secrets.secret import Secret

_HTTP: Final = {
    "basic": AuthMethod.BASIC,
    "bearer": AuthMethod.BEARER,
    "digest": AuthMethod.DIGEST,
    "negotiate": AuthMethod.NEGOTIATE,
}
_API_KEYS: Final = {
    "header": AuthMethod.API_KEY_HEADER,
    "query": AuthMethod.API_KEY_QUERY,
}


@attrs.frozen(kw_only=True)
class SecurityScheme:
    """An authentication method of an OpenAPI description, without the secret.

    Attributes:
        name: the name in the description.
        method: the way in which requests carry the credentials.
        parameter: the name of the header or query parameter that carries an API key.
        token_url: the token endpoint of OAuth's client credentials.
        scopes: the scopes that can be requested there, sorted.
    """

    name: str
    method: AuthMethod
    parameter: str | None = None
    token_url: str | None = None
    scopes: tuple[str, ...] = ()

    @without_arguments_in_errors
    def credentials(
        self, secret: Secret | str | None = None, *, username: str | None = None
    ) -> Credentials:
        """Return credentials for this security scheme, made from a secret.

        Args:
            secret: the password, token or key; TLS certificates and Kerberos need none.
            username: the user name, for Basic and Digest.

        Raises:
            InvalidData: the scheme needs an `OAuthClient`, or other values than the given ones.
        """
        if self.method is AuthMethod.OAUTH2:
            raise InvalidData(
                f"The scheme {self.name!r} requires tokens from an authorisation server.",
                field="secret",
                remedy="Use oauth_client(), and pass the client to a token refresher.",
            )
        return Credentials(
            method=self.method, username=username, secret=secret, name=self.parameter
        )

    @without_arguments_in_errors
    def oauth_client(
        self,
        client_id: str,
        secret: Secret | str,
        *,
        scope: tuple[str, ...] = (),
        base_url: str | None = None,
    ) -> OAuthClient:
        """Return the OAuth client that gets tokens for this security scheme.

        Args:
            client_id: the id under which the application is registered.
            secret: the client's password.
            scope: the scopes to request.
            base_url: the base URL of the service, for a token endpoint that is relative to it.

        Raises:
            InvalidData: the scheme has no token endpoint.
        """
        if self.token_url is None:
            raise InvalidData(
                f"The scheme {self.name!r} does not use OAuth.",
                field="client_id",
                remedy="Use credentials().",
            )
        url = self.token_url if base_url is None else urljoin(f"{base_url}/", self.token_url)
        return OAuthClient(server=url, client_id=client_id, secret=secret, scope=scope)


def security_scheme(document: Document, name: str) -> SecurityScheme:
    """Return the security scheme with this name.

    Raises:
        Unmapped: the scheme does not exist, or moorage does not support it.
    """
    schemes = document.root.child("components").child("securitySchemes")
    node = schemes.child(name)
    if node.value is None:
        raise refusal(
            node.pointer,
            f"The security scheme {name[:100]!r} is not described.",
            "Describe the scheme, or correct its name in the security requirement.",
        )
    node = document.resolved(node)
    kind, remedy = (
        node.text("type"),
        ("Pass another scheme in security=, or leave the operations out."),
    )
    if kind == "http":
        method = _HTTP.get((node.text("scheme") or "").lower())
        if method is not None:
            return SecurityScheme(name=name, method=method)
        problem = f"The HTTP authentication {node.text('scheme')!r} is not supported."
    elif kind == "apiKey":
        method, parameter = _API_KEYS.get(node.text("in") or ""), node.text("name")
        if method is not None and parameter:
            return _checked_key(name, method, parameter, node)
        problem = f"An API key in {node.text('in')!r} is not supported."
    elif kind == "mutualTLS":
        return SecurityScheme(name=name, method=AuthMethod.MTLS)
    elif kind == "oauth2":
        return _oauth_scheme(name, node)
    else:
        problem = f"The security type {kind!r} is not supported."
    raise refusal(node.pointer, problem, remedy)


def _checked_key(name: str, method: AuthMethod, parameter: str, node: Node) -> SecurityScheme:
    if method is AuthMethod.API_KEY_HEADER:
        problem: str | None = None
        try:
            check_settable(parameter, "name")
        except InvalidData as error:
            problem = error.message
        if problem is not None:
            raise refusal(node.child("name").pointer, problem, "Correct the header's name.")
    return SecurityScheme(name=name, method=method, parameter=parameter)


def _oauth_scheme(name: str, node: Node) -> SecurityScheme:
    flow = node.child("flows").child("clientCredentials")
    token_url = flow.text("tokenUrl")
    if token_url is None:
        flows = ", ".join(kind for kind, _ in node.child("flows").children()) or "none"
        raise refusal(
            node.child("flows").pointer,
            f"The OAuth 2 scheme has no client-credentials flow. Its flows are: {flows}.",
            "Pass another scheme in security=. Alternatively, get tokens with OAuthConsent,"
            " and create the Service with its server and endpoints yourself.",
        )
    scopes = flow.child("scopes").value
    return SecurityScheme(
        name=name,
        method=AuthMethod.OAUTH2,
        token_url=token_url,
        scopes=tuple(sorted(map(str, scopes))) if is_object(scopes) else (),
    )


def alternatives(requirement: Node) -> tuple[frozenset[str], ...] | None:
    """Return the alternative sets of security schemes for a request; None if malformed."""
    if requirement.value is None:
        return (frozenset(),)
    names = [
        frozenset(map(str, item.value)) for item in requirement.items() if is_object(item.value)
    ]
    if len(names) != len([*requirement.items()]):
        return None
    return tuple(names) or (frozenset(),)
