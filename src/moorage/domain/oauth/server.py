"""The endpoints of an authorisation server, and its metadata (RFC 8414)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

from moorage.domain.http.urls import validate_base_url
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.errors import ConfigurationError, InvalidData, VendorFailed

if TYPE_CHECKING:
    from typing import Self

_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_WELL_KNOWN: Final = "/.well-known/oauth-authorization-server"
_OPENID: Final = "/.well-known/openid-configuration"


def checked_url(url: object, path: str) -> str:
    """Return a URL if it is safe for tokens: with HTTPS, or on this machine.

    Raises:
        ConfigurationError: tokens may not be sent to this URL.
    """
    try:
        validate_base_url(url.partition("?")[0] if isinstance(url, str) else "")
    except InvalidData:
        problem = "is not a URL with a host and without a user name"
    else:
        parts = urlsplit(str(url))
        if parts.scheme.lower() == "https" or parts.hostname in _LOCAL:
            return str(url)
        problem = "is not HTTPS"
    raise ConfigurationError(
        f"The URL given for {path} {problem}.",
        path=path,
        remedy="Set the https:// URL that the authorisation server documents.",
    )


def _endpoint(_: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None:
        checked_url(value, attribute.name)


def _endpoints(_: object, attribute: attrs.Attribute[Any], value: Mapping[str, str]) -> None:
    for name, url in value.items():
        checked_url(url, f"{attribute.name}.{name}")


def _aliases(value: Mapping[str, str]) -> dict[str, str]:
    return dict(value)


def _names(value: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


@with_careful_constructor
@attrs.frozen(kw_only=True)
class AuthorizationServer:
    """The URLs and abilities of an authorisation server, named as in RFC 8414.

    Attributes:
        token_endpoint: the URL from which tokens are requested.
        issuer: the server's name for itself; a response in the name of another issuer is refused.
        authorization_endpoint: the URL to which a person is sent to give consent.
        device_authorization_endpoint: the URL from which a device requests a code for a person.
        revocation_endpoint: the URL at which tokens are revoked.
        mtls_endpoint_aliases: the endpoints for clients with a TLS certificate (RFC 8705).
        token_endpoint_auth_methods_supported: the supported ways to authenticate, if known.
        code_challenge_methods_supported: the supported methods of PKCE, if known.
        authorization_response_iss_parameter_supported: whether the server states its issuer
            name when it sends a person back (RFC 9207).
        own_names: the server's own names for parameters of token requests and for fields of
            responses, by OAuth's names, such as {"access_token": "access"}; a parameter with an
            empty
            name is not sent.
    """

    token_endpoint: str = attrs.field(validator=_endpoint)
    issuer: str | None = attrs.field(default=None, validator=_endpoint)
    authorization_endpoint: str | None = attrs.field(default=None, validator=_endpoint)
    device_authorization_endpoint: str | None = attrs.field(default=None, validator=_endpoint)
    revocation_endpoint: str | None = attrs.field(default=None, validator=_endpoint)
    mtls_endpoint_aliases: Mapping[str, str] = attrs.field(
        factory=dict[str, str], converter=_aliases, validator=_endpoints, hash=False
    )
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = attrs.field(
        default=None, converter=_names
    )
    code_challenge_methods_supported: tuple[str, ...] | None = attrs.field(
        default=None, converter=_names
    )
    authorization_response_iss_parameter_supported: bool = False
    own_names: Mapping[str, str] = attrs.field(
        factory=dict[str, str], converter=_aliases, hash=False
    )

    @classmethod
    def from_metadata(cls, issuer: str, metadata: object) -> Self:
        """Return the server that a metadata document describes.

        Raises:
            VendorFailed: the document describes another server, or lacks a usable endpoint.
        """
        if not isinstance(metadata, Mapping) or metadata.get("issuer") != issuer:  # pyright: ignore[reportUnknownMemberType]  # parsed JSON
            raise VendorFailed(
                "The metadata of the authorisation server names another issuer.",
                remedy="Set the issuer exactly as the authorisation server writes it.",
            )
        members: Mapping[str, Any] = metadata  # pyright: ignore[reportUnknownVariableType]  # parsed JSON
        fields = {
            field.name: members[field.name]
            for field in attrs.fields(cls)
            if field.name in members and field.name != "own_names"
        }
        try:
            return cls(**fields)
        except (ConfigurationError, InvalidData, TypeError):
            pass
        raise VendorFailed(
            "The metadata of the authorisation server has no token_endpoint, or has an"
            " endpoint without HTTPS.",
            remedy="Describe the server with AuthorizationServer, and inform its operator.",
        )

    def at(self, endpoint: str, *, with_certificate: bool = False) -> str:
        """Return the URL of one of the server's endpoints.

        With a certificate, return the URL for certificates if there is one.
        """
        url: str | None = getattr(self, endpoint)
        if with_certificate:
            url = self.mtls_endpoint_aliases.get(endpoint, url)
        if url is None:
            raise ConfigurationError(
                f"The authorisation server has no {endpoint}.",
                path=endpoint,
                remedy="Set the endpoint in AuthorizationServer, or discover the server by"
                " its issuer.",
            )
        return url


def well_known(issuer: str) -> tuple[str, ...]:
    """Return the URLs at which an issuer may publish its metadata."""
    checked_url(issuer, "issuer")
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    return f"{origin}{_WELL_KNOWN}{path}", f"{origin}{path}{_OPENID}"
