"""The endpoint index finds the same endpoint as a search of all endpoints in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.http.requests import HttpMethod
from moorage.domain.service.endpoint_index import EndpointIndex
from moorage.domain.service.settings import Endpoint

PARTS = ["a", "b", "", "{id}", "{other}"]
TEMPLATES = st.lists(st.sampled_from(PARTS), max_size=4).map("/".join)
PATHS = st.lists(st.sampled_from([*PARTS, "{}", "{a", "a}"]), max_size=4).map("/".join)
METHODS = st.sampled_from([HttpMethod.GET, HttpMethod.POST])
SETTINGS = st.tuples(st.none() | METHODS, st.none() | TEMPLATES)


def matches_endpoint(endpoint: Endpoint, method: HttpMethod, path: str) -> bool:
    """Return whether a request with this method and path belongs to this endpoint."""
    if endpoint.path is None or endpoint.method not in (None, method):
        return False
    expected_values, actual_parts = (text.strip("/").split("/") for text in (endpoint.path, path))
    return len(expected_values) == len(actual_parts) and all(
        template == part or (template.startswith("{") and template.endswith("}") and part != "")
        for template, part in zip(expected_values, actual_parts, strict=True)
    )


@given(st.lists(SETTINGS, max_size=12), METHODS, PATHS)
def test_index_agrees_with_a_linear_search(
    settings: list[tuple[HttpMethod | None, str | None]], method: HttpMethod, path: str
) -> None:
    """The endpoint index finds the same endpoint as a search through all in order."""
    endpoints = [
        Endpoint(f"e{number}", method, path) for number, (method, path) in enumerate(settings)
    ]
    expected = next(
        (endpoint for endpoint in endpoints if matches_endpoint(endpoint, method, path)), None
    )

    assert expected is EndpointIndex(endpoints).first(method, path)


def test_endpoint_of_a_path_with_ten_thousand_segments_is_found() -> None:
    """The endpoint index finds a path of ten thousand segments."""
    path = "/".join(["a", "{x}"] * 5_000)
    endpoint = Endpoint("deep", path=path)

    assert endpoint is EndpointIndex([endpoint]).first(HttpMethod.GET, path)
