"""Broken emails are parsed as far as possible; their unverified statements are not trusted."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from moorage.contracts.email import EmailMessage
from moorage.contracts.email_address import EmailAddress
from moorage.contracts.email_mime import (
    addresses_in,
    decode_text,
    header_text,
    plain_filename,
    read_mime,
)
from moorage.contracts.email_received import CheckResult, ReceivedEmail, SenderChecks
from moorage.contracts.ref import Ref
from moorage.errors import InvalidData
from moorage.vendors.email._mime import mime_bytes

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
REF = Ref("acme", "mail", "1")
WHOLE = (
    b"From: =?utf-8?b?WsO2w6k=?= Shop <zoe@example.com>\r\n"
    b'To: a@example.com, broken@@x, "B, C" <b@example.com>,\r\n'
    b" team: c@example.com, D <d@x.example>;\r\n"
    b"Cc: A@example.com\r\n"
    b"Subject: =?iso-8859-1?q?Gr=FC=DFe?=\r\n"
    b"Date: Wed, 11 Oct 2017 18:31:04 -0700\r\n"
    b"Message-ID: <x@y>\r\n"
    b"In-Reply-To: <c@d>\r\n"
    b"References: <a@b>\r\n <c@d>\r\n"
    b"Auto-Submitted: auto-replied\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n"
    b"\r\n"
    b"--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n"
    b"--c\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\nGr\xfc\xdfe\r\n"
    b"--c\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Gr\xc3\xbc\xc3\x9fe</p>\r\n--c--\r\n"
    b"--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
    b"Content-Disposition: attachment; filename*=utf-8''..%2Fa%2FR%C3%A9.pdf\r\n\r\nJVBERg==\r\n"
    b"--b\r\nContent-Type: image/png; name=logo.png\r\nContent-ID: <logo>\r\n\r\n\x89PNG\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nhi\r\n--b--\r\n"
)


def test_a_message_is_read() -> None:
    """A message is read with its decoded addresses, texts, files and ids."""
    mail = read_mime(WHOLE, REF)

    assert ("zoe@example.com", "Zöé Shop") == (mail.from_ and (mail.from_.email, mail.from_.name))
    assert [
        ("a@example.com", None),
        ("b@example.com", "B, C"),
        ("c@example.com", None),
        ("d@x.example", "D"),
    ] == [(address.email, address.name) for address in mail.to]
    assert ("Grüße", "Grüße", "<p>Grüße</p>") == (mail.subject, mail.text, mail.html)
    assert datetime(2017, 10, 12, 1, 31, 4, tzinfo=UTC) == mail.at
    assert ("x@y", "c@d", ("a@b", "c@d")) == (mail.message_id, mail.in_reply_to, mail.references)
    assert (True, True) == (mail.is_automatic, mail.is_complete)
    assert ("auto-replied", None) == (mail.header("auto-submitted"), mail.header("X-Other"))
    pdf, logo, inner = mail.files
    assert ("Ré.pdf", "application/pdf", b"%PDF", 4) == (
        pdf.filename,
        pdf.content_type,
        pdf.content,
        pdf.size,
    )
    assert ("logo.png", "logo", True) == (logo.filename, logo.content_id, logo.is_inline)
    assert ("message/rfc822", b"Subject: inner\n\nhi") == (inner.content_type, inner.content)


def test_repr_hides_persons_and_contents() -> None:
    """The repr of a message shows no address, text or file name."""
    words = repr(read_mime(WHOLE, REF, envelope_sender="bounce@example.com"))

    assert not [
        word for word in ("example.com", "Grüße", "pdf,", "Zö", "logo.png") if word in words
    ]


def test_fields_of_the_vendor_override_headers() -> None:
    """A field that the vendor states is used, even if the header differs."""
    mail = read_mime(WHOLE, REF, at=NEW_YEAR, id="e1", envelope_sender="bounce@x.example")

    assert (NEW_YEAR, "e1", "bounce@x.example") == (mail.at, mail.id, mail.envelope_sender)


BROKEN: dict[str, tuple[bytes, dict[str, Any]]] = {
    "empty": (b"", {"text": "", "subject": "", "from_": None, "at": None}),
    "no charset": (b"\r\nGr\xfc\xdfe", {"text": "Grüße"}),
    "unknown charset": (b"Content-Type: text/plain; charset=x\r\n\r\n\xc3\xbc", {"text": "ü"}),
    "slow charset": (b"Content-Type: text/plain; charset=punycode\r\n\r\na-b", {"text": "a-b"}),
    "wrong charset": (b"Content-Type: text/plain; charset=utf-8\r\n\r\na\xff", {"text": "a\ufffd"}),
    "wrong date": (b"Date: 99 Foo 2026\r\n\r\n", {"at": None}),
    "no zone": (b"Date: Thu, 1 Jan 2026 00:00:00\r\n\r\n", {"at": NEW_YEAR}),
    "wrong word": (b"Subject: =?utf-8?b?!?= =?x?q?a?=\r\n\r\n", {}),
    "wrong base64": (b"Content-Transfer-Encoding: base64\r\n\r\n!!!!", {}),
    "unending": (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHi", {"text": "Hi"}),
    "no boundary": (b"Content-Type: multipart/mixed\r\n\r\nHi", {"text": None}),
    "long type": (b"Content-Type: text/plain; " + b"a=b;" * 2_000 + b"\r\n\r\nHi", {"text": "Hi"}),
    "long address": (b"From: " + b"a" * 300 + b"@example.com\r\n\r\n", {"from_": None}),
    "control characters": (b"Subject: a\x00b\r\n\tc\r\n\r\n", {"subject": "a b c"}),
    "8-bit header": (b"Subject: Gr\xfc\xdfe\r\n\r\n", {"subject": "Grüße"}),
}  # fmt: skip


@pytest.mark.parametrize("content, fields", BROKEN.values(), ids=BROKEN)
def test_broken_messages_are_read_as_far_as_possible(
    content: bytes, fields: dict[str, Any]
) -> None:
    """A broken message is read as far as possible instead of being lost."""
    mail = read_mime(content, REF)

    assert fields == {name: getattr(mail, name) for name in fields}


def test_amp_content_is_no_file() -> None:
    """The AMP content of a received message is read as content, and not listed as a file."""
    written = EmailMessage(text="Hi", html="<p>Hi</p>", amp_html="<html ⚡4email></html>")
    mime = mime_bytes(written, EmailAddress("ada@example.com"), "<1@example.com>")

    mail = read_mime(mime, REF)

    assert ("Hi", "<p>Hi</p>") == ((mail.text or "").strip(), (mail.html or "").strip())
    assert "<html ⚡4email></html>" == (mail.amp_html or "").strip()
    assert () == mail.files


EXCESSIVE = {
    "nested parts": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (number, number)
        for number in range(200)
    ),
    "deep parts": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (number, number)
        for number in range(40)
    ),
    "many parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n\r\n" * 1_100,
    "forwarded messages": b"Content-Type: message/rfc822\r\n\r\n" * 1_100,
}


@pytest.mark.parametrize("content", EXCESSIVE.values(), ids=EXCESSIVE)
def test_an_excessive_message_is_refused(content: bytes) -> None:
    """A message with more parts than any mail client writes is refused early."""
    with pytest.raises(InvalidData, match="too many parts"):
        read_mime(content, REF)


def test_a_message_must_be_bytes() -> None:
    """A message passed as a str is refused, because its original encoding is lost."""
    with pytest.raises(InvalidData, match="must be bytes, not a str"):
        read_mime("Subject: a", REF)  # type: ignore[arg-type]  # wrong on purpose


def test_damaged_messages_never_fail() -> None:
    """Any damaged message is read, or refused as excessive; no other error is raised."""
    generator = random.Random(7)
    for _ in range(300):
        damaged = bytearray(WHOLE)
        for _ in range(generator.randrange(1, 12)):
            place = generator.randrange(len(damaged))
            damaged[place : place + generator.randrange(3)] = generator.randbytes(
                generator.randrange(3)
            )
        assert isinstance(read_mime(bytes(damaged), REF), ReceivedEmail)


def test_addresses_in_lists() -> None:
    """Addresses are split at commas outside quotes, brackets and comments; repeats are dropped."""
    text = (
        'undisclosed:;, <a@x.example>, A@X.example, "c\\", d" <e@x.example>, f@x.example (g, h), <'
    )

    assert ["a@x.example", "e@x.example", "f@x.example"] == [
        address.email for address in addresses_in(text)
    ]


@pytest.mark.parametrize(
    "sender, address, name",
    [
        (
            "=?utf-8?q?=22Boss=22_=3Cboss=40bank.example=3E=2C?= <mallory@evil.example>",
            "mallory@evil.example",
            '"Boss" <boss@bank.example>,',
        ),
        (
            "=?utf-8?b?Qm9zcyA8Ym9zc0BiYW5rLmV4YW1wbGU+ICg=?= <mallory@evil.example>",
            "mallory@evil.example",
            "Boss <boss@bank.example> (",
        ),
        ('"Shop: =?utf-8?q?caf=C3=A9?=" <a@x.example>', "a@x.example", "Shop: café"),
    ],
)
def test_encoded_name_of_sender_is_no_address(sender: str, address: str, name: str) -> None:
    """A display name that looks like an address once it is decoded does not hide the real one."""
    checks = SenderChecks(dmarc=CheckResult.PASSED)
    message = read_mime(f"From: {sender}\r\n\r\nhi".encode(), REF, checks=checks)

    assert EmailAddress(address, name) == message.from_
    assert name in (message.header("from") or "")


@pytest.mark.parametrize(
    "headers",
    [
        "From: boss@bank.example, mallory@evil.example",
        "From: boss@bank.example\r\nFrom: mallory@evil.example",
    ],
)
def test_one_of_several_senders_is_not_authentic(headers: str) -> None:
    """A message with several senders has no `from_`, since the checks hold for only one of them."""
    checks = SenderChecks(dmarc=CheckResult.PASSED)
    message = read_mime(f"{headers}\r\n\r\nhi".encode(), REF, checks=checks)

    assert message.from_ is None
    assert not message.is_authentic


def test_escaped_quotes_in_names_of_addresses() -> None:
    """The name before an email address may contain escaped quotes and commas."""
    text = r'"Doe \"J\", Ada" <ada@x.example>, "a\\" <b@x.example>'

    assert [("ada@x.example", 'Doe "J", Ada'), ("b@x.example", "a\\")] == [
        (address.email, address.name) for address in addresses_in(text)
    ]


@pytest.mark.parametrize("piece", ['\\"', "((a)", "a<", "x:", "<", '"'])
def test_hostile_lists_of_addresses_are_read(piece: str) -> None:
    """A deeply nested list without addresses is read as empty, without a RecursionError."""
    assert () == addresses_in(piece * 10_000)


def test_encoded_word_without_end_stays_text() -> None:
    """An encoded word without an end is not decoded; text after the last encoded word is kept."""
    assert "=?a?b?c" * 20 == header_text("=?a?b?c" * 20)
    assert "ä, b =?a?b?c" == header_text("=?utf-8?q?=C3=A4?=, b =?a?b?c")


def test_texts_of_headers_and_files() -> None:
    """A header's line breaks are removed, and a file name loses its path."""
    assert "aé b" == header_text("=?utf-8?q?a=C3=A9?=\r\n b")
    assert "a b" == header_text("=?utf-8?q?a=0Ab?=")
    assert "€" == decode_text(b"\x80", None)


@pytest.mark.parametrize(
    "stated, written, text",
    [
        ("us-ascii", "utf-8", "Grüße"),
        ("us-ascii", "cp1252", "Grüße"),
        ("iso-8859-1", "cp1252", "It\u2019s 20 €"),
        ("iso-8859-9", "cp1254", "20 € ş\u0131k"),
        ("gb2312", "gbk", "朱镕基 訂單"),
        ("gbk", "gb18030", "㐀 \U00020000"),
        ("ks_c_5601-1987", "cp949", "똠방각하 펲시"),
        ("shift_jis", "cp932", "髙島屋 ①㈱"),
        ("shift_jis", "shift_jis", "\u301c 10 \\"),
    ],
)
def test_text_is_decoded_by_the_charset_that_mail_programs_mean(
    stated: str, written: str, text: str
) -> None:
    """If a text has characters that its stated charset lacks, it is read by a wider charset."""
    assert text == decode_text(text.encode(written), stated)
    names = ["../../etc/passwd", "C:\\a\\b.exe", "..", "a/", None, "x" * 300]
    assert ["passwd", "b.exe", None, None, None, "x" * 255] == [
        plain_filename(name) for name in names
    ]


@pytest.mark.parametrize(
    "content, text",
    [
        (b"\x1b$B3t<02q<R-j-!\x1b(B ok", "株式会社㈱① ok"),
        (b"\x1b$B-j\x1b(I12\x1b(J~\x1b(B", "㈱ｱｲ~"),
        (b"\x1b$@-!\r\nabc", "①\r\nabc"),
        (b"\x1b$B3\xff-!", "\ufffd①"),
        (b"-j\x1b$B-j" + b"-j" * 300_000, None),
    ],
)
def test_iso_2022_jp_is_decoded_with_the_letters_of_windows(
    content: bytes, text: str | None
) -> None:
    """A text in ISO-2022-JP may have NEC's letters and half-width katakana, if it is not huge."""
    decoded_text = decode_text(content, "iso-2022-jp")

    assert text in {decoded_text, None}
    assert (text is None) == decoded_text.startswith("-j\ufffd")


@pytest.mark.parametrize("charset", ["cp50220", "CP50221", "cp50222", "iso-2022-jp-ms"])
def test_names_that_windows_gives_to_iso_2022_jp_are_known(charset: str) -> None:
    """A text in ISO-2022-JP is decoded under each name that mail programs give to it."""
    assert "日本①" == decode_text(b"\x1b$BF|K\\-!\x1b(B", charset)


@pytest.mark.parametrize(
    "checks, sender, is_authentic",
    [
        (SenderChecks(dmarc=CheckResult.PASSED), None, True),
        (SenderChecks(dmarc=CheckResult.FAILED, spf=CheckResult.PASSED), "a@example.com", False),
        (SenderChecks(spf=CheckResult.PASSED), "b@Example.com", True),
        (SenderChecks(spf=CheckResult.PASSED), "b@evil.example", False),
        (SenderChecks(spf=CheckResult.PASSED), None, False),
        (SenderChecks(spf=CheckResult.FAILED), "b@example.com", False),
        (SenderChecks(signed_by=("example.com",)), None, True),
        (SenderChecks(signed_by=("a.example.com", "ample.com")), None, False),
        (SenderChecks(dkim=CheckResult.PASSED), None, False),
    ],
)
def test_sender_is_authentic_only_if_check_confirms_domain_that_recipients_see(
    checks: SenderChecks, sender: str | None, is_authentic: bool
) -> None:
    """A sender is authentic only if a check confirms the domain that recipients see."""
    mail = read_mime(b"From: a@example.com\r\n\r\n", REF, checks=checks, envelope_sender=sender)

    assert is_authentic == mail.is_authentic
    assert not attrs.evolve(mail, from_=None).is_authentic
