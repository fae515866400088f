"""What may be called: the services, and the plans compiled for them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from moorage.domain.bounded import Bounded
from moorage.domain.keys import checked_name
from moorage.domain.plan import Plan
from moorage.domain.service import Service, by_name
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from moorage.domain.http import Request
    from moorage.services.core import Core
    from moorage.services.fence import Fence

_MOST: Final = 10_000


class Plans:
    """The plans of a manager's services, each made when it is first needed.

    Attributes:
        services: everything that may be called, by name.
        easy: plans of functions that a face may call itself while all is calm, by what names them.
        direct: plans of requests that it may send itself.
        fence: lets calls out, where the store tells whose it is; before it has, no face sends.
    """

    def __init__(self, core: Core, services: Iterable[Service]) -> None:
        self._core = core
        self.services: dict[str, Service] = {}
        for service in _several(services):
            if not isinstance(service, Service):
                raise ConfigurationError(
                    f"a {type(service).__name__} is not a service.",
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
                # What is wrong with any of them is said now, not at the first call.
                Plan(service, None, endpoint)
        self._made: Bounded[tuple[str, str | None, str | None], Plan] = Bounded(_MOST)
        self.easy: dict[tuple[str, str | None, str | None], Plan] = {}
        self.direct: dict[tuple[str, str | None, str | None], Plan] = {}
        self.fence: Fence | None = None

    def find(
        self,
        service: str,
        tenant: str | None,
        endpoint: str | None,
        request: Request | None = None,
    ) -> Plan:
        """The plan of a call: of the endpoint that is named, or else the first that fits."""
        known = by_name(self.services, service)
        found = None
        if endpoint is not None or known.endpoints:
            found = known.endpoint(endpoint, request)
        if tenant is not None:
            checked_name(tenant, "tenant")
        key = (service, tenant, None if found is None else found.name)
        plan = self._made.get(key)
        if plan is None:
            plan = Plan(known, tenant, found)
            if self.fence is not None and not self.fence.passed:
                # Whoever only looks at a service needs one, and lets nobody out by it.
                return plan
            if plan.easy and self._core.ask is not None and not self._core.observers:
                self.easy[key] = plan
                # Which endpoint fits is found anew for each request that does not name it.
                if plan.plain and (found is not None or not known.endpoints):
                    self.direct[key] = plan
            # Last, so that a plan that another thread drops from here is in none of the others.
            dropped = self._made.add(key, plan)
            if dropped is not None:
                self.easy.pop(dropped, None)
                self.direct.pop(dropped, None)
        return plan

    @contextmanager
    def named(self, service: object, endpoint: object) -> Generator[None, None, None]:
        """Say on any error which service and operation were meant."""
        try:
            yield
        except ConnectorError as error:
            self.name(error, service, endpoint, None)
            raise

    def name(
        self, error: ConnectorError, service: object, endpoint: object, request_id: object
    ) -> None:
        """Say on an error which call was meant, as far as that is known."""
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
            f"a {type(services).__name__} is not a series of services.",
            path="services",
            remedy="Give a list of them, such as [Service('rates')].",
        ) from None
