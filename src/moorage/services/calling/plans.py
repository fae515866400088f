"""The services of a manager, and the plans compiled for them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from moorage.domain.service.plan import Plan
from moorage.domain.service.settings import Service, by_name
from moorage.domain.state.keys import checked_name
from moorage.domain.values.bounded import Bounded
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from moorage.domain.http.requests import Request
    from moorage.services.core.core import Core
    from moorage.services.environment_guard import EnvironmentGuard

_MOST: Final = 10_000


class Plans:
    """The plans of a manager's services, each compiled when first needed.

    Attributes:
        services: services by name.
        easy: plans of functions that the fast path may call, by their identity.
        direct: plans of requests that the fast path may send.
        environment_guard: the store's guard; until it has passed, no fast path is used.
    """

    def __init__(self, core: Core, services: Iterable[Service]) -> None:
        self._core = core
        self.services: dict[str, Service] = {}
        for service in _several(services):
            if not isinstance(service, Service):
                raise ConfigurationError(
                    f"A service must be a Service, not {with_article(type(service).__name__)}.",
                    path="services",
                    remedy="Give moorage.Service values.",
                )
            if service.name in self.services:
                raise ConfigurationError(
                    f"Two services are named {service.name!r}.",
                    path="services",
                    remedy="Give each service a name of its own.",
                )
            self.services[service.name] = service
            for endpoint in (None, *service.endpoints):
                # A mistake in any of them is reported now, not at the first call.
                Plan(service, None, endpoint)
        self._cached: Bounded[tuple[str, str | None, str | None], Plan] = Bounded(_MOST)
        self.easy: dict[tuple[str, str | None, str | None], Plan] = {}
        self.direct: dict[tuple[str, str | None, str | None], Plan] = {}
        self.environment_guard: EnvironmentGuard | None = None

    def find(
        self,
        service: str,
        tenant: str | None,
        endpoint: str | None,
        request: Request | None = None,
    ) -> Plan:
        """The plan of a call: for the named endpoint, or for the first that matches the request."""
        settings = by_name(self.services, service)
        endpoint_settings = None
        if endpoint is not None or settings.endpoints:
            endpoint_settings = settings.endpoint(endpoint, request)
        if tenant is not None:
            checked_name(tenant, "tenant")
        key = (service, tenant, None if endpoint_settings is None else endpoint_settings.name)
        plan = self._cached.get(key)
        if plan is None:
            plan = Plan(settings, tenant, endpoint_settings)
            if self.environment_guard is not None and not self.environment_guard.passed:
                # A caller that only inspects a service needs a plan, which must admit nothing.
                return plan
            if plan.easy and self._core.ask is not None and not self._core.observers:
                self.easy[key] = plan
                # The endpoint is matched anew for each request that does not name it.
                if plan.plain and (endpoint_settings is not None or not settings.endpoints):
                    self.direct[key] = plan
            # Last, so that a plan that another thread drops from here is in none of the others.
            dropped = self._cached.add(key, plan)
            if dropped is not None:
                self.easy.pop(dropped, None)
                self.direct.pop(dropped, None)
        return plan

    @contextmanager
    def named(self, service: object, endpoint: object) -> Generator[None, None, None]:
        """Add the service and the operation to any error raised in the block."""
        try:
            yield
        except ConnectorError as error:
            self.name(error, service, endpoint, None)
            raise

    def name(
        self, error: ConnectorError, service: object, endpoint: object, request_id: object
    ) -> None:
        """Add the service, the operation and the id of the call to an error, where known."""
        if isinstance(service, str):
            error.service = service
        if isinstance(endpoint, str):
            error.operation = endpoint
        error.request_id = request_id if isinstance(request_id, str) else self._core.new_id()


def _several(services: Iterable[Service]) -> tuple[Service, ...]:
    try:
        return tuple(services)
    except TypeError:
        raise ConfigurationError(
            f"services must be a list of Service, not {with_article(type(services).__name__)}.",
            path="services",
            remedy="Give a list of them, such as [Service('rates')].",
        ) from None
