"""The HTTP response of a service."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.http.requests import Headers, Response
from moorage.errors import InvalidData


@given(st.integers(100, 999))
def test_only_2xx_statuses_are_ok(status: int) -> None:
    """A response is ok only with a 2xx status."""
    assert (status // 100 == 2) is Response(status).ok


def test_text_is_decoded_as_declared() -> None:
    """A response's text is decoded by its declared charset, or UTF-8."""
    assert "ü" == Response(200, {"Content-Type": "text/plain; charset=latin-1"}, b"\xfc").text
    assert "ü" == Response(200, body="ü".encode()).text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_is_read(encoding: str) -> None:
    """A response's JSON is read in any Unicode encoding."""
    assert {"a": [1, "ü"]} == Response(200, body='{"a":[1,"ü"]}'.encode(encoding)).json()


@pytest.mark.parametrize(
    "body", [b"", b"<html>hidden</html>", b"[NaN]", b"\xff\xfe\xfd", b"[" * 100_000, b"1" * 10_000]
)
def test_invalid_json_raises_invalid_data(body: bytes) -> None:
    """A response body that is not JSON raises InvalidData, which does not show the body."""
    with pytest.raises(InvalidData) as excinfo:
        Response(502, body=body).json()
    assert "body" == excinfo.value.field
    assert "hidden" not in str(excinfo.value)


def test_the_repr_shows_no_content() -> None:
    """A response's repr shows status and size, and no content."""
    response = Response(201, {"Set-Cookie": "hidden"}, b"hidden", url="https://h/?key=hidden")
    assert "<Response 201 (6 bytes)>" == repr(response)


def test_evolve_changes_named_fields_of_response_and_nothing_else() -> None:
    """`evolve` changes the named fields of a response and nothing else."""
    response = Response(200, {"A": "1"}, b"x", reason="OK", url="https://h/x", elapsed=0.5)
    replayed_response = response.evolve(replayed=True)
    assert replayed_response.replayed
    assert response == replayed_response.evolve(replayed=False)
    assert "1" == replayed_response.header("a")
    assert replayed_response.header("b") is None
    assert Headers() == Response(204).headers


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"status": 99}, "status"),
        ({"status": 1000}, "status"),
        ({"status": "200"}, "status"),
        ({"status": 200, "body": "text"}, "body"),
        ({"status": 200, "headers": {"a b": "c"}}, "headers"),
    ],
)
def test_invalid_response_fields_are_refused(fields: dict[str, Any], field: str) -> None:
    """A response with an invalid status, body or header is refused; the error has the field."""
    with pytest.raises(InvalidData) as excinfo:
        Response(**fields)
    assert field == excinfo.value.field


def test_body_must_be_bytes() -> None:
    """A response body that is not bytes is refused; the error has its type, not its content."""
    with pytest.raises(InvalidData, match="of type str is not bytes") as excinfo:
        Response(200, body="hidden")  # type: ignore[arg-type]  # what the test is about
    assert "hidden" not in str(excinfo.value)


class Answer(Response):
    """An application's own response class."""


@pytest.mark.parametrize("kind", [Response, Answer])
def test_copies_for_a_replay_and_from_the_cache(kind: type[Response]) -> None:
    """A response copied as replayed or cached equals the result of `evolve`."""
    answer = kind(201, {"A": "1"}, b"x", reason="Made", url="https://a.example", elapsed=1.5)
    headers = Headers({"Age": "7"})

    assert answer.evolve(replayed=True) == answer.as_replayed()
    expected = answer.evolve(headers=headers, body=b"", cached=True)
    assert expected == answer.as_cached(headers, b"")
    assert kind is type(answer.as_replayed()) is type(answer.as_cached(headers, b""))
    assert not answer.replayed
    assert not answer.cached
