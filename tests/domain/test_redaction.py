"""Redaction hides sensitive values in strings and messages, and never raises."""

from __future__ import annotations

import json
import re
from time import process_time
from typing import Any
from urllib.parse import urlencode

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.http.headers import Headers
from moorage.domain.http.redaction import Personal, Redaction
from moorage.errors import ConfigurationError

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


def mask_value(value: Any) -> Any:
    """Return the masked value, computed independently of the tested code."""
    if isinstance(value, dict):
        return {key: "***" if key in SENSITIVE else mask_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [mask_value(item) for item in value]
    return value


@given(values, st.sampled_from([None, 2]), st.sampled_from([True, False]))
def test_json_is_masked_at_any_depth(value: Any, indent: int | None, ascii_only: Any) -> None:
    """Values under a sensitive key are masked in JSON, and in JSON inside its strings."""
    body = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    shown_body = RULES.body(body.encode(), JSON, 10**6)
    assert HIDDEN not in shown_body
    assert HIDDEN not in RULES.body(body.encode(), "text/plain", 10**6)
    if HIDDEN not in json.dumps(mask_value(value)):
        assert mask_value(value) == json.loads(shown_body)


@given(values, st.integers(0, 200))
def test_cut_text_never_reveals_a_masked_value(value: Any, limit: int) -> None:
    """A short limit cuts a masked text, but never reveals a masked value."""
    body = json.dumps(value).encode()
    shown_body = RULES.body(body, JSON, limit)
    assert HIDDEN not in shown_body
    assert len(shown_body) <= limit + 1 or len(body) <= limit


@given(st.integers(0, 60))
def test_card_number_is_masked_even_if_the_text_was_cut(limit: int) -> None:
    """A card number is masked even if the text was cut in its middle."""
    body = b"x" * 30 + b" 4111111111111111 " + b"y" * 3000
    assert "41111" not in RULES.body(body, "text/plain", limit)


@given(st.dictionaries(sensitive, st.just(HIDDEN)), st.dictionaries(harmless, plain))
def test_masked_form_shows_only_harmless_fields(
    secrets: dict[str, str], fields: dict[str, str]
) -> None:
    """A masked form shows its harmless fields only."""
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
def test_bodies_are_masked_by_content_type(
    body: bytes, content_type: str | None, expected: str
) -> None:
    """Bodies are masked by their content type, even if malformed; binary content is not shown."""
    assert expected == RULES.body(body, content_type, 1000)


def test_cut_text_ends_with_an_ellipsis() -> None:
    """An ellipsis stands for the part of a long text that was cut off."""
    assert "x" * 10 + "…" == RULES.body(b"x" * 10_000, "text/plain", 10)
    assert "x" * 10 == RULES.body(b"x" * 10, "text/plain", 10)


@pytest.mark.parametrize("length", [301, 400, 812, 813, 5_000])
def test_text_over_the_limit_is_shown_up_to_the_limit(length: int) -> None:
    """A message or body of any length over the limit is shown up to the limit."""
    text = ("This street is closed. " * 300)[:length]
    assert f"{text[:300]}…" == Redaction().words(text, 300)
    assert f"{text[:300]}…" == Redaction().body(text.encode(), "text/plain", 300)


def test_text_that_masking_shortens_to_the_limit_is_shown_to_its_end() -> None:
    """A text that is shorter than the limit after masking is not cut."""
    text = f"password={'x' * 300} is wrong"
    assert "password=*** is wrong" == Redaction().words(text, 300)


class UndecodableBody(bytes):
    """A body that raises an error if it is decoded as a whole."""

    def decode(self, *_: object, **__: object) -> str:
        """Raise an error, since the body must not be decoded."""
        raise AssertionError


def test_only_the_shown_part_is_decoded() -> None:
    """To show the start of a long body, only that start is decoded."""
    assert "x" * 10 + "…" == RULES.body(UndecodableBody(b"x" * 10_000_000), "text/plain", 10)


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
def test_masked_url_keeps_its_harmless_parts(url: str, expected: str) -> None:
    """A masked URL keeps the parts that contain no secret, even if the URL is malformed."""
    assert expected == RULES.query(url)


def test_headers_that_hold_credentials_are_masked_whole() -> None:
    """Headers for credentials are masked completely.

    In other headers only credentials are masked.
    """
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


def test_kinds_of_personal_data_can_be_chosen() -> None:
    """A service may show e-mail addresses and still mask card numbers."""
    rules = Redaction(personal=[Personal.CARD])
    assert "x@y.example 4111***1111" == rules.text("x@y.example 4111111111111111")


@given(st.binary(), st.sampled_from([JSON, FORM, "text/plain", "text/xml", None, "a/b", "é;;="]))
def test_redaction_of_invalid_values_of_any_kind_raises_no_error(
    body: bytes, content_type: str | None
) -> None:
    """Redaction of invalid values of any kind raises no error."""
    RULES.body(body, content_type, 50)
    RULES.query(body.decode("latin-1"))


@given(st.text())
def test_masking_twice_is_masking_once(text: str) -> None:
    """Masking a masked text changes nothing."""
    assert RULES.text(text) == RULES.text(RULES.text(text))


UNITS = [
    "[", "{", '{"a":', '{"token":', "[[]", '"', '"\\', '\\"', '"a"', '"a":', "a=", "a: ", "a",
    "<a", "<a ", "<a>", "<a:", "<token>", "<token><![CDATA[", "]", "]]", "'", "=", "%", "&",
    "basic ", "token=", "token='", "://", "://a@", "@", " ", "\t", "\0", "\\u0041", "?",
]  # fmt: skip


def seconds(text: str) -> float:
    """Return the seconds that are needed to mask a body and a URL."""
    start = process_time()
    for content_type in (JSON, FORM, "text/plain"):
        RULES.body(text.encode(), content_type, 2**20)
    RULES.query(text)
    return process_time() - start


@pytest.mark.untraced
@pytest.mark.parametrize("unit", UNITS)
def test_hostile_text_takes_linear_time(unit: str) -> None:
    """Masking time grows in proportion to a hostile body's length, not to its square."""
    assert seconds(unit * (2**17 // len(unit))) < 24 * seconds(unit * (2**14 // len(unit))) + 0.5


@pytest.mark.untraced
def test_masking_a_megabyte_of_hostile_text_is_fast() -> None:
    """Masking a megabyte of mixed hostile text, nested 100,000 deep, takes little time."""
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
def test_keys_are_masked_in_free_text(begins: str) -> None:
    """A key with a known prefix and a long token are masked in free text."""
    key = begins + "IOSF0DNN7EXAMPLE" * (1 if begins else 2)

    assert "Invalid key ***, sorry" == Redaction().words(f"Invalid key {key}, sorry", 300)


@pytest.mark.parametrize(
    "message",
    ["the mask rk_ of SG. is AKIA", "x" * 40, "1" * 40, "/v1/customers/cus_1a2b/subscriptions"],
)
def test_ordinary_words_are_shown(message: str) -> None:
    """Short words, and long words of only letters or only digits, are not masked."""
    assert message == Redaction(personal=[]).words(message, 300)


@pytest.mark.untraced
@pytest.mark.parametrize("piece", ["sk_live_", "rk_", "SG.", "a1", "xoxb-", "_", "AKIA."])
def test_masking_words_in_hostile_text_takes_linear_time(piece: str) -> None:
    """The time to mask words in hostile text grows in proportion to its length."""
    start_time = process_time()
    Redaction().words(piece * 100_000, 10**6)

    assert process_time() - start_time < 5


def test_masking_handles_nul_characters() -> None:
    """A secret with NUL characters between its letters is masked too."""
    assert "password=***" == Redaction().words("pass\0word=\0hunter2", 300)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("password=a and secret=b", "password=*** and secret=***"),  # words: two values
        ("{'note': 'x', 'city': 'y'}", "{'note':\"***\", 'city': 'y'}"),
        ("{'notes': 'x'}", "{'notes': 'x'}"),
        ('{"a": "größe, token=x"}', '{"a": "größe, token=***"}'),
        ('{"a": "Xy token=x', '{"a": "Xy token=***"'),
        ("{: 1}", "{: 1}"),
        ("password=&a=b", "password=&a=b"),
    ],
)
def test_values_of_sensitive_names_are_masked(text: str, expected: str) -> None:
    """Each value of a sensitive name is masked, and the text around it is unchanged."""
    assert expected == RULES.text(text)


def test_shortest_name_and_value_are_masked() -> None:
    """Values are masked even if the sensitive name or the value has only one letter."""
    assert "a:***" == Redaction(body_keys=["a"]).text("a:b")


def test_value_with_an_equals_sign_is_masked_completely() -> None:
    """The value of a parameter is masked completely, even if it contains an equals sign."""
    assert "https://h/x?code=***&b=1=2" == RULES.query("https://h/x?code=a=b&b=1=2")


def test_sensitive_names_in_json_are_recognised_despite_escapes() -> None:
    """A sensitive name in JSON is recognised despite escapes, in lists and in objects."""
    assert ":1" == Redaction().body(b":1", JSON, 99)
    assert '["***"]' == Redaction().body(b'["jane\\u0040ex.example"]', JSON, 99)


def test_harmless_text_is_shown_up_to_the_limit() -> None:
    """Harmless text is shown up to a limit; of other content only size and type are shown."""
    assert "x" * 100 + "…" == Redaction().body(b"x" * 1000, "text/plain", 100)
    assert f"<3 bytes of {'y' * 80}>" == Redaction().body(b"abc", "y" * 200, 100)


def test_truncation_after_masking_shows_no_partial_value() -> None:
    """If masking shortens a text, the cut still reveals no part of a masked value."""
    body = "token=" + "a" * 900 + " " + "x " * 296 + " 4111 1111 1111 1111"
    assert "4111" in body[:1512]
    assert "4111 1111 1111 1111" not in body[:1512]
    assert "4111" not in Redaction().body(body.encode(), "text/plain", 1000)


# --- a service's own rules -----------------------------------------------------------

PATHS = Redaction(body_paths=["customer.name", "Items.sku", "id"])


@pytest.mark.parametrize(
    "body, expected",
    [
        ('{"customer":{"name":"h1dden"},"name":"x"}', '{"customer":{"name":"***"},"name":"x"}'),
        ('{"customer":{"x":{"name":"a"}}}', '{"customer":{"x":{"name":"a"}}}'),
        ('{"items":[{"SKU":"h1dden"},[{"sku":1}]]}', '{"items":[{"SKU":"***"},[{"sku":"***"}]]}'),
        ('[{"id":[1,{"a":2}],"b":{"id":3}}]', '[{"id":"***","b":{"id":3}}]'),
        ('{"a":{"b":1},"customer":{"name":1}}', '{"a":{"b":1},"customer":{"name":"***"}}'),
        ('{"customer":[],"name":1}}}]', '{"customer":[],"name":1}}}]'),
        ('{"customer":1,"x":{"name":2}}', '{"customer":1,"x":{"name":2}}'),
        ('{"customer":{"name":{"id":1}},"id":2}', '{"customer":{"name":"***"},"id":"***"}'),
        ('{"items":[{"a":1},{"sku":1}]}', '{"items":[{"a":1},{"sku":"***"}]}'),
        ('{"a":{"b":1}}\n{"id":"h1dden"}', '{"a":{"b":1}}\n{"id":"***"}'),
        ('{"a":1,{"id":"x"}}', '{"a":1,{"id":"***"}}'),
    ],
)
def test_value_at_configured_path_is_masked(body: str, expected: str) -> None:
    """The value at a configured path is masked, also within lists, and nothing else is."""
    assert expected == PATHS.body(body.encode(), JSON, 1000)


keys = st.sampled_from(["a", "b", "customer", "name"])
trees = st.recursive(
    st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=15,
)


def at_paths(value: Any, path: tuple[str, ...] = ()) -> Any:
    """Return the value masked at the paths, computed independently of the tested code."""
    if isinstance(value, list):
        return [at_paths(item, path) for item in value]
    if isinstance(value, dict):
        return {
            key: "***" if (*path, key) == ("customer", "name") else at_paths(item, (*path, key))
            for key, item in value.items()
        }
    return value


@given(trees)
def test_paths_are_followed_in_any_shape(value: Any) -> None:
    """In any nesting of JSON, exactly the values at the configured path are masked."""
    rules = Redaction(body_paths="customer.name", personal=())
    shown_body = rules.body(json.dumps(value).encode(), JSON, 10**6)

    assert at_paths(value) == json.loads(shown_body)


def test_custom_patterns_are_masked() -> None:
    """A service's own patterns are masked in bodies, headers, URLs and strings."""
    rules = Redaction(patterns=[r"\bC-\d{4,9}\b", re.compile("acme", re.IGNORECASE)])

    assert '{"a":"*** of ***"}' == rules.body(b'{"a":"C-12345 of Acme"}', JSON, 100)
    assert {"X-Of": "***"} == dict(rules.headers(Headers({"X-Of": "C-12345"})))
    assert "https://x.example/***?of=***" == rules.query("https://x.example/C-12345?of=C-99999")
    assert "*** is unknown" == rules.words("C-12345 is unknown", 100)


def test_pattern_that_cannot_match_anything_is_refused_when_it_is_created() -> None:
    """A pattern that cannot match anything is refused when it is created."""
    with pytest.raises(ConfigurationError):
        Redaction(patterns="(")


@pytest.mark.untraced
@pytest.mark.parametrize("unit", ['{"customer":', '{"a":[', '{"a":{"b":1},', "[{", '"a":', "}]"])
def test_masking_time_is_proportional_to_the_size_of_hostile_json(unit: str) -> None:
    """The time to mask a megabyte of hostile JSON is proportional to its size."""
    body = (unit * (1_000_000 // len(unit))).encode()
    start_time = process_time()
    PATHS.body(body, JSON, 10**7)

    assert process_time() - start_time < 20


def test_redaction_with_paths_can_be_copied_with_change() -> None:
    """A redaction with paths can be copied with a change, as the account of a vendor does."""
    redaction = Redaction(body_paths=["customer.name", "code"])

    assert redaction == attrs.evolve(redaction)
    assert redaction.body_paths == attrs.evolve(redaction, secrets=("s3cret-value",)).body_paths


@pytest.mark.parametrize("names", ["header_names", "query_names", "body_keys"])
def test_a_single_name_is_accepted(names: str) -> None:
    """A name to mask may be a single string instead of a list of strings."""
    from_text, from_list = Redaction(**{names: "X-Shop"}), Redaction(**{names: ["x-shop"]})

    assert from_text == from_list


@pytest.mark.parametrize("value", ["", [""], [1], [None], b"X-Shop"])
def test_names_that_would_mask_nothing_are_refused(value: Any) -> None:
    """A name to mask that is empty or not a string is refused."""
    with pytest.raises(ConfigurationError):
        Redaction(header_names=value)


@pytest.mark.parametrize(
    "message, line",
    [
        ("no\r\n2026-01-01 INFO paid", "no 2026-01-01 INFO paid"),
        ("no\u2028paid\x85paid\n", "no paid paid"),
        ("\x1b[31mno\x1b]0;title\x07\x9b1A", "[31mno]0;title1A"),
        ("no \u202edaip\u2066\u200f", "no daip"),
        ("größe 🚢 \u200b", "größe 🚢 \u200b"),
    ],
)
def test_vendor_message_cannot_forge_line_of_log(message: str, line: str) -> None:
    """A vendor's message cannot forge a line of a log, or control a terminal."""
    assert line == Redaction().words(message, 300)


@pytest.mark.parametrize("character", ["\x1b", "\x7f", "\x9f", "\u202e"])
def test_name_of_secret_is_recognised_if_control_characters_interrupt_it(character: str) -> None:
    """The name of a secret is recognised even if control characters interrupt it."""
    assert "password=***" == Redaction().words(f"pass{character}word=hunter2", 300)


@pytest.mark.parametrize(
    "text, shown",
    [
        ('[{"name": "password", "value": "a b"}]', '[{"name": "password", "value":"***"}]'),
        ('{"value": "a b", "name": "password"}', '{"value": "***", "name": "password"}'),
        ('{"key": "api_key", "value": {"a": "b"}}', '{"key":"***", "value":"***"}'),
        ('{"name": "x-shop", "value": [1', '{"name": "x-shop", "value":"***"'),
        ('{"name": "city", "value": "Oslo"}', '{"name": "city", "value": "Oslo"}'),
        ('[{"name": "password"}, {"value": 1}]', '[{"name": "password"}, {"value": 1}]'),
        ('], "name": "password"', '], "name": "password"'),
    ],
)
def test_value_beside_the_name_of_a_secret_is_masked(text: str, shown: str) -> None:
    """In an object with a name and a value, the value of a secret is masked."""
    redaction = Redaction(body_keys=["x-shop"])
    assert shown == redaction.body(text.encode(), "application/json", 300)
