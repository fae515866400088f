"""OpenAPI descriptions become services; the error names each place that cannot be mapped."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import (
    AuthMethod,
    Credentials,
    DescriptionRefused,
    HttpMethod,
    InvalidData,
    OpenApi,
    Request,
    Secret,
    Service,
)
from moorage.domain.openapi.extensions import is_read, timeout_of
from tests.support.openapi_samples import description, operation, parameter

SCHEMES: dict[str, Any] = {
    "password": {"type": "http", "scheme": "Basic"},
    "token": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Shop-Key"},
    "query": {"type": "apiKey", "in": "query", "name": "key"},
    "certificate": {"type": "mutualTLS"},
    "grant": {
        "type": "oauth2",
        "flows": {"clientCredentials": {"tokenUrl": "/token", "scopes": {"write": "", "read": ""}}},
    },
    "cookie": {"type": "apiKey", "in": "cookie", "name": "session"},
    "person": {"type": "oauth2", "flows": {"implicit": {}}},
    "hoba": {"type": "http", "scheme": "hoba"},
    "openid": {"type": "openIdConnect"},
    "host": {"type": "apiKey", "in": "header", "name": "Host"},
    "bound": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "/t", "scopes": 1}}},
    "linked": {"$ref": "#/components/securitySchemes/token"},
}


def secured_description(*requirements: dict[str, Any], **paths: Any) -> dict[str, Any]:
    """Return an OpenAPI description with these security requirements and every kind of scheme."""
    return description(
        paths or {"/orders": {"get": operation("list")}},
        security=[*requirements],
        components={"securitySchemes": SCHEMES},
    )


def problems_of(tree: dict[str, Any], **options: Any) -> dict[str, str]:
    """Return the problems of an OpenAPI description by their JSON pointers."""
    with pytest.raises(DescriptionRefused) as excinfo:
        Service.from_openapi(tree, **options)
    return {problem.path: problem.found for problem in excinfo.value.problems}


def test_service_has_an_endpoint_for_each_operation() -> None:
    """A service has the base URL, methods and paths of its OpenAPI description."""
    service = Service.from_openapi(
        description(
            {
                "/orders/{id}": {
                    "parameters": [parameter("id", "path")],
                    "get": operation("getOrder"),
                    "delete": operation("dropOrder"),
                },
                "/orders/latest": {"get": operation("latestOrder")},
                "/files/{id}.json": {
                    "get": operation("file", parameters=[parameter("id", "path")])
                },
                "/orders": {"post": {"responses": {}}},
                "x-internal": {"get": operation("none")},
            }
        )
    )

    assert ("shop-api", "https://shop.example/v1") == (service.name, service.base_url)
    assert {"getOrder", "dropOrder", "latestOrder", "file", "POST /orders"} == {
        endpoint.name for endpoint in service.endpoints
    }
    latest = service.endpoint(None, Request.get("/orders/latest"))
    assert latest is not None
    assert "latestOrder" == latest.name
    deletion = service.endpoint(None, Request.delete("/orders/7"))
    assert deletion is not None
    assert "dropOrder" == deletion.name
    assert service.endpoint(None, Request.get("/files/7.json")) is None
    endpoint = service.endpoint("file", None)
    assert endpoint is not None
    assert (HttpMethod.GET, None) == (endpoint.method, endpoint.path)
    assert not service.needs_credentials


def test_name_of_a_service_without_a_title() -> None:
    """An OpenAPI title without letters becomes a default name, which the caller can replace."""
    tree = description(info={"title": "…"})
    assert "api" == Service.from_openapi(tree).name
    assert "shop" == Service.from_openapi(tree, "shop").name
    assert "<OpenApi '…' with 0 operations>" == repr(OpenApi(tree))


@pytest.mark.parametrize(
    "tree, pointer",
    [
        ([], "#"),
        ({"swagger": "2.0"}, "#/swagger"),
        ({"openapi": "4.0.0"}, "#/openapi"),
        ({"openapi": 3.1}, "#/openapi"),
        ({}, "#/openapi"),
    ],
)
def test_other_versions_are_refused(tree: Any, pointer: str) -> None:
    """Only OpenAPI versions 3.0 and 3.1 are read."""
    assert [pointer] == [*problems_of(tree)]


SERVERS: list[Any] = [
    {"url": "https://{region}.shop.example/", "variables": {"region": {"default": "eu"}}},
    {"url": "https://test.shop.example", "description": "test"},
]


@pytest.mark.parametrize(
    "options, url",
    [
        ({"server": 0}, "https://eu.shop.example"),
        ({"server": 0, "server_variables": {"region": "us"}}, "https://us.shop.example"),
        ({"server": 1}, "https://test.shop.example"),
        ({"server": "test"}, "https://test.shop.example"),
        ({"server": SERVERS[0]["url"]}, "https://eu.shop.example"),
        ({"server": "http://127.0.0.1:8080/v1/"}, "http://127.0.0.1:8080/v1"),
    ],
)
def test_server_is_chosen_by_position_url_or_description(options: dict[str, Any], url: str) -> None:
    """An OpenAPI server is chosen by position, URL or description, or replaced by a base URL."""
    assert url == Service.from_openapi(description(servers=SERVERS), **options).base_url


@pytest.mark.parametrize(
    "servers, options, pointer",
    [
        (SERVERS, {}, "#/servers"),
        (SERVERS, {"server": 2}, "#/servers"),
        (SERVERS, {"server": "production"}, "#/servers"),
        (SERVERS, {"server": 1, "server_variables": {"region": "us"}}, "#/servers/1"),
        ([], {}, "#/servers"),
        ([{}], {}, "#/servers/0"),
        ([{"url": "/v1"}], {}, "#/servers/0/url"),
        ([{"url": "https://a b"}], {}, "#/servers/0/url"),
        ([{"url": "https://{x}"}], {}, "#/servers/0/variables/x"),
        ([{"url": "https://{x}", "variables": ["x"]}], {}, "#/servers/0/variables/x"),
        ([{"url": "https://{x}", "variables": {"x": {}}}], {}, "#/servers/0/variables/x"),
        (
            [{"url": "https://{x}", "variables": {"x": {"enum": ["a"], "default": "b"}}}],
            {},
            "#/servers/0/variables/x",
        ),
    ],
)
def test_server_that_cannot_be_a_base_url(
    servers: list[Any], options: dict[str, Any], pointer: str
) -> None:
    """A missing or invalid OpenAPI server URL is refused; the error has its location."""
    assert [pointer] == [*problems_of(description(servers=servers), **options)]


@pytest.mark.parametrize(
    "name, scheme, value",
    [
        ("password", (AuthMethod.BASIC, None), Credentials.basic("me", "s3cret")),
        ("token", (AuthMethod.BEARER, None), Credentials.bearer("s3cret")),
        ("linked", (AuthMethod.BEARER, None), Credentials.bearer("s3cret")),
        (
            "key",
            (AuthMethod.API_KEY_HEADER, "X-Shop-Key"),
            Credentials.api_key("s3cret", header="X-Shop-Key"),
        ),
        ("query", (AuthMethod.API_KEY_QUERY, "key"), Credentials.api_key("s3cret", query="key")),
        ("certificate", (AuthMethod.MTLS, None), Credentials.mtls()),
    ],
)
def test_security_scheme_becomes_credentials(
    name: str, scheme: tuple[AuthMethod, str | None], value: Credentials
) -> None:
    """Each supported OpenAPI security scheme decides how the secret is sent."""
    tree = secured_description({name: []})
    described = OpenApi(tree).security()
    assert described is not None
    assert (name, *scheme) == (described.name, described.method, described.parameter)
    secret = None if value.secret is None else Secret("s3cret")
    assert value == described.credentials(secret, username=value.username)
    assert Service.from_openapi(tree).needs_credentials


def test_client_credentials_become_an_oauth_client() -> None:
    """An OpenAPI client-credentials scheme becomes an OAuth client, with the caller's secret."""
    scheme = OpenApi(secured_description({"grant": []})).security()
    assert scheme is not None
    assert (("read", "write"), "/token") == (scheme.scopes, scheme.token_url)
    client = scheme.oauth_client("me", "s3cret", scope=("read",), base_url="https://shop.example")
    assert "https://shop.example/token" == client.server.token_endpoint
    assert ("me", ("read",)) == (client.client_id, client.scope)
    with pytest.raises(InvalidData, match="authorisation server"):
        scheme.credentials("s3cret")
    with pytest.raises(InvalidData, match="does not use OAuth"):
        OpenApi(secured_description()).scheme("token").oauth_client("me", "s3cret")
    assert () == OpenApi(secured_description()).scheme("bound").scopes


@pytest.mark.parametrize(
    "name, pointer",
    [
        ("cookie", ""),
        ("person", "/flows"),
        ("hoba", ""),
        ("openid", ""),
        ("host", "/name"),
        ("unknown", ""),
    ],
)
def test_unsupported_security_is_refused(name: str, pointer: str) -> None:
    """An OpenAPI security scheme that is not supported is refused.

    The error states its place.
    """
    place = f"#/components/securitySchemes/{name}{pointer}"
    assert [place] == [*problems_of(secured_description({name: []}))]
    assert [place] == [*problems_of(secured_description({"token": []}), security=name)]


def test_security_that_most_operations_accept_is_chosen() -> None:
    """Operations with a less common security scheme are refused, or left out on request."""
    tree = secured_description(
        {"openid": []},
        {"token": []},
        **{
            "/a": {"get": operation("a")},
            "/b": {"get": operation("b", security=[])},
            "/c": {"get": operation("c", security=[{"key": []}, {}])},
            "/d": {"get": operation("d", security=[{"key": [], "token": []}])},
            "/e": {"get": operation("e", security=["key"])},
        },
    )
    assert {"#/paths/~1d/get/security", "#/paths/~1e/get/security"} == problems_of(tree).keys()
    service = Service.from_openapi(tree, skip_unmapped=True)
    assert ["a", "b", "c"] == [endpoint.name for endpoint in service.endpoints]
    assert Service.from_openapi(tree, operations=["c"]).needs_credentials
    assert {"#/paths/~1d/get/security"} == problems_of(tree, operations=["d"]).keys()
    assert ["No operation is named 'f'."] == [*problems_of(tree, operations=["f"]).values()]


def test_every_problem_is_named_at_once() -> None:
    """Each OpenAPI operation that cannot be mapped is named by its JSON pointer."""
    tree = description(
        {
            "/a": {"get": operation("same"), "put": operation("same"), "trace": operation("trace")},
            "b": {"get": operation("b")},
            "/c?d": {"get": operation("c")},
            "/d/{": {"get": operation("d")},
            "/e": {"get": operation("e\n"), "post": operation("x" * 600), "put": operation("")},
            "/f": {"get": 7, "post": operation("f", servers=[{"url": "https://other.example"}])},
            "/g": {"servers": [{"url": "https://g.example"}], "get": operation("g")},
            "/h/{id}": {"get": operation("h")},
            "/i": {"get": operation("i", parameters=[{"in": "query"}])},
            "/j": {"get": operation("j", parameters=[{"$ref": "https://evil.example/p.json"}])},
            "/k": {"get": operation("k", parameters=[{"$ref": "#/components/parameters/no"}])},
            "/l": {"get": operation("l", parameters=[{"$ref": "#/components/parameters/a"}])},
            "/m": {"$ref": "paths.json"},
            "/n": {"get": operation("n", parameters=[{"$ref": "#/paths/~1i/get/parameters/9"}])},
            "/o": {"get": operation("o", parameters=[{"$ref": "#/paths/~1i/get/parameters/0"}])},
        },
        components={
            "parameters": {
                "a": {"$ref": "#/components/parameters/b"},
                "b": {"$ref": "#/components/parameters/a"},
            }
        },
    )
    problems = problems_of(tree)
    assert {
        "#/paths/~1a/get/operationId": "2 operations have the same operationId 'same'.",
        "#/paths/~1a/put/operationId": "2 operations have the same operationId 'same'.",
        "#/paths/~1a/trace": "The method TRACE is not supported.",
    } == dict([*problems.items()][:3])
    assert {
        "#/paths/b/get",
        "#/paths/~1c?d/get",
        "#/paths/~1d~1{/get",
        "#/paths/~1e/get/operationId",
        "#/paths/~1e/post/operationId",
        "#/paths/~1e/put/operationId",
        "#/paths/~1f/get",
        "#/paths/~1f/post/servers",
        "#/paths/~1g/servers",
        "#/paths/~1h~1{id}/get",
        "#/paths/~1i/get/parameters/0",
        "#/paths/~1j/get/parameters/0",
        "#/paths/~1k/get/parameters/0",
        "#/paths/~1l/get/parameters/0",
        "#/paths/~1m",
        "#/paths/~1n/get/parameters/0",
    } <= problems.keys()
    assert 19 == len(problems)


def test_text_of_many_problems_is_bounded() -> None:
    """The text of an error for many OpenAPI problems lists a hundred.

    The error object contains all.
    """
    tree = description({f"/{number}": {"trace": operation(f"t{number}")} for number in range(150)})
    with pytest.raises(DescriptionRefused) as excinfo:
        Service.from_openapi(tree)
    error = pickle.loads(pickle.dumps(excinfo.value))  # noqa: S301 - its own pickle
    assert 150 == len(error.problems)
    assert str(excinfo.value) == str(error)
    assert "150 parts of the OpenAPI description cannot be mapped:" in str(error)
    assert "50 more are in `problems`." in str(error)
    with pytest.raises(DescriptionRefused, match=r"^#/paths/~10/trace: The method"):
        Service.from_openapi(tree, operations=["t0"])
    described = description({"/a": {"trace": operation("a")}, "b": {"get": operation("b")}})
    with pytest.raises(DescriptionRefused, match=r"^2 parts"):
        Service.from_openapi(described)


def test_idempotency_key_of_the_description() -> None:
    """An idempotency header is used if all operations have it and its lifetime is declared."""
    key = parameter("idempotency-key", "header")
    tree = description(
        {
            "/orders": {
                "post": operation("add", parameters=[parameter("page"), key]),
                "get": operation("list", parameters=[parameter("page")]),
            }
        }
    )
    service = Service.from_openapi(tree, idempotency_memory=86_400)
    assert ("Idempotency-Key", 86_400.0) == (service.idempotency_header, service.idempotency_memory)
    service = Service.from_openapi(tree)
    assert (None, None) == (service.idempotency_header, service.idempotency_memory)
    tree["paths"]["/refunds"] = {"post": operation("refund")}
    assert ["#/paths/~1refunds/post/parameters"] == [*problems_of(tree, idempotency_memory=60)]
    service = Service.from_openapi(tree, idempotency_memory=60, operations=["refund"])
    assert (None, None) == (service.idempotency_header, service.idempotency_memory)


@pytest.mark.parametrize(
    "extension, seconds",
    [
        ({"x-speakeasy-timeout": 5000}, 5.0),
        ({"x-google-backend": {"deadline": 2.5}}, 2.5),
        ({"x-amazon-apigateway-integration": {"timeoutInMillis": 1500}}, 1.5),
        ({"x-google-backend": {"deadline": True}}, None),
        ({"x-google-backend": 3}, None),
        ({"x-speakeasy-timeout": 0}, None),
    ],
)
def test_openapi_time_limit_becomes_a_timeout(
    extension: dict[str, Any], seconds: float | None
) -> None:
    """OpenAPI extensions with a time limit become the timeout of an endpoint or service."""
    tree = description({"/orders": {"get": operation("list", **extension)}})
    endpoint = Service.from_openapi(tree).endpoints[0]
    expected = Service.from_openapi(description({"/orders": {"get": operation("list")}}))
    assert (expected.endpoints[0].timeout if seconds is None else seconds) == endpoint.timeout
    service = Service.from_openapi(description(**extension))
    assert (30.0 if seconds is None else seconds) == service.timeout
    assert seconds == timeout_of(OpenApi(description(**extension)).document.root)


def test_time_limit_with_very_many_digits() -> None:
    """An integer that is too large for a float counts as the largest number of seconds."""
    tree = description(**{"x-google-backend": {"deadline": 10**400}})
    assert 1e300 == timeout_of(OpenApi(tree).document.root)


def test_reference_with_a_very_long_position_is_refused() -> None:
    """A reference may contain more digits than Python parses."""
    tree = description({"/orders": {"$ref": f"#/servers/{'1' * 5000}"}})
    assert ["#/paths/~1orders"] == [*problems_of(tree)]


def test_headers_about_limits_are_listed() -> None:
    """Headers that the OpenAPI description documents for rate limits are found."""
    headers: dict[str, Any] = {
        name: {}
        for name in ("Retry-After", "X-RateLimit-Remaining", "X-Quota-Left", "Content-Language")
    }
    tree = description(
        {
            "/orders": {
                "get": operation(
                    "list",
                    responses={"200": {"headers": headers}, "429": {"$ref": "elsewhere"}, "5XX": 1},
                )
            }
        }
    )
    expected = {"Retry-After": True, "X-RateLimit-Remaining": True, "X-Quota-Left": False}
    assert expected == OpenApi(tree).limit_headers


def test_only_recognised_rate_limit_headers_are_read() -> None:
    """Moorage reads only those rate-limit headers whose names it recognises."""
    assert [True, True, False] == [
        is_read(name) for name in ("RateLimit", "RateLimit-Policy", "rate limit")
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "$ref",
                    "get",
                    "parameters",
                    "servers",
                    "security",
                    "url",
                    "name",
                    "in",
                    "/a",
                    "responses",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(
    st.dictionaries(st.sampled_from(["servers", "paths", "security", "components", "info"]), JSON)
)
def test_any_description_is_mapped_or_refused(parts: dict[str, Any]) -> None:
    """Any OpenAPI description is mapped to a service, or raises an error that names the places."""
    try:
        service = Service.from_openapi({**description(), **parts})
    except DescriptionRefused as error:
        places = [problem.path for problem in error.problems]
    else:
        places = ["#"] if service.base_url else []
    assert places
    assert all(place.startswith("#") for place in places)
