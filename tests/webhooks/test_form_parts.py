"""Webhook forms are read completely, or refused as a whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import WebhookRejected
from moorage.domain.http.multipart import FormFile, multipart
from moorage.domain.webhooks.form_parts import FormPart, form_parts
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import multipart_form
from tests.webhooks.verifiers import NOW, Receiver

COMPLETE_FORM = multipart_form({"subject": "Grüße"})
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=20)


def test_fields_and_files_are_read() -> None:
    """A multipart form gives its fields and files, byte for byte."""
    field, file = form_parts(COMPLETE_FORM)

    assert ("subject", "Grüße".encode(), None) == (field.name, field.content, field.filename)
    assert ("attachment-1", b"%PDF-1.7\r\n--x") == (file.name, file.content)
    assert ("a.pdf", "application/pdf") == (file.filename, file.content_type)


@given(
    fields=st.dictionaries(NAMES, st.text(max_size=30), min_size=1, max_size=4),
    content=st.binary(max_size=100),
    filename=NAMES,
)
def test_every_form_that_moorage_writes_is_read_back_with_same_fields_and_files(
    fields: dict[str, str], content: bytes, filename: str
) -> None:
    """Every form that moorage writes is read back with the same fields and files."""
    if any("\\" in name or "%" in name for name in (*fields, filename)):
        return
    pairs = tuple(
        (name, value.encode("utf-8", "replace").decode()) for name, value in fields.items()
    )
    _, body = multipart(pairs, {"file": FormFile(filename, content)})
    assert isinstance(body, bytes)

    *parts, file = form_parts(body)
    assert pairs == tuple((part.name, part.content.decode()) for part in parts)
    assert FormPart("file", content, filename, "application/octet-stream") == file


def test_a_form_of_pairs_is_read() -> None:
    """A form without files gives its fields in order, including fields with empty values."""
    parts = form_parts(b"a=1&b=&a=%C3%A9")

    assert [("a", b"1"), ("b", b""), ("a", "é".encode())] == [
        (part.name, part.content) for part in parts
    ]


def test_headers_of_parts_may_be_escaped() -> None:
    """A quoted name in a part's header may contain escaped quotes, as browsers write them."""
    body = (
        b'--b\r\nContent-Disposition: form-data; name="a\\"b"; filename=c%22d.txt\r\n\r\n1\r\n--b--'
    )

    [part] = form_parts(body)
    assert ('a"b', 'c"d.txt') == (part.name, part.filename)


HEAD = b'--b\r\nContent-Disposition: form-data; name="a"'
SPOILED = {
    "cut off": COMPLETE_FORM[:-8],
    "text after the boundary": HEAD + b"\r\n\r\n1\r\n--bc--",
    "no end of the head": HEAD + b"\r\n--b--",
    "no name": b"--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--",
    "not a form": b'--b\r\nContent-Disposition: attachment; name="a"\r\n\r\n1\r\n--b--',
    "no colon": HEAD + b"\r\nx\r\n\r\n1\r\n--b--",
    "a header twice": HEAD + b'\r\nContent-Disposition: form-data; name="b"\r\n\r\n1\r\n--b--',
    "a parameter twice": HEAD + b'; name="b"\r\n\r\n1\r\n--b--',
    "a long head": HEAD + b"; x=" + b"y" * 9_000 + b"\r\n\r\n1\r\n--b--",
    "many parameters": HEAD + b"; x=1" * 10 + b"\r\n\r\n1\r\n--b--",
    "many parts": (HEAD + b"\r\n\r\n\r\n") * 1_001 + b"--b--",
    "many pairs": b"&".join([b"a=1"] * 1_001),
}


@pytest.mark.parametrize("body", SPOILED.values(), ids=SPOILED)
def test_damaged_form_is_refused_as_a_whole(body: bytes) -> None:
    """A form that is cut off, ambiguous or too large is refused as a whole."""
    with pytest.raises(WebhookRejected, match="cannot be read as a form"):
        form_parts(body)


def test_verified_form_has_its_fields_as_payload() -> None:
    """A verified multipart form has its fields as payload, and its files only in the body."""
    sender = BY_NAME["sendgrid-inbound"]
    webhook = sender.send(NOW, 7)

    (event,) = Receiver.of(sender).verify(webhook)
    assert {"headers": "Subject: 7\n", "text": "Hello."} == event.payload
    assert b"%PDF-1.7\r\n--x" == form_parts(event.body)[-1].content
