"""Properties of a webhook scheme that its templates decide, and errors in templates."""

from __future__ import annotations

from base64 import b64encode, encodebytes
from typing import Any

import pytest

from moorage import ConfigurationError, InvalidData, WebhookScheme
from moorage.domain.webhooks.public_keys import certified_key, fingerprint
from moorage.domain.webhooks.template import Template
from tests.webhooks import keys
from tests.webhooks.signing import SECRET, mac
from tests.webhooks.verifiers import Receiver

HEADER = "{header:X-Sig}"


def scheme(**fields: Any) -> WebhookScheme:
    """Return a custom webhook scheme."""
    options: dict[str, Any] = {"name": "own", "signature": HEADER}
    return WebhookScheme(**options | fields)


TIMED = {"timestamp": "{header:X-Time}", "tolerance": 300, "signs": "{header:X-Time}.{body}"}


@pytest.mark.parametrize(
    "fields, covers, weak, early",
    [
        ({}, {"body"}, False, False),
        ({"signs": "{body_sha256}"}, {"body"}, False, False),
        ({"signs": "{url}{sorted_form}"}, {"url", "form"}, False, False),
        ({"signs": "{json:id}"}, {"id"}, True, True),
        ({"signs": "{json:id}", "digest": "{query:d}"}, {"id", "body"}, False, True),
        ({"signs": ("{header:A}", "{body}")}, {"A"}, True, False),
        ({"signs": "{lines:a,b}"}, {"fields"}, False, True),
        ({"signs": "{pairs:s}"}, {"fields"}, False, True),
        ({"signature": "{json:s}"}, {"body"}, False, True),
        ({"signature": "{root:s}"}, {"body"}, False, True),
        ({"requires": {"{json:v}": "1"}}, {"body"}, False, True),
        ({"key_id": "{json:k}"}, {"body"}, False, True),
        ({"key_id": "{header:K}"}, {"body"}, False, False),
        (
            {"certificate": "{json:u}", "certificate_url": "https://v\\.example/c"},
            {"body"},
            False,
            True,
        ),
        ({"timestamp": "{json:t}", "tolerance": 3}, {"body"}, False, True),
        (TIMED, {"X-Time", "body"}, False, False),
        ({"items": "a", "each_signed": True, "signs": "{json:id}"}, {"id"}, True, True),
        ({"algorithm": "token"}, set(), True, False),
        ({"algorithm": "basic"}, set(), True, False),
    ],
)
def test_coverage_follows_from_the_first_template(
    fields: dict[str, Any], covers: set[str], weak: bool, early: bool
) -> None:
    """The first template decides what a signature covers; without the body, a scheme is weak."""
    new_scheme = scheme(**fields)

    assert covers == new_scheme.covers
    assert weak is new_scheme.is_forgeable
    assert early is new_scheme.reads_body


@pytest.mark.parametrize(
    "fields, is_verified",
    [
        ({}, True),
        ({"id": "{json:id}"}, True),
        ({"id": "{root:id}"}, True),
        ({"id": "{form:id}", "body": "form"}, True),
        ({"id": "{header:X-Id}"}, False),
        ({"id": "{json:id}{header:X-Id}"}, False),
        ({"id": "{header:X-Id}", "signs": "{header:X-Id}.{body}"}, True),
        ({"id": "{header:X-Id}", "signs": ("{body}", "{header:X-Id}.{body}")}, True),
        ({"id": "{json:id}", "signs": "{json:id}"}, True),
        ({"id": "{json:other}", "signs": "{json:id}"}, False),
        ({"id": "{json:id}", "algorithm": "token"}, False),
    ],
)
def test_event_id_that_is_signed_counts_as_verified(
    fields: dict[str, Any], is_verified: bool
) -> None:
    """An event's id counts as verified if it is signed itself or is part of a signed body."""
    assert is_verified is scheme(**fields).vouches_for_id


def test_needed_headers_and_parameters() -> None:
    """A webhook scheme needs the headers and parameters that its templates name."""
    new_scheme = scheme(
        **TIMED,
        weaker_headers=["X-Old"],
        key_id="{header:X-Key}",
        requires={"{header:X-Version}": "{version}", "{json:topic}": "a{topic}b"},
        prefix="{mode}=",
        id="{header:X-Id}",
        type="{header:X-Type}",
        time="{header:X-Made}",
        digest="{header:X-Digest}",
        certificate="{header:X-Cert}",
        certificate_url="https://v\\.example/c",
        types={"a": "b"},
    )
    names = {"sig", "time", "old", "key", "version", "id", "type", "made", "digest", "cert"}
    headers = {f"x-{name}" for name in names}

    assert headers == new_scheme.headers
    assert {"version", "topic", "mode"} == new_scheme.parameters
    assert {"a": "b"} == new_scheme.known_types
    assert {"verify_token"} == scheme(handshake="meta").parameters
    assert {"public_key"} == scheme(handshake="braintree").parameters
    assert set() == scheme(handshake="slack").parameters


AT = {"timestamp": "{json:at}", "tolerance": 300}


@pytest.mark.parametrize(
    "fields, problem",
    [
        ({"signs": ()}, "has no signature, or does not sign any content"),
        ({"signature": "a"}, "has a signature or a signed text that is the same for"),
        ({"signs": "a"}, "has a signature or a signed text that is the same for"),
        ({"tolerance": 300}, "needs both a tolerance and a timestamp"),
        ({"timestamp": "{json:at}"}, "needs both a tolerance and a timestamp"),
        ({"certificate": "{json:url}"}, "needs both a certificate and a certificate_url"),
        ({"certificate_url": "https://a/"}, "needs both a certificate and a certificate_url"),
        (AT | {"algorithm": "token"}, "has a timestamp that is not protected by a signature"),
        ({"each_signed": True}, "signs each item, but has no items"),
        (AT | {"timestamp": "{header:T}"}, "has a timestamp that the signature does not cover"),
        (AT | {"signs": "{json:id}"}, "has a timestamp that the signature does not cover"),
        (AT | {"signs": "{lines:a,b}"}, "has a timestamp that the signature does not cover"),
        (AT | {"signs": "{lines:a,att}"}, "has a timestamp that the signature does not cover"),
        (AT | {"signs": "{header:a,at}"}, "has a timestamp that the signature does not cover"),
        (AT, None),
        (AT | {"signs": "{json:at}.{json:id}"}, None),
        (AT | {"signs": "{lines:a,at}"}, None),
        (AT | {"signs": "{lines:at,a}"}, None),
        (AT | {"timestamp": "{json:a:t}", "signs": "{lines:b,a:t}"}, None),
        (AT | {"timestamp": "{claim:iat}", "algorithm": "jwt-es256"}, None),
    ],
)
def test_insecure_schemes_are_refused(fields: dict[str, Any], problem: str | None) -> None:
    """If a webhook scheme gives no protection, the error has its name and the reason."""
    if problem is None:
        assert "own" == scheme(**fields).name
        return
    with pytest.raises(ConfigurationError) as excinfo:
        scheme(**fields)

    assert excinfo.value.message.startswith(f"The scheme 'own' {problem}")
    assert "schemes.own" == excinfo.value.path
    assert excinfo.value.remedy.startswith("Check how the vendor signs")


@pytest.mark.parametrize(
    "text, places",
    [
        ("{body}", ("body",)),
        ("a{url?}{body}", ("url", "body")),
        ("{header:X}.{json:Id?}", ("header:X", "json:Id")),
        ("{{}}", ()),
    ],
)
def test_template_lists_its_placeholders_by_source_and_name(
    text: str, places: tuple[str, ...]
) -> None:
    """A template lists its placeholders by source and name, without marks for optional ones."""
    assert places == Template(text).places


@pytest.mark.parametrize(
    "text, shown",
    [
        ("{cookie:a}", "'cookie:a'"),
        ("{body!r}", "'body'"),
        ("{header}", "'header'"),
        ("{header:?}", "'header:?'"),
        ("{body:x}", "'body:x'"),
        ("{body", "'{body'"),
        ("{" + "x" * 99, repr("{" + "x" * 79)),
    ],
)
def test_unknown_placeholders_are_refused(text: str, shown: str) -> None:
    """If a template has an unknown placeholder, the error shows it and the known ones."""
    with pytest.raises(ConfigurationError) as excinfo:
        Template(text)

    assert f"{shown} is not a known placeholder of a template." == excinfo.value.message
    assert "scheme" == excinfo.value.path
    assert excinfo.value.remedy.startswith(
        "Use body, body_crc32, body_sha256, claim, form, header,"
    )


def test_field_and_parameter_names_are_case_sensitive_in_templates() -> None:
    """In templates, field and parameter names are case-sensitive, and header names are not."""
    new_scheme = scheme(
        signs="{parameter:Salt}{json:None?}{body}", id="{json:Id}", requires={"{json:a:b?}": "1"}
    )
    body = b'{"Id": "one", "id": "two", "a:b": "1"}'
    webhook_arguments = {"headers": {"x-sig": mac(SECRET, b"s" + body).hex()}, "body": body}
    receiver = Receiver(new_scheme, SECRET, parameters={"Salt": "s"})

    (event,) = receiver.verify(webhook_arguments)

    assert "one" == event.id
    assert {"Salt"} == new_scheme.parameters
    assert {"a:b"} == scheme(signs="{parameter:a:b}{body}").parameters


@pytest.mark.parametrize(
    "field, path",
    [
        ("algorithm", "algorithm"),
        ("encoding", "encoding"),
        ("secret_form", "secret_form"),
        ("timestamp_form", "time_form"),
        ("time_form", "time_form"),
        ("body", "body"),
        ("handshake", "handshake"),
    ],
)
def test_unknown_choices_are_refused(field: str, path: str) -> None:
    """An unknown choice in a webhook scheme is refused with a list of the known ones."""
    with pytest.raises(ConfigurationError) as excinfo:
        scheme(**{field: "rot13"})

    assert (path, f"'rot13' is not a valid {path}.") == (excinfo.value.path, excinfo.value.message)
    assert "Use one of " in excinfo.value.remedy


@pytest.mark.parametrize("address", [7, "https://(", "http://a/"])
def test_insecure_certificate_patterns_are_refused(address: object) -> None:
    """A webhook scheme whose certificate URL pattern does not require https is refused."""
    with pytest.raises(ConfigurationError, match="not a pattern that begins with https") as excinfo:
        scheme(certificate="{json:url}", certificate_url=address)

    assert "certificate_url" == excinfo.value.path
    assert excinfo.value.remedy.startswith("Set a regular expression")


def test_invalid_tolerance_is_refused() -> None:
    """An invalid tolerance is refused; a single name in `weaker_headers` becomes a tuple."""
    with pytest.raises((ConfigurationError, InvalidData)) as excinfo:
        scheme(**TIMED | {"tolerance": 0})

    assert "tolerance" in {getattr(excinfo.value, name, None) for name in ("path", "field")}
    assert ("X-Old",) == scheme(weaker_headers="X-Old").weaker_headers


def test_unclosed_braces_are_refused() -> None:
    """If a brace in a template is not closed, the error shows the template, cut to a length."""
    with pytest.raises(ConfigurationError, match="has an unclosed brace") as excinfo:
        scheme(prefix="{" + "v" * 99)

    assert excinfo.value.message.startswith(repr("{" + "v" * 79))
    assert "scheme" == excinfo.value.path
    assert excinfo.value.remedy.startswith("Write a literal brace twice")
    meta = scheme(handshake="meta", signs="{parameter:a}{body}").parameters
    assert {"a", "verify_token"} == meta
    assert {"a", "public_key"} == scheme(
        handshake="braintree", signs="{parameter:a}{body}"
    ).parameters


def test_templates_must_be_texts() -> None:
    """A template that is not text is refused, without showing its value."""
    with pytest.raises(ConfigurationError) as excinfo:
        scheme(signs=[7])

    assert "The value is an int, not a template." == excinfo.value.message
    assert ("scheme", "Use a str.") == (excinfo.value.path, excinfo.value.remedy)


def test_certificate_of_unknown_version_is_refused() -> None:
    """A certificate of an unknown version is refused, both as a key and as a client certificate."""
    genuine_bytes = keys.usual_certificate()
    odd_bytes = keys.der(genuine_bytes).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x0a", 1)
    wrapped_bytes = b"-----BEGIN CERTIFICATE-----\n%b-----END CERTIFICATE-----\n" % encodebytes(
        odd_bytes
    )

    assert certified_key(genuine_bytes, keys.NOW) is not None
    assert certified_key(wrapped_bytes, keys.NOW) is None
    assert fingerprint(f":{b64encode(odd_bytes).decode()}:", keys.NOW) is None
