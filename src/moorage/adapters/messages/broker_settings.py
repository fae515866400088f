"""The base class of broker settings, from which publishing connectors are made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from moorage.adapters.messages.publisher_async import AsyncMessagePublisher
from moorage.adapters.messages.publisher_sync import MessagePublisher
from moorage.domain.values.installation import install
from moorage.errors import ConfigurationError
from moorage.ports.connector import ConnectorKind

if TYPE_CHECKING:
    from moorage.domain.messages.broker_rules import BrokerRules
    from moorage.errors import ConnectorError
    from moorage.ports.connector import KindSource
    from moorage.ports.link import AsyncLinkSource, LinkSource
    from moorage.ports.publish_link import AsyncPublishLink, PublishLink


def installed_library(title: str, package: str, extra: str) -> str:
    """Return the name and the version of a client library.

    Args:
        title: the name of the broker in sentences.
        package: the name of the library's package.
        extra: the optional dependency of this package that installs it.

    Raises:
        ConfigurationError: the library is not installed.
    """
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        raise ConfigurationError(
            f"The {title} connector needs {package}, which is not installed.",
            path="kind",
            remedy=install(extra),
        ) from None


@attrs.frozen(kw_only=True)
class BrokerLibrary:
    """The client libraries of a broker.

    Attributes:
        package: the package for synchronous programs.
        async_package: the package for asynchronous programs.
        extra: the optional dependency of this package that installs both.
    """

    package: str
    async_package: str = attrs.field(
        default=attrs.Factory(lambda self: self.package, takes_self=True)
    )
    extra: str


class BrokerSettings(ABC):
    """The settings of a broker, from which publishers are made.

    Attributes:
        library: the client libraries of the broker.
        exchange: the exchange that topics are routing keys of; empty if there is none.
    """

    __slots__ = ()

    library: ClassVar[BrokerLibrary]
    exchange: str = ""

    @property
    @abstractmethod
    def rules(self) -> BrokerRules:
        """The broker's rules for messages, such as the maximum size."""

    @property
    def server(self) -> tuple[str, int] | None:
        """The host and port of the broker for telemetry; None if there are several brokers."""
        return None

    @abstractmethod
    def links(self) -> LinkSource[PublishLink]:
        """Return the source of a synchronous program's connections, which does not connect yet.

        `publisher` passes it to the publisher.
        """

    @abstractmethod
    def async_links(self) -> AsyncLinkSource[AsyncPublishLink]:
        """Return the source of an asynchronous program's connections, which does not connect yet.

        `async_publisher` passes it to the publisher.
        """

    def translate_error(self, error: Exception, /) -> ConnectorError | None:
        """Return the error for an exception of the client library; None for any other."""
        del error
        return None

    def publisher(self, name: str | None = None, *, service: str | None = None) -> MessagePublisher:
        """Return a publisher for synchronous programs, which connects at its first use.

        Args:
            name: the name of the connector; by default the kind of the broker.
            service: the service whose protections apply; by default the service of the same name.

        Raises:
            ConfigurationError: the client library is not installed.
        """
        rules, library = self.rules, self.library
        client = installed_library(rules.title, library.package, library.extra)
        return MessagePublisher(
            name or rules.system,
            rules,
            self.links(),
            translate_error=self.translate_error,
            library=client,
            service=service,
            server=self.server,
            exchange=self.exchange,
        )

    def async_publisher(
        self, name: str | None = None, *, service: str | None = None
    ) -> AsyncMessagePublisher:
        """Return a publisher for asynchronous programs, which connects at its first use.

        Args:
            name: the name of the connector; by default the kind of the broker.
            service: the service whose protections apply; by default the service of the same name.

        Raises:
            ConfigurationError: the client library is not installed.
        """
        rules, library = self.rules, self.library
        client = installed_library(rules.title, library.async_package, library.extra)
        return AsyncMessagePublisher(
            name or rules.system,
            rules,
            self.async_links(),
            translate_error=self.translate_error,
            library=client,
            service=service,
            server=self.server,
            exchange=self.exchange,
        )


def broker_kind(
    name: str, settings: type[BrokerSettings], source: KindSource | None = None
) -> ConnectorKind:
    """Return the connector kind for a broker with these settings.

    Args:
        name: the name of the kind in a configuration.
        settings: the class of the broker's settings.
        source: the source of pipelines that reads from the broker, if there is one.
    """
    return ConnectorKind(
        name=name, settings=settings, build=_build, build_async=_build_async, source=source
    )


def _build(name: str, settings: BrokerSettings, _: Any) -> MessagePublisher:
    return settings.publisher(name)


def _build_async(name: str, settings: BrokerSettings, _: Any) -> AsyncMessagePublisher:
    return settings.async_publisher(name)
