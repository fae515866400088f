"""Building a request's URL from a base URL and a path."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from moorage.domain.http.requests import Request
from moorage.domain.http.urls import join_url, origin_of, validate_base_url
from moorage.errors import InvalidData

texts = st.text(st.characters(codec="utf-8"))
segments = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)


@pytest.mark.parametrize(
    "base, path, expected",
    [
        ("https://h", "/x", "https://h/x"),
        ("https://h/", "/x", "https://h/x"),
        ("https://h/v1", "/x", "https://h/v1/x"),
        ("https://h/v1/", "/x", "https://h/v1/x"),
        ("https://h/v1/", "x", "https://h/v1/x"),
        ("https://h/X/", "/x", "https://h/X/x"),
        ("https://h/X/", "x", "https://h/X/x"),
        ("https://h/v1", "", "https://h/v1"),
        ("https://h/v1/", "", "https://h/v1/"),
        ("https://h/v1", "/", "https://h/v1/"),
        ("https://h/v1", "?a=1", "https://h/v1?a=1"),
        ("https://h/v1", "/x?a=1&b", "https://h/v1/x?a=1&b"),
        ("https://h/v1", "/x#part", "https://h/v1/x"),
        ("https://h/v1", "/x?a=1#part?b", "https://h/v1/x?a=1"),
        ("https://h/v1", "/.well-known/a..b/...", "https://h/v1/.well-known/a..b/..."),
        ("https://h/v1", "/a%2F..%2Fb", "https://h/v1/a%2F..%2Fb"),
        ("https://h/v1", "/x?back=/../y", "https://h/v1/x?back=/../y"),
        ("https://h/v1", "//evil.example/x", "https://h/v1//evil.example/x"),
        ("https://h/v1", "/urn:x", "https://h/v1/urn:x"),
        ("https://h/v1", "/r?to=https://other/x", "https://h/v1/r?to=https://other/x"),
        ("https://h/v1", "/ä%20b%zz", "https://h/v1/%C3%A4%20b%25zz"),
        ("https://h/v1", "/x?ä=%C3%A4&q=\\", "https://h/v1/x?%C3%A4=%C3%A4&q=%5C"),
        ("https://h/ä", "/x", "https://h/%C3%A4/x"),
        ("http://[::1]:8080/v1", "/x", "http://[::1]:8080/v1/x"),
        ("https://h/v1", "https://h/v2/next?page=2#x", "https://h/v2/next?page=2"),
        ("https://h/v1", "HTTPS://H:443/v2", "https://h/v2"),
        ("https://h:443", "https://h/v2", "https://h:443/v2"),
        ("https://h/v1", "https://h", "https://h"),
        ("https://h/v1", "https://h?a=1", "https://h?a=1"),
    ],
)
def test_paths_are_appended_to_the_base(base: str, path: Any, expected: Any) -> None:
    """A request's path is appended to the base URL's path; an absolute URL replaces it."""
    assert expected == join_url(base, Request.get(path))


def test_query_of_the_path_precedes_the_parameters() -> None:
    """A request's URL has the path's own query first, then the request's parameters."""
    request = Request.get("/x?a=1", query={"b": "ü &", "c": ["/", "+"]})
    assert "https://h/x?a=1&b=%C3%BC%20%26&c=%2F&c=%2B" == join_url("https://h", request)


@given(segments, st.lists(st.tuples(texts, texts)))
def test_any_path_and_query_become_a_url_that_decodes_unchanged(
    segment: str, query: list[tuple[str, str]]
) -> None:
    """Any path and query become a printable ASCII URL that decodes to the same text."""
    path = "/" + segment.replace("%", "").replace("?", "").replace("#", "").replace("://", "")
    assume({".", ".."}.isdisjoint(re.split(r"[/\\]", path)))
    url = join_url("https://h/v1", Request.get(path, query=query))
    assert url.isascii()
    assert url.isprintable()
    assert " " not in url
    parts = urlsplit(url)
    assert ("https", "h", f"/v1{path}") == (parts.scheme, parts.netloc, unquote(parts.path))
    assert query == parse_qsl(parts.query, keep_blank_values=True)


@given(texts)
def test_no_path_leads_to_another_host(text: str) -> None:
    """A request's path leads to the base URL's host or is refused."""
    with suppress(InvalidData):
        url = join_url("https://h.example/v1", Request.get(text))
        assert "h.example" == urlsplit(url).netloc


@pytest.mark.parametrize(
    "url",
    [
        "https://other/x",
        "http://h/x",
        "https://h:444/x",
        "https://h.other/x",
        "ftp://h/x",
        "https:///x",
        "https://h\\.other/x",
        "https://h:0/x",
    ],
)
def test_another_origin_is_refused(url: Any) -> None:
    """A request to an absolute URL of another origin is refused."""
    with pytest.raises(InvalidData) as excinfo:
        join_url("https://h/v1", Request.get(url))
    assert "path" == excinfo.value.field


@pytest.mark.parametrize(
    "path",
    [
        "/a b",
        "/a\r\nHost: x",
        "/a\t",
        "/a\0",
        "/a\u2028b",
        "/\x85",
        "/\ud800",
        "https://u:p@h/x",
        "https://[",
        "https://\u2100.example/",
        5,
        b"/x",
    ],
)
def test_invalid_paths_are_refused(path: Any) -> None:
    """White space, control characters and credentials are refused in a request's path."""
    with pytest.raises(InvalidData) as excinfo:
        Request.get(path)
    assert "path" == excinfo.value.field


@pytest.mark.parametrize(
    "path",
    [
        "/customers/../refunds",
        "/customers/..",
        "/customers/.",
        "..",
        "../refunds?a=1",
        "/customers/%2e%2E/refunds",
        "/customers/.%2e?a=1",
        "/customers/..#part",
        "/customers/..\\refunds",
        "https://h/v1/../refunds",
    ],
)
def test_dot_segments_are_refused(path: str) -> None:
    """A path with a segment `.` or `..`, encoded or not, is refused; the error has a remedy."""
    with pytest.raises(InvalidData, match=r"segment '\.' or '\.\.'") as excinfo:
        Request.get(path)
    assert "path" == excinfo.value.field
    assert "reject it" in excinfo.value.remedy


@given(st.text("./\\%2eEa?#"))
def test_no_path_leaves_the_base_path(text: str) -> None:
    """A relative path cannot leave the base URL's path, even if the server resolves dots."""
    with suppress(InvalidData):
        url = join_url("https://h.example/v1", Request.get(f"/customers/{text}"))
        path = unquote(url.partition("?")[0]).replace("\\", "/")
        assert urljoin(path, path).startswith("https://h.example/v1/customers/")


@pytest.mark.parametrize(
    "url",
    [
        "https://h", "http://h/", "https://api.example/v1/", "HTTPS://H:8443", "http://127.0.0.1:80",
        "http://[::1]:8080/x", "https://my_service:65535", "https://xn--mnchen-3ya.example",
        "https://h/users/@me", "https://h/@me/x", "https://h/to/https://me@x", "http://h:1",
    ],
)  # fmt: skip
def test_base_url_has_a_scheme_and_a_host(url: Any) -> None:
    """A base URL has a scheme, a host, and perhaps a port and a path."""
    assert url == validate_base_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "", "h", "/v1", "ftp://h", "https://", "https:///v1", "https://h?a=1", "https://h#x",
        "https://h/?", "https://u@h", "https://u:p@h/v1", "https://h ", "https://h\n", "https://ü",
        "https://h:99999", "https://h:0", "https://h:x", "https://h:", "https://h\\x", "//h", None,
        5, "https://[::1",
    ],
)  # fmt: skip
def test_invalid_base_urls_are_refused(url: Any) -> None:
    """An invalid base URL is refused when a service is built, and not shown."""
    with pytest.raises(InvalidData) as excinfo:
        validate_base_url(url)
    assert "base_url" == excinfo.value.field
    assert "u:p" not in str(excinfo.value)


@pytest.mark.parametrize(
    "url, reason",
    [
        (None, "is not a str, or contains white space"),
        ("https://h ", "is not a str, or contains white space"),
        ("https://u:p@h/v1", "contains a user name or password"),
        ("https://h?a=1", "contains a query or a fragment"),
        ("https://h#x", "contains a query or a fragment"),
        ("ftp://h", "is not an http or https URL"),
        ("http\u017f://h", "is not an http or https URL"),
        ("https://ban\u212a.example", "is not an http or https URL"),
    ],
)
def test_base_url_errors_have_a_reason(url: Any, reason: str) -> None:
    """The error for a base URL contains the reason."""
    with pytest.raises(InvalidData, match=f"The base URL {reason}"):
        validate_base_url(url)


@pytest.mark.parametrize(
    "path, reason",
    [
        ("/a b", "is not a str, or contains white space or a control character"),
        ("https://u:p@h/x", "contains a user name or password"),
        ("https://[h/x", "contains an invalid host"),
    ],
)
def test_path_errors_have_a_reason(path: str, reason: str) -> None:
    """The error for a request's path contains the reason."""
    with pytest.raises(InvalidData) as excinfo:
        Request.get(path)
    assert (f"The path {reason}.", "path") == (excinfo.value.message, excinfo.value.field)
    assert excinfo.value.remedy.startswith("Percent-encode the parts of the path")


def test_only_an_http_url_has_an_origin() -> None:
    """A URL with an HTTP scheme has an origin; for any other string the origin is None."""
    assert ("https", "a.example", 443) == origin_of("HTTPS://A.example/x")
    assert origin_of("a.example/x") is None
    assert origin_of("ftp://a.example/") is None
