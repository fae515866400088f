"""What must not be kept is not shown, and nothing raises."""

from __future__ import annotations

import json
from time import process_time
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.domain.headers import Headers
from mooring.domain.redaction import Personal, Redaction

# ruff: noqa: ANN401 - JSON has any shape

HIDDEN = "h1dden"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
RULES = Redaction(header_names=["X-Shop"], query_names=["Code"], body_keys=["IBANs", "note"])

plain = st.text(st.characters(codec="utf-8"), max_size=20)
harmless = st.sampled_from(["a", "city", "line 1", "x-y", "größe", 'quo"te', "back\\slash"])
SENSITIVE = ["token", "client_secret", "apiKey", "Password", "ibans", "NOTE"]
sensitive = st.sampled_from(SENSITIVE)
hidden = st.recursive(
    st.just(HIDDEN),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(harmless, inner, min_size=1, max_size=3)
    ),
    max_leaves=5,
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1000, 1000)
    | st.sampled_from(["x", "ü", 'a "b"', ","]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(harmless, inner, max_size=3)
        | st.dictionaries(sensitive, hidden, min_size=1, max_size=2)
        | st.dictionaries(sensitive, hidden, min_size=1, max_size=1).map(json.dumps)
    ),
    max_leaves=20,
)


def without(value: Any) -> Any:
    """Say what remains of a value, by another way than the code's."""
    if isinstance(value, dict):
        return {key: "***" if key in SENSITIVE else without(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without(item) for item in value]
    return value


@given(values, st.sampled_from([None, 2]), st.sampled_from([True, False]))
def test_json_is_masked_at_any_depth(value: Any, indent: int | None, ascii_only: Any) -> None:
    """What lies under a sensitive key, in JSON or in JSON inside its strings, is not shown."""
    body = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    shown = RULES.body(body.encode(), JSON, 10**6)
    assert HIDDEN not in shown
    assert HIDDEN not in RULES.body(body.encode(), "text/plain", 10**6)
    if HIDDEN not in json.dumps(without(value)):
        assert without(value) == json.loads(shown)


@given(values, st.integers(0, 200))
def test_a_cut_shows_no_more(value: Any, limit: int) -> None:
    """However short the limit is, it cuts the text and never a mask open."""
    body = json.dumps(value).encode()
    shown = RULES.body(body, JSON, limit)
    assert HIDDEN not in shown
    assert len(shown) <= limit + 1 or len(body) <= limit


@given(st.integers(0, 60))
def test_a_cut_halves_no_card(limit: int) -> None:
    """A number that the limit would cut in two is recognised all the same."""
    body = b"x" * 30 + b" 4111111111111111 " + b"y" * 3000
    assert "41111" not in RULES.body(body, "text/plain", limit)


@given(st.dictionaries(sensitive, st.just(HIDDEN)), st.dictionaries(harmless, plain))
def test_forms_are_masked(secrets: dict[str, str], fields: dict[str, str]) -> None:
    """A form shows its harmless fields only."""
    rules = Redaction(query_names=["ibans", "note"])
    assert HIDDEN not in rules.body(urlencode({**fields, **secrets}).encode(), FORM, 10**6)


@pytest.mark.parametrize(
    "body, content_type, expected",
    [
        (b"", JSON, ""),
        (b"", None, ""),
        (b'{"a":1.10,"a":2,"token":null}', JSON, '{"a":1.10,"a":2,"token":"***"}'),
        (b'{"to\\u006ben":"h1dden","b":1}', JSON, '{"to\\u006ben":"***","b":1}'),
        (b'{"a":"x\\u0040y.example"}', JSON, '{"a":"***"}'),
        (b'["4111111111111111",4111111111111111]', JSON, '["4111***1111",4111***1111]'),
        (b'{"x@y.example":1}', JSON, '{"***":1}'),
        (b'{"token":[["h1dden"],{"a":["h1dden"]}],"b":[1]}', JSON, '{"token":"***","b":[1]}'),
        (b'{"token":"h1dden', JSON, '{"token":"***"'),
        (b'{"a":"\\x h1dden","token" : {', JSON, '{"a":"\\x h1dden","token" :"***"'),
        (b"{'token': 'h1dden', 'b': 2}", JSON, "{'token':\"***\", 'b': 2}"),
        (b'{"token":"h1dden"}', "text/plain", '{"token":"***"}'),
        (b'{"token":"h1dden"}', None, '{"token":"***"}'),
        (b'failed: {"token":"h1dden"} sorry', "text/plain", 'failed: {"token":"***"} sorry'),
        ('{"token":"h1dden"}'.encode("utf-16le"), JSON, '{"token":"***"}'),
        (b"a=1&token=h1dden&b=x%40y.example&c", FORM, "a=1&token=***&b=***&c"),
        (b"code=h1dden&pa%73sword=h1dden&token", FORM, "code=***&pa%73sword=***&token"),
        (b"payload=%7B%22token%22%3A%22h1dden%22%7D", FORM, 'payload={"token":"***"}'),
        (b"a+b=c%20d", FORM, "a+b=c%20d"),
        (
            b'<Envelope><w:Password Type="t">h1dden</w:Password><a>1</a></Envelope>',
            "text/xml; charset=utf-8",
            '<Envelope><w:Password Type="t">***</w:Password><a>1</a></Envelope>',
        ),
        (
            b"<password><![CDATA[h1dden]] <x>]]></password><b/>",
            "application/soap+xml",
            "<password>***</password><b/>",
        ),
        (
            b'<login user="jo" password="h1dden h1dden"/>',
            "text/xml",
            '<login user="jo" password=***/>',
        ),
        (b"Invalid API key: h1dden.", "text/plain", "Invalid API key: ***"),
        (b"Authorization: Basic h1dden", None, "Authorization: ***"),
        (b"note = 'h1dden h1dden' ok", "text/plain", "note = *** ok"),
        (b"\x89PNG", "image/png", "<4 bytes of image/png>"),
        (b"ok", "text/plain; charset=latin-1", "ok"),
        ("größe".encode("latin-1"), "text/plain; charset=latin-1", "größe"),
        (b"\xff\xfe{", JSON, "��{"),
        (b"secret=h1dden", "multipart/form-data; boundary=x", "<13 bytes of multipart/form-data>"),
    ],
)
def test_bodies(body: bytes, content_type: str | None, expected: str) -> None:
    """Each notation is masked by its own rules, broken ones too; what is no text is not shown."""
    assert expected == RULES.body(body, content_type, 1000)


def test_long_text_is_cut() -> None:
    """An ellipsis stands for what the limit cut off."""
    assert "x" * 10 + "…" == RULES.body(b"x" * 10_000, "text/plain", 10)
    assert "x" * 10 == RULES.body(b"x" * 10, "text/plain", 10)


@pytest.mark.parametrize(
    "url, expected",
    [
        ("https://h/x?a=1&token=h1dden#b", "https://h/x?a=1&token=***#b"),
        ("/x?code=h1dden", "/x?code=***"),
        ("https://user:h1@dden@h.example/x", "https://***@h.example/x"),
        ("/users/x@y.example?q=x%40y.example", "/users/***?q=***"),
        ("/cb#access_token=h1dden&state=1", "/cb#access_token=***&state=1"),
        ("https://[h?token=h1dden?token=h1dden", "https://[h?token=***?token=***"),
        ("", ""),
    ],
)
def test_urls(url: str, expected: str) -> None:
    """A URL keeps its harmless parts, be it well-formed or not."""
    assert expected == RULES.query(url)


def test_headers() -> None:
    """Headers that hold credentials are masked whole, and others where they hold any."""
    headers = Headers(
        [
            ("Accept", "*/*"),
            ("Authorization", "Bearer h1dden"),
            ("x-shop", "h1dden"),
            ("Location", "https://h/cb?token=h1dden&a=1"),
            ("From", "x@y.example"),
            ("X-Data", '{"a":"\\u0000"}'),
        ]
    )
    expected = (
        ("Accept", "*/*"),
        ("Authorization", "***"),
        ("x-shop", "***"),
        ("Location", "https://h/cb?token=***&a=1"),
        ("From", "***"),
        ("X-Data", '{"a":"\\u0000"}'),
    )
    assert expected == RULES.headers(headers).pairs


def test_what_is_personal_can_be_chosen() -> None:
    """A service may keep addresses and still hide cards."""
    rules = Redaction(personal=[Personal.CARD])
    assert "x@y.example 4111***1111" == rules.text("x@y.example 4111111111111111")


@given(st.binary(), st.sampled_from([JSON, FORM, "text/plain", "text/xml", None, "a/b", "é;;="]))
def test_nothing_raises(body: bytes, content_type: str | None) -> None:
    """Garbage of every kind is shown or told of."""
    RULES.body(body, content_type, 50)
    RULES.query(body.decode("latin-1"))


@given(st.text())
def test_masking_twice_is_masking_once(text: str) -> None:
    """What was masked is left alone."""
    assert RULES.text(text) == RULES.text(RULES.text(text))


UNITS = [
    "[", "{", '{"a":', '{"token":', "[[]", '"', '"\\', '\\"', '"a"', '"a":', "a=", "a: ", "a",
    "<a", "<a ", "<a>", "<a:", "<token>", "<token><![CDATA[", "]", "]]", "'", "=", "%", "&",
    "basic ", "token=", "token='", "://", "://a@", "@", " ", "\t", "\0", "\\u0041", "?",
]  # fmt: skip


def seconds(text: str) -> float:
    """Say how long showing a body and a URL takes."""
    start = process_time()
    for content_type in (JSON, FORM, "text/plain"):
        RULES.body(text.encode(), content_type, 2**20)
    RULES.query(text)
    return process_time() - start


@pytest.mark.parametrize("unit", UNITS)
def test_hostile_text_takes_linear_time(unit: str) -> None:
    """Eight times the text takes about eight times as long, where a square would take 64 times."""
    assert seconds(unit * (2**17 // len(unit))) < 24 * seconds(unit * (2**14 // len(unit))) + 0.5


def test_a_megabyte_of_hostile_text_is_no_burden() -> None:
    """A mixture of all that is hostile is done in a moment, nested 100,000 deep too."""
    mixture = "".join(start + unit * 10 for unit in UNITS for start in UNITS)
    assert seconds((mixture * 30)[: 2**20]) < 60
    assert "[" * 100_000 == RULES.body(b"[" * 100_000, JSON, 2**20)


@pytest.mark.parametrize(
    "begins",
    [
        "sk_live_",
        "sk_test_",
        "rk_live_",
        "rk_",
        "pk_live_",
        "whsec_",
        "ghp_",
        "xoxb-",
        "AKIA",
        "SG.",
        "",
    ],
)
def test_keys_are_masked_in_words(begins: str) -> None:
    """A key that says what it is, or a long token, is not shown in somebody's words."""
    key = begins + "IOSF0DNN7EXAMPLE" * (1 if begins else 2)

    assert "Invalid key ***, sorry" == Redaction().words(f"Invalid key {key}, sorry", 300)


@pytest.mark.parametrize(
    "said",
    ["the mask rk_ of SG. is AKIA", "x" * 40, "1" * 40, "/v1/customers/cus_1a2b/subscriptions"],
)
def test_other_words_are_shown(said: str) -> None:
    """Short words, and long ones of letters or digits alone, are no keys."""
    assert said == Redaction(personal=[]).words(said, 300)


@pytest.mark.parametrize("piece", ["sk_live_", "rk_", "SG.", "a1", "xoxb-", "_", "AKIA."])
def test_words_take_linear_time(piece: str) -> None:
    """However hostile the words are, they are read once."""
    began = process_time()
    Redaction().words(piece * 100_000, 10**6)

    assert process_time() - began < 5
