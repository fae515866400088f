"""Webhooks at the limits: the longest and shortest valid ones, and nearly correct ones."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from moorage import ConfigurationError, InvalidData, Secret, WebhookRejected, WebhookScheme
from moorage.domain.webhooks.algorithms import (
    SecretForm,
    WebhookAlgorithm,
    WebhookEncoding,
    checker,
    decoded_as,
    hmac_key,
)
from moorage.domain.webhooks.delivery import Delivery
from moorage.domain.webhooks.public_keys import _validity as span_of
from moorage.domain.webhooks.public_keys import certified_key, fingerprint, read_key
from moorage.domain.webhooks.template import Template, TemplateValues, urls_by_port
from moorage.domain.webhooks.tokens import read_token
from tests.webhooks import keys
from tests.webhooks.verifiers import NOW


def delivery(body: bytes = b"", url: str | None = None) -> Delivery:
    """Return a webhook delivery without headers."""
    return Delivery({}, body, names=frozenset(), url=url)


def test_default_method_is_post() -> None:
    """The method of a webhook is POST by default."""
    assert b"POST" == Template("{method}").fill(TemplateValues(delivery(), None, {}, []))


def test_template_replaces_invalid_bytes_of_a_body() -> None:
    """If a template reads a body that is not UTF-8, invalid bytes become replacement characters."""
    scene = TemplateValues(delivery(b"\xff\xc3\xbc"), None, {}, [])
    assert "\ufffd\xfc" == Template("{body}").read(scene)
    assert "\ufffd\xfc-" == Template("{body}-").read(scene)


def test_separator_of_a_missing_placeholder_is_dropped() -> None:
    """If an optional placeholder has no value, the separator beside it is left out."""
    scene = TemplateValues(delivery(), {"a": "x", "b": "\ty"}, {}, [])
    assert "x" == Template("{json:a}.{json:c?}").read(scene)
    assert "X" == Template("{json:x}.{json:c?}").read(
        TemplateValues(delivery(), {"x": "X"}, {}, [])
    )
    assert "\ty" == Template("{json:c?} : {json:b}").read(scene)


@pytest.mark.parametrize(
    "path, text",
    [
        ("to.0.status", "sent"),
        ("to.1.status", "queued"),
        ("to.2.status", None),
        ("to.-1.status", None),
        ("to.status", None),
        ("to.0.status.0", None),
        ("0", "zero"),
    ],
)
def test_number_in_a_path_is_a_position_in_a_list(path: str, text: str | None) -> None:
    """A number in the path of a JSON field is a position in a list, or a field of that name."""
    value = {"to": [{"status": "sent"}, {"status": "queued"}], "0": "zero"}
    scene = TemplateValues(delivery(), value, {}, [])

    assert text == Template(f"{{json:{path}?}}").read(scene)


def test_header_with_two_different_values_is_named() -> None:
    """If a needed header occurs with two different values, the error names the header."""
    repeated_delivery = Delivery([("X-Sig", "a"), ("X-Sig", "b")], b"", names=frozenset({"x-sig"}))
    with pytest.raises(WebhookRejected, match="x-sig occurs more than once"):
        repeated_delivery.header("x-sig")


def test_a_token_may_be_long() -> None:
    """A webhook token of 16 KiB is read, and a longer one is refused."""
    head, claims = (
        urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "HS256"}, {"a": 1})
    )
    text = f"{head}.{claims}.".ljust(16_384, "a")

    assert {"a": 1} == read_token(text, WebhookAlgorithm.JWT_HS256).claims
    with pytest.raises(WebhookRejected, match="does not have three parts"):
        read_token(text + "a", WebhookAlgorithm.JWT_HS256)


@pytest.mark.parametrize(
    "text, key", [("YQ", b"a"), ("YWI", b"ab"), ("YWJj", b"abc"), ("YQ==", b"a"), ("Y", None)]
)
def test_padding_may_have_been_left_off(text: str, key: bytes | None) -> None:
    """A Base64 webhook secret works with its padding and without it."""
    assert key == hmac_key(Secret(text), SecretForm.BASE64)


@pytest.mark.parametrize("text, value", [("AAAX", b"\0\0\x17"), ("AA", b"\0"), ("AAA=", None)])
def test_base64_for_urls_has_no_padding(text: str, value: bytes | None) -> None:
    """A base64url webhook signature with padding or stray bits is refused."""
    assert value == decoded_as(WebhookEncoding.BASE64URL, text)


@pytest.mark.parametrize(
    "algorithm, secret",
    [
        (WebhookAlgorithm.MD5_KEY_IN_BODY_LEGACY, b" key"),
        (WebhookAlgorithm.BASIC, b":user:password"),
        (WebhookAlgorithm.BASIC, b"user:"),
        (WebhookAlgorithm.CLIENT_CERTIFICATE, b"\xff" * 64),
        (WebhookAlgorithm.RSA_SHA256, b"no key"),
        (WebhookAlgorithm.JWT_RS256, b"no key"),
        (WebhookAlgorithm.JWT_HS256, b"-----BEGIN PUBLIC KEY-----"),
        (WebhookAlgorithm.JWT_HS256, b"\n{\xff"),
    ],
)
def test_invalid_secrets_are_refused(algorithm: WebhookAlgorithm, secret: bytes) -> None:
    """A webhook secret that is unusable for its algorithm is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        checker(algorithm, Secret(secret))
    assert "webhook_secrets" == excinfo.value.path
    assert excinfo.value.remedy.startswith("Set the secret as the vendor shows it")


@pytest.mark.parametrize("form", [SecretForm.TEXT, SecretForm.SHA1, SecretForm.NFKD])
@pytest.mark.parametrize("text", [" key", "key\n"])
def test_a_text_with_white_space_around_it_is_no_key(form: SecretForm, text: str) -> None:
    """A webhook key with white space at its beginning or end is refused."""
    assert hmac_key(Secret(text.strip()), form) is not None
    assert hmac_key(Secret(text), form) is None


def test_zero_key_counts_as_empty() -> None:
    """An HMAC key of zero bytes only is refused like an empty key; other keys are accepted."""
    for byte in range(256):
        key = bytes([byte]) * 2
        existing_bytes = None if byte == 0 else key
        assert existing_bytes == hmac_key(Secret(key.hex()), SecretForm.HEX)


def test_one_correct_token_among_several_header_values_suffices() -> None:
    """One correct token among several header values suffices; a password may contain colons."""
    check = checker(WebhookAlgorithm.TOKEN, Secret("word"))
    assert check(b"", ["word", "other"])
    assert check(b"", ["other", "word"])
    assert not check(b"", ["other"])

    check = checker(WebhookAlgorithm.BASIC, Secret("user:password:"))
    assert check(b"", ["Basic dXNlcjpwYXNzd29yZDo="])


def test_empty_scheme_name_is_refused() -> None:
    """A webhook scheme with an empty name is refused, and the error names the field `name`."""
    with pytest.raises(InvalidData) as excinfo:
        WebhookScheme(name="", signature="{header:A}")
    assert "name" == excinfo.value.field


def test_certificate_is_valid_from_its_first_second_through_its_last() -> None:
    """A certificate is valid from its first second through its last."""
    begins = keys.certificate(keys.rsa_key(), begins=NOW)
    end_bytes = keys.certificate(keys.rsa_key(), ends=NOW)
    second = timedelta(seconds=1)

    for certificate, valid_before, valid_after in ((begins, False, True), (end_bytes, True, False)):
        for holds, moment in (
            (valid_before, NOW - second),
            (True, NOW),
            (valid_after, NOW + second),
        ):
            assert holds == (certified_key(certificate, moment) is not None)
            assert holds == (fingerprint(quote(certificate), moment) is not None)


def test_certificate_times_without_a_zone_are_utc() -> None:
    """Certificate times that old cryptography releases return without a zone are read as UTC."""
    begins, end_time = NOW - timedelta(days=1), NOW + timedelta(days=1)
    older_certificate: Any = SimpleNamespace(
        not_valid_before=begins.replace(tzinfo=None), not_valid_after=end_time.replace(tzinfo=None)
    )

    assert (begins, end_time) == span_of(older_certificate)


@pytest.mark.parametrize("stray", [b"!", b" ", b"\n"])
def test_base64_key_with_other_characters_is_refused(stray: bytes) -> None:
    """A Base64 webhook key that contains other characters is refused."""
    der = keys.curve().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = b64encode(der)

    assert read_key(text) is not None
    assert read_key(text[:9] + stray + text[9:]) is None


def test_json_is_not_taken_for_a_form() -> None:
    """A webhook body that begins like JSON is not read as a form."""
    assert delivery(b"a=b").is_form()
    assert not delivery(b"[1]").is_form()
    assert not delivery(b'{"a": 1}').is_form()
    assert not delivery(b" " * 63 + b"{}").is_form()
    assert delivery(b" " * 64 + b"{}").is_form()
    assert not delivery().is_form()


def test_a_url_that_is_signed_must_be_given() -> None:
    """If a scheme signs the URL and the caller gives none, the error names `url`."""
    with pytest.raises(InvalidData) as excinfo:
        delivery().address()
    assert "url" == excinfo.value.field
    assert excinfo.value.remedy.startswith("Pass url=")


def test_unreadable_parts_have_separate_errors() -> None:
    """Unreadable JSON, forms and queries, and repeated fields, each have their own error."""
    with pytest.raises(WebhookRejected, match="read as JSON"):
        delivery(b"{").json()
    with pytest.raises(WebhookRejected, match="read as a form"):
        delivery(b"a=%ff").form()
    with pytest.raises(WebhookRejected, match="read as a query"):
        delivery(url="https://a.example/?a=%ff").query()
    with pytest.raises(WebhookRejected, match=r"^field occurs more than once"):
        delivery(b"field=1&field=2").field("field")
    with pytest.raises(WebhookRejected, match=r"^name occurs more than once"):
        delivery(url="https://a.example/?name=1&name=2").parameter("name")


def test_fragment_is_not_part_of_the_query() -> None:
    """A URL's fragment is not part of its last query parameter."""
    assert "b" == delivery(url="https://a.example/?a=b#c").parameter("a")


@pytest.mark.parametrize("escape", ["%3A", "%3a"])
def test_hubspot_percent_escapes_may_have_upper_case_or_lower_case_digits(escape: str) -> None:
    """HubSpot's percent escapes may have upper-case or lower-case digits."""
    scene = TemplateValues(delivery(url=f"https://a.example/?at=1{escape}2"), None, {}, [])

    assert b"https://a.example/?at=1:2" == Template("{url_decoded}").fill(scene)


@pytest.mark.parametrize("rest", ["", "?a=b", "#c", "?a=b#c", "#c?a=b"])
def test_a_url_without_its_query(rest: str) -> None:
    """The placeholder `url_without_query` gives a URL up to the end of its path, as Plivo signs."""
    scene = TemplateValues(delivery(url=f"https://a.example/in{rest}"), None, {}, [])

    assert b"https://a.example/in" == Template("{url_without_query}").fill(scene)


@pytest.mark.parametrize(
    "rest, path",
    [("", "/"), ("/", "/"), ("?a=%2F", "/?a=%2F"), ("/in?a=b#c", "/in?a=b"), ("//in#c", "//in")],
)
@pytest.mark.parametrize("origin", ["https://a.example", "https://a.example:8443", "//a.example"])
def test_a_path_with_its_query(origin: str, rest: str, path: str) -> None:
    """The placeholder `url_path` gives the path and query as the first line of a request does."""
    scene = TemplateValues(delivery(url=f"{origin}{rest}"), None, {}, [])

    assert path.encode() == Template("{url_path}").fill(scene)


@pytest.mark.parametrize(
    "rest, written",
    [("", "?"), ("?", "?"), ("#c", "?"), ("?b=2&a=%2F&b=1#c", "?a=/&b=1&b=2."), ("?a", "?a=.")],
)
def test_a_url_with_its_query_sorted(rest: str, written: str) -> None:
    """The placeholder `url_query_sorted` gives a URL with sorted parameters, as Plivo signs."""
    scene = TemplateValues(delivery(url=f"https://a.example/in{rest}"), None, {}, [])

    assert f"https://a.example/in{written}".encode() == Template("{url_query_sorted}").fill(scene)


def test_only_the_first_signed_value_may_contain_line_breaks() -> None:
    """Of several values that are signed one per line, only the first may contain line breaks."""
    scene = TemplateValues(delivery(), {"a": "1\n2", "b": "3\n4"}, {}, [])

    assert b"a\n1\n2\n" == Template("{lines:a,c}").fill(scene)
    with pytest.raises(WebhookRejected, match="The b of the webhook is not one line"):
        Template("{lines:a,b}").fill(scene)


@pytest.mark.parametrize("wrong", ["bodyX", "Xbody", "body?X"])
def test_misspelt_placeholder_in_template_is_refused_with_nearest_valid_name(wrong: str) -> None:
    """A misspelt placeholder in a template is refused with the nearest valid name."""
    with pytest.raises(ConfigurationError) as excinfo:
        Template(f"{{{wrong}}}")
    assert excinfo.value.remedy.startswith("Did you mean body? ")


@pytest.mark.parametrize(
    "url, written, expected",
    [
        ("https://a.example/x", True, "https://a.example:443/x"),
        ("http://a.example/x", True, "http://a.example:80/x"),
        ("https://a.example:8443/x", True, "https://a.example:8443/x"),
        ("https://a.example:8443/x", False, "https://a.example/x"),
        ("https://a.example/x", False, "https://a.example/x"),
    ],
)
def test_url_is_signed_with_or_without_its_port(url: str, *, written: bool, expected: str) -> None:
    """A signed URL is written with or without its port, as the scheme requires."""
    assert expected == urls_by_port(url, written=written)
