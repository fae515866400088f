"""Django's mail and file storage, which use moorage's contracts for email and files."""

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
from tests.support.django_project import SQLITE, migrate

if TYPE_CHECKING:
    from collections.abc import Generator

BACKEND = "moorage_django.mail.EmailBackend"


class Vendors:
    """The sandbox of a mail vendor and a bucket of files."""

    def __init__(self) -> None:
        self.post = PostmarkSandbox()
        self.bucket = S3Sandbox()


@pytest.fixture
def vendors() -> Generator[Vendors]:
    """Configure the project with an email vendor and a file vendor."""
    sandboxes = Vendors()
    migrate("default")
    migrate(SQLITE)
    configuration = {
        "vendors": {
            "postmark": {"credentials": sandboxes.post.token, "sender": "shop@example.com"},
            "s3": {
                "bucket": sandboxes.bucket.bucket,
                "access_key_id": "AKIASANDBOX",
                "credentials": "s3-sandbox-secret",
            },
        }
    }
    with override_settings(
        MOORAGE={
            "CONFIGURATION": configuration,
            "PORTS": {"http": SandboxHttpClient(sandboxes.post, sandboxes.bucket)},
            "KEYS": KEYS,
        },
        EMAIL_BACKEND=BACKEND,
        STORAGES={"default": {"BACKEND": "moorage_django.storage.Storage"}},
    ):
        yield sandboxes
    sandboxes.bucket.close()


# --- mail -------------------------------------------------------------------------------


def test_send_mail_sends_through_vendor_and_returns_number_of_messages_sent(
    vendors: Vendors,
) -> None:
    """`send_mail` sends through the vendor and returns the number of messages sent."""
    assert 1 == send_mail("Paid", "Thank you.", None, ["zoe@example.com"])
    (mail,) = vendors.post.delivered
    assert ("Paid", ("zoe@example.com",)) == (mail.subject, mail.to)


def test_all_fields_of_an_email_reach_the_vendor(vendors: Vendors) -> None:
    """Alternatives, attachments, images, copies, reply addresses and headers reach the vendor."""
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
    (mail,) = vendors.post.delivered
    assert ("Thank you.", ["zoe@example.com"]) == (mail.text, [*mail.to])
    assert [("boss@example.com",), ("archive@example.com",)] == [mail.cc, mail.bcc]
    assert "2041" == dict(mail.headers)["X-Invoice"]
    assert ["invoice.pdf", "note.txt", "attachment-3"] == [item.filename for item in mail.items]


def test_refused_mail_raises_unless_silent(vendors: Vendors) -> None:
    """An error of the email vendor is raised, unless `fail_silently` is set."""
    with pytest.raises(ConnectorError):
        send_mail("Paid", "Thank you.", None, ["refused@example.com"])

    assert 0 == send_mail("Paid", "Thank you.", None, ["refused@example.com"], fail_silently=True)


def test_connection_sends_several_messages_and_skips_those_without_recipients(
    vendors: Vendors,
) -> None:
    """A connection sends several messages and skips those without recipients."""
    messages = [
        EmailMultiAlternatives("a", "b", None, recipients)
        for recipients in (["a@example.com"], [], [])
    ]

    assert 1 == get_connection().send_messages(messages)


def test_email_with_only_bcc_recipients_is_addressed_to_its_sender(vendors: Vendors) -> None:
    """An email with only bcc recipients is addressed to its sender, so recipients stay hidden."""
    message = EmailMultiAlternatives("a", "b", "me@example.com", bcc=["a@example.com"])

    assert 1 == message.send()
    assert ("me@example.com",) == vendors.post.delivered[0].to


def test_alternatives_that_vendor_cannot_send_are_refused(vendors: Vendors) -> None:
    """Alternatives that the vendor cannot send are refused, not dropped."""
    message = EmailMultiAlternatives("a", "b", None, ["a@example.com"])
    message.attach_alternative("BEGIN:VCALENDAR", "text/calendar")

    with pytest.raises(InvalidData, match="text/calendar"):
        message.send()


def test_outbox_sends_mail_at_the_commit(vendors: Vendors) -> None:
    """Mail through the outbox is sent at the commit, and not after a rollback."""
    with override_settings(EMAIL_BACKEND="moorage_django.mail.OutboxEmailBackend"):
        with transaction.atomic():
            send_mail("Undone", "Never mind.", None, ["zoe@example.com"])
            transaction.set_rollback(True)
        with transaction.atomic():
            assert 1 == send_mail("Paid", "Thank you.", None, ["zoe@example.com"])
            assert [] == vendors.post.delivered

    assert ["Paid"] == [mail.subject for mail in vendors.post.delivered]


# --- files ------------------------------------------------------------------------------


def test_storage_operations_work_as_with_the_django_storage(vendors: Vendors) -> None:
    """Saving, opening, listing, measuring and deleting work as with Django's own storage."""
    files: Any = storages["default"]
    name = files.save("invoices/2041.txt", ContentFile(b"149.90"))
    other_name = files.save("invoices/2041.txt", ContentFile(b"50.00"))

    assert "invoices/2041.txt" == name != other_name
    assert (True, 6) == (files.exists(name), files.size(name))
    with files.open(name) as open_shop:
        assert b"149.90" == open_shop.read()
    with files.open(name, "r") as open_shop:
        assert "149.90" == open_shop.read()
    assert (["invoices"], []) == files.listdir("")
    assert ([], sorted([name[9:], other_name[9:]])) == files.listdir("invoices")
    assert "Signature" in files.url(name)
    assert files.get_modified_time(name).tzinfo is not None
    files.delete(name)
    assert not files.exists(name)


def test_missing_file_raises_same_error_as_in_django_own_storage(vendors: Vendors) -> None:
    """A missing file raises the same error as Django's own storage raises."""
    files: Any = storages["default"]

    with pytest.raises(FileNotFoundError):
        files.size("nothing.txt")
    with pytest.raises(FileNotFoundError):
        files.open("nothing.txt").read()
    with pytest.raises(NotImplementedError):
        files.path("nothing.txt")


@pytest.mark.parametrize("name", ["../out.txt", "/etc/passwd", "a/../../out.txt", "..\\out.txt"])
def test_names_cannot_leave_the_folder(vendors: Vendors, name: str) -> None:
    """No file name can escape from the folder of the storage."""
    files: Any = storages.create_storage(
        {"BACKEND": "moorage_django.storage.Storage", "OPTIONS": {"location": "media"}}
    )

    with pytest.raises(SuspiciousFileOperation):
        files.exists(name)


def test_storage_may_have_a_folder_and_public_urls(vendors: Vendors) -> None:
    """A storage may have a folder of its own and unsigned URLs."""
    options = {"location": "media", "base_url": "https://cdn.example/"}
    files: Any = storages.create_storage(
        {"BACKEND": "moorage_django.storage.Storage", "OPTIONS": options}
    )
    files.save("a.txt", ContentFile("text"))

    assert "https://cdn.example/media/a.txt" == files.url("a.txt")
    assert ([], ["a.txt"]) == files.listdir("")


def test_file_cannot_be_opened_for_writing(vendors: Vendors) -> None:
    """A stored file cannot be changed in place, only saved again."""
    with pytest.raises(InvalidData, match="save a new file"):
        storages["default"].open("a.txt", "wb")


@isolate_apps("moorage_django")
def test_file_field_stores_its_file_at_vendor(vendors: Vendors) -> None:
    """A FileField stores its file at the vendor."""

    class Scan(models.Model):
        """A database row with a file."""

        file = models.FileField(upload_to="scans")

        class Meta:
            """The options of the model, which belongs to no installed app."""

            app_label = "moorage_django"

        def __str__(self) -> str:
            return str(self.file)

    with connections["default"].schema_editor() as editor:
        editor.create_model(Scan)
    scan = Scan()
    scan.file.save("page.txt", ContentFile(b"text"))
    result = Scan.objects.get()
    with result.file.open() as open_shop:
        assert (b"text", 4, "scans/page.txt") == (
            open_shop.read(),
            result.file.size,
            result.file.name,
        )
    with connections["default"].schema_editor() as editor:
        editor.delete_model(Scan)
