"""The services of a manager, and the plans into which their settings are compiled."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from moorage.domain.http.requests import Request
from moorage.domain.service.plan import Plan
from moorage.domain.service.settings import Service, by_name
from moorage.domain.state.keys import checked_name
from moorage.domain.values.bounded import BoundedCache
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from moorage.domain.http.requests import HttpMethod
    from moorage.domain.resilience.admission import Admission
    from moorage.domain.service.plan import Ask
    from moorage.services.core.core import Core
    from moorage.services.environment_guard import EnvironmentGuard

_MOST_PLANS: Final = 16_384
_MOST_ROUTES: Final = 4_096


class Plans:
    """The plans of a manager's services, which are compiled when first needed.

    Attributes:
        services: services by name.
        easy: plans of functions that the fast path may call, by service, tenant and endpoint.
        easy_alone: the plans of functions without tenant and endpoint, by service, because a
            look-up by one name is faster.
        direct: plans of requests that the fast path may send.
        environment_guard: the store's guard; until it has passed, no fast path is used.
    """

    def __init__(self, core: Core, services: Iterable[Service]) -> None:
        self._core = core
        self.services: dict[str, Service] = {}
        self._compiled: dict[tuple[str, str | None], Plan] = {}
        for service in _as_tuple(services):
            if not isinstance(service, Service):
                raise ConfigurationError(
                    "`services` must contain only Service objects, but contains"
                    f" {with_article(type(service).__name__)}.",
                    path="services",
                    remedy="Pass moorage.Service objects.",
                )
            if service.name in self.services:
                raise ConfigurationError(
                    f"Two services are named {service.name!r}.",
                    path="services",
                    remedy="Give each service a different name.",
                )
            self.services[service.name] = service
            for endpoint in (None, *service.endpoints):
                # A mistake in any endpoint is reported now instead of at the first call.
                name = None if endpoint is None else endpoint.name
                plan = self._compiled[service.name, name] = Plan(service, None, endpoint)
                _prepare_gates(plan, core)
        self._cached: BoundedCache[tuple[str, str | None, str | None], Plan] = BoundedCache(
            _MOST_PLANS
        )
        self.easy: dict[tuple[str, str | None, str | None], Plan] = {}
        self.easy_alone: dict[str, Plan] = {}
        self.direct: dict[tuple[str, str | None, str | None], Plan] = {}
        self.environment_guard: EnvironmentGuard | None = None
        self._routes: BoundedCache[tuple[str, str | None, HttpMethod, str], Plan] = BoundedCache(
            _MOST_ROUTES
        )

    def fast_path_plan(
        self, service: str, tenant: str | None, endpoint: str | None, request: Request
    ) -> Plan | None:
        """Return the plan of a request for the fast path; None if it cannot use that path."""
        if type(request) is not Request or type(request.body) is not bytes:
            return None
        try:
            plan = self.direct.get((service, tenant, endpoint))
            if plan is None and endpoint is None:
                plan = self.routed_plan(service, tenant, request)
        except TypeError:  # an invalid name, which the flow refuses
            return None
        return plan

    def routed_plan(self, service: str, tenant: str | None, request: Request) -> Plan | None:
        """Return the fast path's plan of a request; method and path select the endpoint.

        The plan is None if the service has no endpoints, or the flow must decide.
        """
        settings = self.services.get(service)
        if settings is None or not settings.endpoints:
            return None
        route = (service, tenant, request.method, request.path)
        plan = self._routes.get(route)
        if plan is None:
            try:
                endpoint = settings.endpoint(None, request)
            except ConnectorError:
                return None
            plan = self.easy.get((service, tenant, None if endpoint is None else endpoint.name))
            if plan is None or not plan.plain:
                return None
            self._routes.add(route, plan)
        return plan

    def endpoint_named(self, service: str, name: str) -> str | None:
        """Return the given name if the service has an endpoint of that name; otherwise None."""
        return name if by_name(self.services, service).has_endpoint(name) else None

    def find(
        self,
        service: str,
        tenant: str | None,
        endpoint: str | None,
        request: Request | None = None,
    ) -> Plan:
        """Return the plan of a call: for the named endpoint, or for the first matching endpoint."""
        settings = by_name(self.services, service)
        endpoint_settings = None
        if endpoint is not None or settings.endpoints:
            endpoint_settings = settings.endpoint(endpoint, request)
        if tenant is not None:
            checked_name(tenant, "tenant")
        key = (service, tenant, None if endpoint_settings is None else endpoint_settings.name)
        plan = self._cached.get(key)
        if plan is None:
            plan = self._compiled[service, key[2]]
            if tenant is not None:
                plan = plan.for_tenant(tenant)
            if self.environment_guard is not None and not self.environment_guard.passed:
                # Before the environment guard has passed, a plan may be inspected, but not used for
                # a call.
                return plan
            core = self._core
            can_enter = plan.bulkhead is None or core.slots is not None
            if plan.easy and can_enter:
                self.easy[key] = plan
                if key == (service, None, None):
                    self.easy_alone[service] = plan
                # For a request that names no endpoint, the endpoint is determined each time.
                if plan.plain and (endpoint_settings is not None or not settings.endpoints):
                    self.direct[key] = plan
            # The plan is added here last, so that a plan dropped here is in no other index.
            dropped_key = self._cached.add(key, plan)
            if dropped_key is not None:
                self._forget(*dropped_key)
        return plan

    def _forget(self, service: str, tenant: str | None, endpoint: str | None) -> None:
        """Remove a plan from the indexes of the fast path."""
        self.easy.pop((service, tenant, endpoint), None)
        self.direct.pop((service, tenant, endpoint), None)
        if tenant is None and endpoint is None:
            self.easy_alone.pop(service, None)

    @contextmanager
    def named(self, service: object, endpoint: object) -> Generator[None, None, None]:
        """A context manager that adds the service and operation to errors raised in its block."""
        try:
            yield
        except ConnectorError as error:
            self.name(error, service, endpoint, None)
            raise

    def name(
        self, error: ConnectorError, service: object, endpoint: object, request_id: object
    ) -> None:
        """Add the names of service and operation, and the call's id, to an error."""
        if isinstance(service, str):
            error.service = service
        if isinstance(endpoint, str):
            error.operation = endpoint
        error.request_id = request_id if isinstance(request_id, str) else self._core.new_id()


def admission_function(admission: Admission, core: Core) -> Ask | None:
    """Return the function that asks the store for admissions under these rules.

    The function is None if the store has to be awaited.
    """
    if core.ask is None or core.prepare is None:
        return core.ask
    return core.prepare(admission)


def _prepare_gates(plan: Plan, core: Core) -> None:
    """Give a plan and its parts the functions that admit attempts and reserve bulkhead slots.

    The plans of all tenants share them.
    """
    for part in plan.parts or (plan,):
        if part.admission is not None:
            part.ask = admission_function(part.admission, core)
        if part.bulkhead is not None and core.slots is not None:
            part.slots = core.slots()


def _as_tuple(services: Iterable[Service]) -> tuple[Service, ...]:
    try:
        return tuple(services)
    except TypeError:
        raise ConfigurationError(
            f"services must be a list of Service, not {with_article(type(services).__name__)}.",
            path="services",
            remedy="Pass a list, such as [Service('rates')].",
        ) from None
