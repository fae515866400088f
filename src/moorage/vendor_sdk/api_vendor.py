"""The base classes for vendors with an HTTP API, with or without a single secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from moorage.contracts.vendor import Vendor, mode_of_key, mode_of_url
from moorage.domain.auth.methods import Credentials
from moorage.domain.http.requests import Request
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.service.settings import Service
from moorage.domain.values.frozen_values import field, frozen, optional
from moorage.errors import ConfigurationError
from moorage.vendor_sdk.answers import as_answer
from moorage.vendor_sdk.operations import filled_path
from moorage.vendor_sdk.readings import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from attrs import Attribute

    from moorage.contracts.vendor import MakeRef
    from moorage.domain.http.requests import Response
    from moorage.domain.service.safety import Mode
    from moorage.domain.webhooks.events import WebhookEvent
    from moorage.errors import ConnectorError

_MAIN: Final[Mapping[str, str]] = {"": "base_url"}
_NO_HEADERS: Final[Mapping[str, str]] = {}


def _is_page(_: object, attribute: Attribute[Any], value: str) -> None:
    if not value.startswith("https://"):
        raise ConfigurationError(
            "A vendor that needs an API key in the query must name the page of its documentation"
            " that requires this.",
            path=attribute.name,
            remedy="Give the page's https:// address.",
        )


class Classifier(Protocol):
    """The type of functions that return the error for an answer, or None."""

    def __call__(self, request: Request, response: Response, /) -> ConnectorError | None:
        """Return the error for an error response; None to judge by the HTTP status alone."""
        ...


class ReadEvents(Protocol):
    """The type of functions that convert a webhook to events."""

    def __call__(self, event: WebhookEvent, ref: MakeRef, /) -> tuple[Any, ...]:
        """Return the events of a webhook; empty if it is of an unknown type."""
        ...


def bearer() -> Callable[[Any, Secret], Credentials]:
    """Return the `auth` for a vendor that takes its secret as a bearer token."""
    return lambda _, secret: Credentials.bearer(secret)


def basic(user: str) -> Callable[[Any, Secret], Credentials]:
    """Return the `auth` for basic authentication; `user` names the option with the user."""
    return lambda vendor, secret: Credentials.basic(getattr(vendor, user), secret)


def api_key(header: str) -> Callable[[Any, Secret], Credentials]:
    """Return the `auth` for a vendor that takes its secret in a header of its own."""
    return lambda _, secret: Credentials.api_key(secret, header=header)


def path_key(path: str) -> Callable[[Any, Secret], Credentials]:
    """Return the `auth` for a vendor that takes its secret in the path, such as "/bot{key}"."""
    return lambda _, secret: Credentials.api_key(secret, path=path)


def body_key(field: str) -> Callable[[Any, Secret], Credentials]:
    """Return the `auth` for a vendor that takes its secret in a field of each JSON body."""
    return lambda _, secret: Credentials.api_key(secret, body=field)


@frozen
class QueryKey:
    """The `auth` for a vendor that takes its secret in the query and nowhere else.

    Attributes:
        parameter: the name of the query parameter.
        documentation: address of the page by which the vendor takes the secret nowhere else.
    """

    parameter: str
    documentation: str = field(validator=_is_page)

    def __call__(self, _: Any, secret: Secret, /) -> Credentials:
        """Return credentials with the secret in the query."""
        return Credentials.api_key(secret, query=self.parameter)


def query_key(parameter: str, *, documentation: str) -> Callable[[Any, Secret], Credentials]:
    """Return the `auth` for a vendor that takes its secret in the query and nowhere else.

    A secret in a URL may get into the logs of servers and proxies, so a vendor that takes it in a
    header too needs `api_key`.

    Args:
        parameter: the name of the query parameter.
        documentation: address of the page by which the vendor takes the secret nowhere else.
    """
    return QueryKey(parameter, documentation)


def url_modes(*, live: str, test: str, option: str = "base_url") -> Callable[[Any], Mode | None]:
    """Return the `modes` for a vendor whose live and test systems have different URLs.

    Args:
        live: beginning of the URL of the live system.
        test: beginning of the URL of the test system.
        option: name of the option or property with the URL.
    """
    return lambda vendor: mode_of_url(getattr(vendor, option), live=live, test=test)


def key_modes(
    *, live: tuple[str, ...] = (), test: tuple[str, ...] = ()
) -> Callable[[Any], Mode | None]:
    """Return the `modes` for a vendor whose secret tells live from test mode.

    Args:
        live: beginnings of the secrets of live mode.
        test: beginnings of the secrets of test mode.
    """
    return lambda vendor: mode_of_key(vendor.credentials, live=live, test=test)


@frozen(kw_only=True)
class HttpVendor(Vendor):
    """A vendor with an HTTP API, described by class attributes.

    Subclasses decide how the account authenticates: `ApiVendor`, `OAuthVendor`, or one of your own
    that overrides `static_credentials`.

    Attributes:
        urls: the name of the option or property with the URL of each service, by service.
        refusals: the `classify` of the services: a `Refusals`, or a function in `staticmethod`.
        headers: headers of every request.
        modes: tells live from test mode, made by `url_modes` or `key_modes`; None if the options
            do not tell.
        ping_path: the path of a harmless request that costs nothing, with the account's options in
            braces.
        ping_query: the query of that request.
        event_reading: the reading of a webhook's data, to which the webhook supplies the field
            `id`; or a function like `events`, in `staticmethod`.
    """

    urls: ClassVar[Mapping[str, str]] = _MAIN
    refusals: ClassVar[Classifier | None] = None
    headers: ClassVar[Mapping[str, str]] = _NO_HEADERS
    modes: ClassVar[Callable[[Any], Mode | None] | None] = None
    ping_path: ClassVar[str | None] = None
    ping_query: ClassVar[Mapping[str, Any] | None] = None
    event_reading: ClassVar[Reading[Any] | ReadEvents | None] = None

    def static_credentials(self) -> Credentials | None:
        """Return all requests' fixed credentials; None (the default) if they must be obtained."""
        return None

    def settings(self) -> Mapping[str, Any]:
        """Return additional settings for the vendor's services; by default the request headers."""
        return {"headers": self.headers}

    def services(self) -> Mapping[str, Service]:
        """Return the services that `urls` defines."""
        credentials = self.static_credentials()
        keys = {} if self.idempotency is None else self.idempotency.settings
        return {
            destination: Service(
                self.name,
                getattr(self, option),
                credentials=credentials,
                needs_credentials=credentials is None,
                classify=type(self).refusals,
                **keys,
                **self.settings(),
            )
            for destination, option in self.urls.items()
        }

    def mode(self) -> Mode | None:
        """Return live or test mode, as determined by `modes`; None without `modes`."""
        modes = type(self).modes
        return None if modes is None else modes(self)

    def ping(self) -> Request | None:
        """Return the request for `ping_path`; None if the vendor has no `ping_path`."""
        if self.ping_path is None:
            return None
        return Request.get(filled_path(self.ping_path, self), query=self.ping_query)

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[Any, ...]:
        """Return the events found by `event_reading`; none if required data is missing."""
        reading = self.event_reading
        if isinstance(reading, Reading):
            return reading.parse_if_complete(ref, as_answer(event.data), id=event.id)
        return () if reading is None else reading(event, ref)


@frozen(kw_only=True)
class ApiVendor(HttpVendor):
    """A vendor with an HTTP API and one secret.

    Attributes:
        credentials: the secret of the account; by default the credential provider supplies
            `Credentials`.
        auth: makes `Credentials` from the account and its secret; by default a bearer token.
    """

    auth: ClassVar[Callable[[Any, Secret], Credentials]] = bearer()

    credentials: Secret | None = field(default=None, converter=optional(as_secret))

    def static_credentials(self) -> Credentials | None:
        """Return the credentials from `auth` and the secret; None without a secret."""
        secret = self.credentials
        return None if secret is None else type(self).auth(self, secret)
