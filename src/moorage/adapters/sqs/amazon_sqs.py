"""The settings of Amazon SQS, and the connectors made from them.

A message goes to the queue of its topic. The account and the region belong to the settings, so a
queue is named by its name alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import attrs

from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.http.stdlib.client_async import AsyncStdlibHttpClient
from moorage.adapters.links.shared_async import AsyncSharedLink
from moorage.adapters.links.shared_sync import SharedLink
from moorage.adapters.messages.publisher_async import AsyncMessagePublisher
from moorage.adapters.messages.publisher_sync import MessagePublisher
from moorage.adapters.secret_managers._session_async import session_async
from moorage.adapters.secret_managers.aws_identity import (
    AwsEnvironment,
    AwsKeys,
    default_endpoint,
)
from moorage.adapters.secret_managers.managed_secrets import session_now
from moorage.adapters.sqs._links import AsyncSqsLink, SqsLink
from moorage.adapters.sqs._requests import SERVICE, SqsAccess, SqsRequests
from moorage.domain.http.urls import validate_base_url
from moorage.domain.messages.sqs import RULES
from moorage.domain.secrets.options import checked_options
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.values.durations import is_seconds, plain_seconds
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.domain.http.requests import Request, Response
    from moorage.domain.http.timeouts import Timeouts
    from moorage.ports.clock import Clock
    from moorage.ports.http import AsyncHttpClient, HttpClient

_ACCOUNT: Final = late_pattern(r"[0-9]{12}")
_REGION: Final = late_pattern(r"[a-z]{2}(?:-[a-z]+)+-[0-9]+")


def _is_account(_: object, __: object, value: str) -> None:
    if _ACCOUNT.fullmatch(str(value)) is None:
        raise ConfigurationError(
            "An AWS account number must have twelve digits.",
            path="account",
            remedy="Set the account that owns the queues, such as '123456789012'.",
        )


def _is_region(_: object, __: object, value: str) -> None:
    if _REGION.fullmatch(str(value)) is None:
        raise ConfigurationError(
            "The region is not the name of an AWS region.",
            path="region",
            remedy="Set a name such as 'eu-central-1'.",
        )


def _default_endpoint(settings: AmazonSqs) -> str:
    return default_endpoint(SERVICE, settings.region)


@checked_options
@attrs.frozen(kw_only=True)
class AmazonSqs:
    """The SQS queues of one AWS account in one region.

    Attributes:
        region: the region of the queues, such as `eu-central-1`.
        account: the number of the account that owns the queues.
        access_key_id: the id of the access key; by default the keys of the environment, the
            container or the instance are used.
        secret_access_key: the secret of the access key.
        session_token: the token of temporary keys.
        endpoint: the URL of the service, if it is not the region's default.
        connect_timeout: seconds for finding the access keys of the machine.
    """

    region: str = attrs.field(validator=_is_region)
    account: str = attrs.field(validator=_is_account)
    access_key_id: str | None = attrs.field(default=None, repr=False)
    secret_access_key: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret)
    )
    session_token: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret)
    )
    endpoint: str = attrs.field(
        default=attrs.Factory(_default_endpoint, takes_self=True), converter=validate_base_url
    )
    connect_timeout: float = attrs.field(default=5.0, converter=plain_seconds, validator=is_seconds)

    def __attrs_post_init__(self) -> None:
        """Refuse an access key id without its secret, or a secret without its id."""
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ConfigurationError(
                "An AWS access key consists of an id and a secret, but only one of them is set.",
                path="access_key_id",
                remedy="Set access_key_id and secret_access_key, or neither.",
            )

    @property
    def server(self) -> tuple[str, int] | None:
        """The host and port of the service's endpoint."""
        parts = urlsplit(self.endpoint)
        default_port = {"http": 80, "https": 443}.get(parts.scheme, 443)
        return None if parts.hostname is None else (parts.hostname, parts.port or default_port)

    def publisher(
        self,
        name: str = SERVICE,
        *,
        service: str | None = None,
        http: HttpClient | None = None,
        clock: Clock | None = None,
    ) -> MessagePublisher:
        """Return a publisher for synchronous programs; it sends nothing before its first use.

        Args:
            name: the name of the connector.
            service: the service whose protections apply; by default the service of the same name.
            http: the HTTP client; by default one of its own.
            clock: the clock for the times in signatures.
        """

        def connect(timeout: float) -> SqsLink:
            client: HttpClient = StdlibHttpClient() if http is None else http

            async def send(request: Request, url: str, timeouts: Timeouts) -> Response:
                return client.send(request, url, timeouts)

            session = session_now(self._access, client, self.connect_timeout, clock)
            requests = SqsRequests(send, session, self.endpoint, self.account)
            link = SqsLink(requests, client.close if http is None else None)
            try:
                link.ping(timeout)
            except BaseException:
                link.close()
                raise
            return link

        return MessagePublisher(
            name,
            RULES,
            SharedLink(connect),
            translate_error=_unknown_exception,
            service=service,
            server=self.server,
        )

    def async_publisher(
        self,
        name: str = SERVICE,
        *,
        service: str | None = None,
        http: AsyncHttpClient | None = None,
        clock: Clock | None = None,
    ) -> AsyncMessagePublisher:
        """Return a publisher for asynchronous programs; it sends nothing before its first use.

        Args:
            name: the name of the connector.
            service: the service whose protections apply; by default the service of the same name.
            http: the HTTP client; by default one of its own.
            clock: the clock for the times in signatures.
        """

        async def connect(timeout: float) -> AsyncSqsLink:
            client: AsyncHttpClient = AsyncStdlibHttpClient() if http is None else http
            session = session_async(self._access, client, self.connect_timeout, clock)
            requests = SqsRequests(client.send, session, self.endpoint, self.account)
            link = AsyncSqsLink(requests, client.close if http is None else None)
            try:
                await link.ping(timeout)
            except BaseException:
                await link.leave(0.0)
                raise
            return link

        return AsyncMessagePublisher(
            name,
            RULES,
            AsyncSharedLink(connect),
            translate_error=_unknown_exception,
            service=service,
            server=self.server,
        )

    @property
    def _access(self) -> SqsAccess:
        if self.access_key_id is None or self.secret_access_key is None:
            return SqsAccess(AwsEnvironment(), self.region)
        keys = AwsKeys(self.access_key_id, self.secret_access_key, self.session_token)
        return SqsAccess(keys, self.region)


def _unknown_exception(_: Exception) -> None:
    """Return None, because the HTTP client raises only errors of moorage."""
