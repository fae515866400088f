"""The fast path finds the same call plan for a request's path as the complete lookup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import ConnectorManager, DryRun, Endpoint, Request, Response, Service
from moorage.hub.internals import flows_of

if TYPE_CHECKING:
    from moorage.domain.http.requests import Timeouts
    from moorage.services.calling.plans import Plans

METHODS = st.sampled_from(["GET", "POST"])
SEGMENTS = st.sampled_from(["a", "b", "{id}", ""])
PATHS = st.lists(SEGMENTS, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
ENDPOINTS = st.lists(
    st.tuples(st.none() | METHODS, PATHS.filter(lambda path: "//" not in path)), max_size=5
)
REQUESTS = st.lists(
    st.builds(
        lambda method, path, tail, tenant: (
            Request(method, path.replace("{id}", "7") + tail),
            tenant,
        ),
        METHODS,
        PATHS,
        st.sampled_from(["", "?q=1", "#part"]),
        st.sampled_from([None, "acme"]),
    ),
    max_size=8,
)


class Vendor:
    """A fake HTTP client that returns an empty response immediately and records URLs."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Record the URL and return an empty response."""
        self.urls.append(url)
        return Response(200)


def service(endpoints: list[Any], **options: Any) -> Service:
    """Return a service with one endpoint for each method and path."""
    named_endpoints = [
        Endpoint(f"e{number}", method=method, path=path)
        for number, (method, path) in enumerate(endpoints)
    ]
    return Service("vat", base_url="https://vat.example/v1", endpoints=named_endpoints, **options)


@given(ENDPOINTS, REQUESTS)
def test_fast_path_finds_the_plan_of_the_flow(endpoints: list[Any], requests: list[Any]) -> None:
    """The fast path finds a request's plan again once it has been looked up."""
    http: Any = Vendor()
    manager = ConnectorManager([service(endpoints)], http=http)
    plans = flows_of(manager).plans
    for request, tenant in requests:
        plan = plans.find("vat", tenant, None, request)
        for _ in range(2):
            routed_plan = plans.routed_plan("vat", tenant, request)
            assert (plan if endpoints else None) is routed_plan
        assert 200 == manager.call("vat", request, tenant=tenant).status
    assert len(requests) == len(http.urls)


def test_fast_path_has_no_plan_for_paths_not_seen_yet_and_for_refused_requests() -> None:
    """The fast path has no plan for paths not seen yet and for refused requests."""
    request = Request.get("/a")
    http: Any = Vendor()

    def plans_of(*services: Service) -> Plans:
        manager = ConnectorManager(services, http=http)
        manager.call("vat", request)
        return flows_of(manager).plans

    simple_service = service([("GET", "/a")])
    plans = plans_of(simple_service)
    assert plans.routed_plan("vat", None, request) is not None
    assert plans.routed_plan("vat", "acme", request) is None
    assert plans.routed_plan("vat", None, Request.get("/b")) is None
    assert plans.routed_plan("other", None, request) is None
    shaped_plans = plans_of(service([("GET", "/a")], request_transforms=[lambda one: one]))
    assert shaped_plans.routed_plan("vat", None, request) is None


def test_fast_path_sends_no_post_in_a_rehearsal() -> None:
    """In a rehearsal the fast path sends no POST, even after other calls."""
    http: Any = Vendor()
    manager = ConnectorManager([service([("POST", "/a")])], http=http, dry_run=True)
    manager.call("vat", Request.get("/a"))
    urls_before = len(http.urls)
    for _ in range(2):
        with pytest.raises(DryRun):
            manager.call("vat", Request.post("/a"))
    assert urls_before == len(http.urls)
