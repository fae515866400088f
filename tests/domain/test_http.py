"""HTTP requests: how they are built, changed and shown."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from moorage.domain.http import requests as http
from moorage.domain.http.requests import Headers, HttpMethod, Request
from moorage.errors import InvalidData


@pytest.mark.parametrize(
    "method, safe, idempotent",
    [
        ("GET", True, True),
        ("HEAD", True, True),
        ("OPTIONS", True, True),
        ("PUT", False, True),
        ("DELETE", False, True),
        ("POST", False, False),
        ("PATCH", False, False),
    ],
)
def test_safe_and_idempotent_methods(method: str, safe: object, idempotent: object) -> None:
    """Safe and idempotent methods are those of RFC 9110."""
    assert (safe, idempotent) == (HttpMethod(method).safe, HttpMethod(method).idempotent)
    assert method == f"{HttpMethod(method)}"
    assert idempotent is Request(method, "/x").repeatable


@pytest.mark.parametrize("method", ["get", "FETCH", "", None, 5])
def test_unknown_methods_are_refused(method: str) -> None:
    """An HTTP method must be one of seven, in capitals."""
    with pytest.raises(InvalidData) as excinfo:
        Request(method, "/x")
    assert "method" == excinfo.value.field
    assert "PATCH" in excinfo.value.remedy


@pytest.mark.parametrize("name", ["get", "head", "options", "post", "put", "patch", "delete"])
def test_each_method_has_a_constructor(name: str) -> None:
    """A request has a constructor for each method, with query and headers."""
    request = getattr(Request, name)("/x", query={"a": 1}, headers={"B": "2"})
    assert Request(name.upper(), "/x", query=[("a", "1")], headers=[("B", "2")]) == request


@pytest.mark.parametrize("name", ["post", "put", "patch", "delete"])
def test_body_is_sent_unchanged_and_json_and_forms_are_encoded(name: str) -> None:
    """A request's body is sent unchanged; JSON and forms are encoded and get a content type."""
    build = getattr(Request, name)
    assert b"x" == build("/x", body=b"x").body
    assert Headers() == build("/x", body=b"x").headers
    json = build("/x", json={"a": "ü"})
    assert '{"a":"ü"}'.encode() == json.body
    assert (("Content-Type", "application/json"),) == json.headers.pairs
    form = build("/x", form={"a b": ["ü", 1], "c": None})
    assert b"a+b=%C3%BC&a+b=1" == form.body
    assert (("Content-Type", "application/x-www-form-urlencoded"),) == form.headers.pairs


def test_content_type_can_be_overridden() -> None:
    """A request's own content type overrides the default for JSON or a form."""
    request = Request.post("/x", json=[], headers={"content-type": "application/vnd.api+json"})
    assert (("content-type", "application/vnd.api+json"),) == request.headers.pairs


@pytest.mark.parametrize(
    "content, field",
    [
        ({"body": b"", "json": {}}, "body"),
        ({"json": {}, "form": {}}, "body"),
        ({"body": "text"}, "body"),
        ({"body": {"a": 1}}, "body"),
        ({"json": {1, 2}}, "json"),
        ({"form": {"a": 1.5}}, "form.a"),
        ({"form": {"a": 1.5}, "files": {}}, "form.a"),
        ({"query": {"a": 1.5}}, "query.a"),
        ({"headers": {"A": "b\nc"}}, "headers.A"),
        ({"files": {}, "headers": {"content-type": "text/csv"}}, "headers.Content-Type"),
    ],
)
def test_invalid_content_is_refused(content: Any, field: str) -> None:
    """Request content that cannot be sent raises an error that names the field."""
    with pytest.raises(InvalidData) as excinfo:
        Request.post("/x", **content)
    assert field == excinfo.value.field


def test_each_method_that_changes_request_returns_copy() -> None:
    """Each method that changes a request returns a copy."""
    request = Request.get("/x", headers={"A": "1", "B": "2"})
    assert (("B", "2"), ("a", "3")) == request.with_header("a", "3").headers.pairs
    expected = (("B", "2"), ("a", "3"), ("a", "4"), ("C", "5"))
    assert expected == request.with_headers([("a", "3"), ("a", "4"), ("C", "5")]).headers.pairs
    assert Request.get("/y", headers=request.headers) == request.evolve(path="/y")
    assert (("A", "1"), ("B", "2")) == request.headers.pairs
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.path = "/z"  # type: ignore[misc]  # what the test is about


@attrs.frozen
class LabelledRequest(Request):
    """A request class of the application."""

    label: str = attrs.field(default="", kw_only=True)


def test_carrying_a_header_changes_nothing_else() -> None:
    """`carrying` changes only a request's headers, also for subclasses."""
    request = Request.put("/x", query={"a": 1}, body=b"y").evolve(idempotent=False)
    changed_request = request.with_only_headers(Headers({"A": "1"}))
    assert attrs.evolve(request, headers={"A": "1"}) == changed_request

    labelled: Any = LabelledRequest("GET", "/x", label="mine").with_header("A", "1")
    assert ("mine", "1") == (labelled.label, labelled.headers["a"])


def test_idempotent_setting_overrides_the_method() -> None:
    """`idempotent` of a request overrides its method; a body that is read once is not replayed."""
    assert Request.post("/x").evolve(idempotent=True).repeatable
    assert not Request.get("/x").evolve(idempotent=False).repeatable
    assert Request.post("/x", body=b"x").replayable
    assert Request.post("/x", body=lambda: iter([b"x"])).replayable
    assert not Request.post("/x", body=iter([b"x"])).replayable


@pytest.mark.parametrize(
    "request_, expected",
    [
        (Request.get("/x"), "<Request GET /x>"),
        (Request.get("/x", query={"a": "1", "api_key": "s"}), "<Request GET /x?a=1&api_key=***>"),
        (Request.get("/x?token=s&b"), "<Request GET /x?token=***&b>"),
        (Request.get("/x?a=1", query={"sig": "s="}), "<Request GET /x?a=1&sig=***>"),
        (Request.get("/x?a=1=2=3&sig=s=s=s"), "<Request GET /x?a=1=2=3&sig=***>"),
        (
            Request.post("/x", json={"a": "s"}, headers={"Authorization": "s"}),
            "<Request POST /x>",
        ),
    ],
)
def test_the_repr_shows_no_secret(request_: Request, expected: Any) -> None:
    """A request's repr shows method, path and harmless parameters, but no credentials."""
    assert expected == repr(request_)


def test_everything_for_http_messages_can_be_imported_from_one_module() -> None:
    """Everything for HTTP messages can be imported from one module."""
    expected = {"Body", "BodyStream", "Headers", "HttpMethod", "Request", "Response", "Timeouts"}
    assert expected < set(http.__all__)
    assert all(hasattr(http, name) for name in http.__all__)


@pytest.mark.parametrize("wrong", [1, 0, "no", [], object()])
def test_idempotent_must_be_a_bool(wrong: Any) -> None:
    """A request's `idempotent` must be a bool or None."""
    with pytest.raises(InvalidData) as excinfo:
        Request("POST", "/", idempotent=wrong)

    assert "idempotent" == excinfo.value.field
    assert "must be a boolean or None" in excinfo.value.message
