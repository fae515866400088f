"""HTTP headers: case-insensitive, with repeated values, and safe against line breaks."""

from __future__ import annotations

import copy
import pickle
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.http.headers import Headers, as_headers, validated_headers
from moorage.domain.http.requests import Request
from moorage.domain.service.settings import Service
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable

names = st.from_regex(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", fullmatch=True)
values = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"])).map(
    lambda value: value.strip(" \t")
)
fields = st.lists(st.tuples(names, values))


@given(fields)
def test_pairs_are_preserved(pairs: list[tuple[str, str]]) -> None:
    """Headers preserve the order, the repetitions and the case of their fields."""
    assert tuple(pairs) == Headers(pairs).pairs


@given(st.lists(st.tuples(names.map(str.lower), values)))
def test_parsed_fields_equal_checked_fields(pairs: list[tuple[str, str]]) -> None:
    """Headers built by the parser equal headers built from validated fields."""
    headers, entry = (
        Headers(pairs),
        validated_headers((name, f" {value}\t") for name, value in pairs),
    )

    assert (headers.pairs, dict(headers)) == (entry.pairs, dict(entry))
    assert [headers.get_all(name) for name in headers] == [entry.get_all(name) for name in headers]


@given(fields, names)
def test_any_case_finds_the_same_value(pairs: list[tuple[str, str]], name: str) -> None:
    """A header lookup ignores the name's case, and returns the first of several values."""
    headers = Headers([*pairs, (name, "last")])
    first = next(value for entry, value in headers.pairs if entry.lower() == name.lower())
    for form in (name, name.upper(), name.lower()):
        assert first == headers[form] == headers.get(form)
        assert form in headers
        assert first == headers.get_all(form)[0]


@given(fields)
def test_mapping_of_headers_has_each_name_once(pairs: list[tuple[str, str]]) -> None:
    """As a mapping, headers have each name once, spelled like its first field."""
    headers = Headers(pairs)
    assert len({name.lower() for name, _ in pairs}) == len(headers) == len(list(headers))
    assert dict(headers) == {name: headers[name] for name in headers}


@given(fields, names, values)
def test_with_header_replaces_all_values_of_one_header(
    pairs: list[tuple[str, str]], name: str, value: Any
) -> None:
    """`with_header` replaces all values of one header, and changes no other."""
    headers = Headers(pairs)
    changed_headers = headers.with_header(name, value)
    assert (value,) == changed_headers.get_all(name)
    assert headers.without(name) == changed_headers.without(name)
    assert name not in changed_headers.without(name)


@given(fields, names, names, values)
def test_headers_after_change_equal_headers_built_from_same_fields(
    pairs: list[tuple[str, str]], name: str, other: str, value: Any
) -> None:
    """Headers after a change equal headers built from the same fields."""
    headers = Headers(pairs)
    entries = [pair for pair in pairs if pair[0].lower() not in {name.lower(), other.lower()}]
    for changed_headers in (headers.with_header(name, value), headers.without(name, other)):
        new_headers = Headers(changed_headers.pairs)
        assert (new_headers.pairs, dict(new_headers), len(new_headers)) == (
            changed_headers.pairs,
            dict(changed_headers),
            len(changed_headers),
        )
        assert {n: new_headers.get(n) for n, _ in pairs} == {
            n: changed_headers.get(n) for n, _ in pairs
        }
    assert Headers(entries).pairs == headers.without(name, other).pairs


@given(fields, names, values)
def test_default_header_does_not_override(
    pairs: list[tuple[str, str]], name: str, value: Any
) -> None:
    """`with_default` adds a header only where there is none of its name."""
    headers = Headers(pairs)
    expected = headers.get(name, value)
    assert expected == headers.with_default(name, value)[name]
    assert headers.with_default(name, value) == headers.with_default(name, value).with_default(
        name, "another"
    )


@given(fields)
def test_header_names_compare_case_insensitively(pairs: list[tuple[str, str]]) -> None:
    """Headers with equal fields in another case are equal and have the same hash."""
    headers = Headers(pairs)
    shouted = Headers([(name.upper(), value) for name, value in pairs])
    assert headers == shouted
    assert hash(headers) == hash(shouted)
    assert headers == pickle.loads(pickle.dumps(headers))  # noqa: S301 - our own bytes
    assert headers == copy.deepcopy(headers)


def test_different_headers_hash_differently() -> None:
    """Headers with different names or values have different hashes."""
    header_sets: list[dict[str, str]] = [
        {},
        {"A": "1"},
        {"A": "2"},
        {"B": "1"},
        {"A": "1", "B": "1"},
    ]
    assert len(header_sets) == len({hash(Headers(fields)) for fields in header_sets})


def test_the_order_between_names_does_not_matter() -> None:
    """For equal headers, only the order of values of one name matters."""
    assert Headers({"A": "1", "B": "2"}) == Headers({"b": "2", "a": "1"})
    assert Headers([("A", "1"), ("A", "2")]) != Headers([("A", "2"), ("A", "1")])
    assert Headers([("A", "1"), ("A", "2")]) != Headers([("A", "1")])
    assert Headers({"A": "1"}) != {"A": "1"}


def test_missing_header_gives_the_default_or_a_key_error() -> None:
    """For a missing header, `get` returns the default, and `[]` raises a KeyError."""
    headers = Headers({"A": "1"})
    assert headers.get("B") is None
    assert "x" == headers.get("B", "x")
    assert "B" not in headers
    assert cast("Any", 5) not in headers
    assert headers is headers.without("B")
    with pytest.raises(KeyError):
        headers["B"]


@given(fields, st.text("-abcdefxyz0", min_size=1, max_size=2))
def test_mention_finds_text_in_header_names_ignoring_case(
    pairs: list[tuple[str, str]], text: str
) -> None:
    """`mention` finds a string in any header name, case-insensitively."""
    is_secret_name = any(text in name.lower() for name, _ in pairs)
    assert is_secret_name == Headers(pairs).has_name_with(text)


def test_text_is_found_in_header_names_only() -> None:
    """`has_name_with` finds a string within a single header name, not in values or across names."""
    headers = Headers({"X-RateLimit-Left": "none", "Age": "1"})
    assert headers.has_name_with("limit")
    assert headers.has_name_with("age")
    assert not headers.has_name_with("none")
    assert not headers.has_name_with("leftage")
    assert not Headers().has_name_with("limit")


def test_spaces_and_tabs_around_header_value_are_dropped() -> None:
    """Spaces and tabs around a header value are removed.

    Spaces and tabs inside the value are not.
    """
    assert "a \t b" == Headers({"A": " \ta \t b\t"})["a"]


@given(st.characters(exclude_characters="\t") | st.sampled_from("\r\n\0\x7f"))
def test_unsendable_letters_are_refused(letter: str) -> None:
    """A header value may contain printable Latin-1 and tabs only, so no line break."""
    sendable = " " <= letter <= "~" or "\x80" <= letter <= "\xff"
    if sendable:
        assert f"a{letter}b" == Headers({"A": f"a{letter}b"})["A"]
        return
    with pytest.raises(InvalidData) as excinfo:
        Headers({"X-Key": f"hidden{letter}"})
    assert "headers.X-Key" == excinfo.value.field
    assert "hidden" not in str(excinfo.value)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\n", "ä", "a\r\nb: c", "a\0"])
def test_header_name_must_consist_of_token_characters(name: str) -> None:
    """A header name with anything but token characters is refused."""
    with pytest.raises(InvalidData) as excinfo:
        Headers({name: "x"})
    assert "headers" == excinfo.value.field


@pytest.mark.parametrize("value", [5, None, b"x", ["x"]])
def test_header_value_that_is_not_text_is_refused(value: Any) -> None:
    """A header value that is not text is refused, and the error names the header."""
    with pytest.raises(InvalidData) as excinfo:
        Headers({"A": value})
    assert "headers.A" == excinfo.value.field
    assert f"is of type {type(value).__name__}, not str." in excinfo.value.message


@pytest.mark.parametrize(
    "given_", ["text", 5, [("a", "b", "c")], [5], [(5, "a")], {b"a": "b"}, b"x"]
)
def test_other_types_are_refused(given_: Any) -> None:
    """Headers made from anything but a mapping or pairs of str raise InvalidData."""
    with pytest.raises(InvalidData) as excinfo:
        Headers(given_)
    assert "headers" == excinfo.value.field
    assert f"A value of type {type(given_).__name__} cannot" in excinfo.value.message


def test_the_repr_masks_credentials() -> None:
    """The repr of headers shows the names of credentials but never their values."""
    headers = Headers([("Accept", "*/*"), ("Authorization", "Bearer x1"), ("Set-Cookie", "x2")])
    assert "<Headers Accept: */*, Authorization: ***, Set-Cookie: ***>" == repr(headers)
    assert "<Headers>" == repr(Headers())


@pytest.mark.parametrize("show", [attrs.asdict, attrs.astuple])
def test_a_service_shows_no_header_by_its_fields(show: Callable[[Any], object]) -> None:
    """If a service is converted to a dict or tuple, its headers are still masked."""
    service = Service("a", base_url="https://a.example", headers={"Authorization": "Bearer x1"})
    shown = repr(show(service))
    assert "Authorization: ***" in shown
    assert "x1" not in shown


def test_pickled_or_copied_value_of_headers_has_same_pairs_in_same_order() -> None:
    """A pickled or copied value of headers has the same pairs in the same order."""
    headers = Headers([("B", "1"), ("A", "2"), ("b", "3")])
    pickled = pickle.dumps(headers)
    for copied in (pickle.loads(pickled), copy.copy(headers), copy.deepcopy(headers)):  # noqa: S301 - our own
        assert headers.pairs == copied.pairs
        assert "1" == copied["b"]


@pytest.mark.parametrize("name", ["Authorization", "set-cookie", "X-Api-Key"])
def test_headers_with_a_secret_are_copied_but_not_pickled(name: str) -> None:
    """Headers with a secret can be copied but not pickled, until the secret is removed."""
    request = Request.get("/", headers={"Accept": "text/plain", name: "canary"})

    assert request == copy.copy(request) == copy.deepcopy(request)
    with pytest.raises(InvalidData, match=name) as excinfo:
        pickle.dumps(request)
    assert "canary" not in repr(excinfo.value)
    clean = attrs.evolve(request, headers=request.headers.without(name))
    assert clean == pickle.loads(pickle.dumps(clean))  # noqa: S301 - our own bytes


def test_headers_are_not_copied() -> None:
    """Headers are passed through without a copy, and empty headers are one shared value."""
    headers = Headers({"A": "1"})
    assert headers is as_headers(headers)
    assert as_headers(None) is as_headers({})
    assert Headers({"A": "1"}) == as_headers(MappingProxyType({"A": "1"}))
    assert Headers([("A", "1"), ("a", "2")]) == Headers(Headers([("A", "1"), ("a", "2")]))


def test_headers_are_immutable() -> None:
    """Setting an attribute of headers raises an error."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Headers().pairs = ()


def test_parsed_values_lose_only_spaces_and_tabs() -> None:
    """Only spaces and tabs are stripped around a parsed header value."""
    assert "\xa0v\x85" == validated_headers([("a", " \t\xa0v\x85\t ")]).get("a")


@pytest.mark.parametrize("value", ["a\nb", 7])
def test_a_value_that_is_set_and_cannot_be_sent_is_named(value: Any) -> None:
    """The error for a value that cannot be sent in a header names the header."""
    with pytest.raises(InvalidData, match="'X-A'") as excinfo:
        Headers().with_header("X-A", value)
    assert "headers.X-A" == excinfo.value.field
