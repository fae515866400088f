"""Where an authorisation server is asked, and how it says so itself (RFC 8414)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

from moorage.domain.frames import careful
from moorage.domain.urls import validate_base_url
from moorage.errors import ConfigurationError, InvalidData, VendorFailed

if TYPE_CHECKING:
    from typing import Self

_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_WELL_KNOWN: Final = "/.well-known/oauth-authorization-server"
_OPENID: Final = "/.well-known/openid-configuration"


def checked_url(url: object, path: str) -> str:
    """`url` as one that tokens may be sent to: HTTPS, or this machine itself.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        validate_base_url(url.partition("?")[0] if isinstance(url, str) else "")
    except InvalidData:
        problem = "is no URL with a host and no user name"
    else:
        parts = urlsplit(str(url))
        if parts.scheme.lower() == "https" or parts.hostname in _LOCAL:
            return str(url)
        problem = "is not HTTPS"
    raise ConfigurationError(
        f"The URL given for {path} {problem}.",
        path=path,
        remedy="Give the https:// URL that the authorisation server documents.",
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


@careful
@attrs.frozen(kw_only=True)
class AuthorizationServer:
    """An authorisation server, by the names of RFC 8414.

    Attributes:
        token_endpoint: where tokens are asked for.
        issuer: what it calls itself; who answers for another is refused.
        authorization_endpoint: where a person is sent to give consent.
        device_authorization_endpoint: where a device asks for a code that a person types in.
        revocation_endpoint: where tokens are given back.
        mtls_endpoint_aliases: the endpoints for those who show a certificate (RFC 8705).
        token_endpoint_auth_methods_supported: how clients may say who they are, if it tells.
        code_challenge_methods_supported: the ways of PKCE, if it tells.
        authorization_response_iss_parameter_supported: whether it names itself when it sends a
            person back (RFC 9207).
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

    @classmethod
    def from_metadata(cls, issuer: str, metadata: object) -> Self:
        """Read the document in which an authorisation server describes itself.

        Raises:
            VendorFailed: it describes another one, or nothing that could be used.
        """
        if not isinstance(metadata, Mapping) or metadata.get("issuer") != issuer:  # pyright: ignore[reportUnknownMemberType]
            raise VendorFailed(
                "The authorisation server's metadata are not of the issuer that was asked.",
                remedy="Give the issuer exactly as the authorisation server writes it.",
            )
        told: Mapping[str, Any] = metadata  # pyright: ignore[reportUnknownVariableType]
        fields = {field.name: told[field.name] for field in attrs.fields(cls) if field.name in told}
        try:
            return cls(**fields)
        except (ConfigurationError, TypeError, ValueError, AttributeError):
            pass
        raise VendorFailed(
            "The authorisation server's metadata have no usable token_endpoint, or another"
            " endpoint that is not HTTPS.",
            remedy="Describe the server by hand with AuthorizationServer, and tell who runs it.",
        )

    def at(self, endpoint: str, *, with_certificate: bool = False) -> str:
        """The URL of an endpoint; that for certificates, if there is one and we show one."""
        url: str | None = getattr(self, endpoint)
        if with_certificate:
            url = self.mtls_endpoint_aliases.get(endpoint, url)
        if url is None:
            raise ConfigurationError(
                f"The authorisation server has no {endpoint}.",
                path=endpoint,
                remedy="Give it, or discover the server by its issuer.",
            )
        return url


def well_known(issuer: str) -> tuple[str, ...]:
    """Where the metadata of an issuer may lie, most likely first: OAuth's way, then OpenID's."""
    checked_url(issuer, "issuer")
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    return f"{origin}{_WELL_KNOWN}{path}", f"{origin}{path}{_OPENID}"
