"""Django's mail and files, through the contracts."""

from __future__ import annotations

from email.mime.image import MIMEImage
from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.mail import EmailMultiAlternatives, get_connection, send_mail
from django.db import connections, models, transaction
from django.test.utils import isolate_apps, override_settings

from moorage import ConnectorError, InvalidData
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.email.postmark import PostmarkSandbox
from moorage.testing.sandboxes.storage.s3 import S3Sandbox
from tests.embedding.django.shop import KEYS
from tests.support.django_project import SQLITE, migrated

if TYPE_CHECKING:
    from collections.abc import Generator

BACKEND = "moorage_django.mail.EmailBackend"


class Offices:
    """A post office and a bucket."""

    def __init__(self) -> None:
        self.post = PostmarkSandbox()
        self.bucket = S3Sandbox()


@pytest.fixture
def offices() -> Generator[Offices]:
    """The project, with mail at one vendor and files at another."""
    made = Offices()
    migrated("default")
    migrated(SQLITE)
    configuration = {
        "vendors": {
            "postmark": {"credentials": made.post.token, "sender": "shop@example.com"},
            "s3": {
                "bucket": made.bucket.bucket,
                "access_key_id": "AKIASANDBOX",
                "credentials": "s3-sandbox-secret",
            },
        }
    }
    with override_settings(
        MOORAGE={
            "CONFIGURATION": configuration,
            "PORTS": {"http": SandboxHttpClient(made.post, made.bucket)},
            "KEYS": KEYS,
        },
        EMAIL_BACKEND=BACKEND,
        STORAGES={"default": {"BACKEND": "moorage_django.storage.Storage"}},
    ):
        yield made
    made.bucket.close()


# --- mail -------------------------------------------------------------------------------


def test_send_mail(offices: Offices) -> None:
    """Django's own function sends through the vendor, and says how many were sent."""
    assert 1 == send_mail("Paid", "Thank you.", None, ["zoe@example.com"])
    (mail,) = offices.post.delivered
    assert ("Paid", ("zoe@example.com",)) == (mail.subject, mail.to)


def test_everything_a_message_has(offices: Offices) -> None:
    """Alternatives, files, images, copies, answers and headers arrive."""
    message = EmailMultiAlternatives(
        "Your order",
        "Thank you.",
        "Shop <orders@example.com>",
        ["Zoë <zoe@example.com>"],
        bcc=["archive@example.com"],
        cc=["boss@example.com"],
        reply_to=["help@example.com"],
        headers={"X-Invoice": "2041"},
    )
    message.attach_alternative("<p>Thank you. <img src='cid:logo'></p>", "text/html")
    message.attach("invoice.pdf", b"%PDF-1.7", "application/pdf")
    message.attach("note.txt", "text", "text/plain")
    logo = MIMEImage(b"\x89PNG\r\n", "png")
    logo.add_header("Content-ID", "<logo>")
    message.attach(logo)

    assert 1 == message.send()
    (mail,) = offices.post.delivered
    assert ("Thank you.", ["zoe@example.com"]) == (mail.text, [*mail.to])
    assert [("boss@example.com",), ("archive@example.com",)] == [mail.cc, mail.bcc]
    assert "2041" == dict(mail.headers)["X-Invoice"]
    assert ["invoice.pdf", "note.txt", "attachment-3"] == [item.filename for item in mail.items]


def test_a_failure_is_told_unless_it_may_be_silent(offices: Offices) -> None:
    """What the vendor refuses raises, unless the caller said otherwise."""
    with pytest.raises(ConnectorError):
        send_mail("Paid", "Thank you.", None, ["refused@example.com"])

    assert 0 == send_mail("Paid", "Thank you.", None, ["refused@example.com"], fail_silently=True)


def test_several_on_one_connection(offices: Offices) -> None:
    """A connection sends several messages, and leaves out those that go to nobody."""
    messages = [EmailMultiAlternatives("a", "b", None, to) for to in (["a@example.com"], [], [])]

    assert 1 == get_connection().send_messages(messages)


def test_copies_only(offices: Offices) -> None:
    """Those who only get a copy do not learn of each other: the mail goes to its sender."""
    message = EmailMultiAlternatives("a", "b", "me@example.com", bcc=["a@example.com"])

    assert 1 == message.send()
    assert ("me@example.com",) == offices.post.delivered[0].to


def test_strange_alternatives(offices: Offices) -> None:
    """What no vendor is told is refused, and not left out."""
    message = EmailMultiAlternatives("a", "b", None, ["a@example.com"])
    message.attach_alternative("BEGIN:VCALENDAR", "text/calendar")

    with pytest.raises(InvalidData, match="text/calendar"):
        message.send()


def test_mail_after_the_commit(offices: Offices) -> None:
    """Mail by the outbox goes out with the commit, and not at all after a rollback."""
    with override_settings(EMAIL_BACKEND="moorage_django.mail.OutboxEmailBackend"):
        with transaction.atomic():
            send_mail("Undone", "Never mind.", None, ["zoe@example.com"])
            transaction.set_rollback(True)
        with transaction.atomic():
            assert 1 == send_mail("Paid", "Thank you.", None, ["zoe@example.com"])
            assert [] == offices.post.delivered

    assert ["Paid"] == [mail.subject for mail in offices.post.delivered]


# --- files ------------------------------------------------------------------------------


def test_files_as_django_uses_them(offices: Offices) -> None:
    """Saving, opening, listing, measuring and deleting work as with Django's own backend."""
    files: Any = storages["default"]
    name = files.save("invoices/2041.txt", ContentFile(b"149.90"))
    other = files.save("invoices/2041.txt", ContentFile(b"50.00"))

    assert "invoices/2041.txt" == name != other
    assert (True, 6) == (files.exists(name), files.size(name))
    with files.open(name) as opened:
        assert b"149.90" == opened.read()
    with files.open(name, "r") as opened:
        assert "149.90" == opened.read()
    assert (["invoices"], []) == files.listdir("")
    assert ([], sorted([name[9:], other[9:]])) == files.listdir("invoices")
    assert "Signature" in files.url(name)
    assert files.get_modified_time(name).tzinfo is not None
    files.delete(name)
    assert not files.exists(name)


def test_what_is_missing(offices: Offices) -> None:
    """What is not there is missing in the way that Django's users know."""
    files: Any = storages["default"]

    with pytest.raises(FileNotFoundError):
        files.size("nothing.txt")
    with pytest.raises(FileNotFoundError):
        files.open("nothing.txt").read()
    with pytest.raises(NotImplementedError):
        files.path("nothing.txt")


@pytest.mark.parametrize("name", ["../out.txt", "/etc/passwd", "a/../../out.txt", "..\\out.txt"])
def test_nothing_leads_out(offices: Offices, name: str) -> None:
    """No name leads out of the folder of the storage."""
    files: Any = storages.create_storage(
        {"BACKEND": "moorage_django.storage.Storage", "OPTIONS": {"location": "media"}}
    )

    with pytest.raises(SuspiciousFileOperation):
        files.exists(name)


def test_a_place_and_a_public_url(offices: Offices) -> None:
    """A storage may have a folder of its own, and URLs that are not signed."""
    options = {"location": "media", "base_url": "https://cdn.example/"}
    files: Any = storages.create_storage(
        {"BACKEND": "moorage_django.storage.Storage", "OPTIONS": options}
    )
    files.save("a.txt", ContentFile("text"))

    assert "https://cdn.example/media/a.txt" == files.url("a.txt")
    assert ([], ["a.txt"]) == files.listdir("")


def test_writing_into_a_file(offices: Offices) -> None:
    """A file is saved anew, and not written into."""
    with pytest.raises(InvalidData, match="Save it anew"):
        storages["default"].open("a.txt", "wb")


@isolate_apps("moorage_django")
def test_a_field_of_a_model(offices: Offices) -> None:
    """A FileField keeps its file at the vendor."""

    class Scan(models.Model):
        """A row with a file."""

        file = models.FileField(upload_to="scans")

        class Meta:
            """Of no app."""

            app_label = "moorage_django"

        def __str__(self) -> str:
            return str(self.file)

    with connections["default"].schema_editor() as editor:
        editor.create_model(Scan)
    scan = Scan()
    scan.file.save("page.txt", ContentFile(b"text"))
    result = Scan.objects.get()
    with result.file.open() as opened:
        assert (b"text", 4, "scans/page.txt") == (opened.read(), result.file.size, result.file.name)
    with connections["default"].schema_editor() as editor:
        editor.delete_model(Scan)
