"""Amazon's vendors tested against moto, an independent emulator, over real HTTP.

moto checks each signature with Amazon's own library, so it proves that Amazon accepts our
signatures, which our sandboxes cannot.
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from hashlib import sha256
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

import moorage
from moorage import AuthenticationFailed, InvalidRequest, VendorRejected
from moorage.contracts.email import Attachment, EmailMessage
from moorage.contracts.sms import SmsMessage, SmsStatus
from moorage.contracts.storage import StorageCapability
from moorage.testing.sandbox_scenarios import BY_CAPABILITY
from moorage.testing.sandbox_scenarios.runner import ScenarioVendor
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.vendors.storage.s3 import S3
from tests.contracts.caller import result_of
from tests.support.moto_server import REGION, MotoServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

TO = "+4915112345678"
IN_BOTH = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
SIZE = 12_000_000


@pytest.fixture(scope="module")
def moto() -> Iterator[MotoServer]:
    """Yield a moto server that no other test uses."""
    with MotoServer() as server:
        yield server


@pytest.fixture(scope="module")
def mail_server() -> Iterator[MotoServer]:
    """Yield a moto server for mail only, because moto confuses requests of some services."""
    with MotoServer() as server:
        server.verify_sender("acme.example")
        yield server


@pytest.fixture
def bucket(moto: MotoServer, request: pytest.FixtureRequest) -> str:
    """Create a bucket that no other test uses."""
    name = f"b{sha256(request.node.nodeid.encode()).hexdigest()[:30]}"
    moto.add_bucket(name)
    return name


def configuration(moto: MotoServer, bucket: str = "none", **changed: str) -> dict[str, Any]:
    """Return a configuration of all Amazon vendors that uses this moto server."""
    options = {
        "region": REGION,
        "access_key_id": moto.key.id,
        "credentials": moto.key.secret,
    } | changed
    return {
        "vendors": {
            "amazon_sns": {**options, "base_url": moto.url, "sender": "ACME"},
            "amazon_ses": {**options, "base_url": moto.url, "sender": "shop@acme.example"},
            "s3": {**options, "endpoint": moto.url, "bucket": bucket},
        }
    }


def run_in_mode(
    configuration: dict[str, Any],
    is_async: bool,
    use: Callable[[Any], Awaitable[Any]],
) -> Any:
    """Run a function with a synchronous or asynchronous hub, and return its result."""

    async def run() -> Any:
        hub: Any = moorage.aopen(configuration) if is_async else moorage.open(configuration)
        try:
            return await use(hub)
        finally:
            await result_of(hub.close())

    return asyncio.run(run())


@IN_BOTH
def test_sns_publishes_a_message(moto: MotoServer, is_async: bool) -> None:
    """SNS accepts any characters and attributes, and publishes once per idempotency key."""
    text = SmsMessage(
        to=TO,
        text="Grüße & 50 % = ½\n你好 +1",
        extra={"amazon_sns": {"AWS.SNS.SMS.MaxPrice": "0.50"}},
    )

    async def use_hub(hub: Any) -> list[Any]:
        return [await result_of(hub.sms().send(text, idempotency_key="k-1")) for _ in range(2)]

    one, repeated_result = run_in_mode(configuration(moto), is_async, use_hub)
    assert SmsStatus.QUEUED is one.status
    assert one == repeated_result


def test_refusal_by_sns_raises_matching_error(moto: MotoServer) -> None:
    """An error response of SNS raises the matching error, with SNS's error code."""
    text = SmsMessage(to=TO, text="Hi", extra={"amazon_sns": {"PhoneNumber": "nobody"}})
    with (
        moorage.open(configuration(moto)) as hub,
        pytest.raises(InvalidRequest, match="E164") as wrong_excinfo,
    ):
        hub.sms().send(text)

    assert "InvalidParameter" == wrong_excinfo.value.vendor_code


@IN_BOTH
def test_ses_sends_mail(mail_server: MotoServer, is_async: bool) -> None:
    """SES sends a message with any characters to all its recipients."""
    mail = EmailMessage(
        to="ada@example.com",
        cc="bob@example.com",
        subject=f"Invoice № 2041 {is_async}",
        text="Grüße",
        html="<p>Grüße &amp; mehr</p>",
        attachments=[Attachment(filename="a.txt", content=b"\x00\xff")],
    )

    async def use_hub(hub: Any) -> Any:
        return await result_of(hub.email().send_transactional(mail, idempotency_key="k-1"))

    receipt = run_in_mode(configuration(mail_server), is_async, use_hub)
    stored_messages = [
        entry for entry in mail_server.kept("ses", "Message") if entry["subject"] == mail.subject
    ]
    assert [receipt.ref.id] == [entry["id"] for entry in stored_messages]
    assert ["<p>Grüße &amp; mehr</p>"] == [entry["body"] for entry in stored_messages]
    assert [{"ToAddresses": ["ada@example.com"], "CcAddresses": ["bob@example.com"]}] == [
        entry["destinations"] for entry in stored_messages
    ]


def test_ses_refuses_an_unverified_sender(mail_server: MotoServer) -> None:
    """Mail from an unverified sender is rejected, with the error name from SES."""
    mail = EmailMessage(from_="shop@other.example", to="ada@example.com", subject="Hi", text="Hi")
    with moorage.open(configuration(mail_server)) as hub, pytest.raises(VendorRejected) as excinfo:
        hub.email().send_transactional(mail)

    assert "MessageRejected" == excinfo.value.vendor_code


@pytest.mark.parametrize("kind", ["sms", "email", "storage"])
@pytest.mark.parametrize("changed", [{"credentials": "another secret"}, {"access_key_id": "AKID"}])
def test_request_signed_with_a_wrong_key_is_refused(
    moto: MotoServer, kind: str, changed: dict[str, str]
) -> None:
    """A request signed with a wrong key is refused, which shows that signatures are checked."""
    mail = EmailMessage(to="ada@example.com", subject="Hi", text="Hi")
    hub = moorage.open(configuration(moto, **changed))
    vendor_calls: dict[str, Callable[[], object]] = {
        "sms": lambda: hub.sms().send(SmsMessage(to=TO, text="Hi")),
        "email": lambda: hub.email().send_transactional(mail),
        "storage": lambda: hub.storage().upload("a.txt", b"Hi"),
    }
    with hub, pytest.raises(AuthenticationFailed):
        vendor_calls[kind]()


@pytest.mark.parametrize("capability", sorted(S3.capabilities))
def test_declared_s3_capabilities_work_with_an_independent_emulator(
    moto: MotoServer, bucket: str, capability: str
) -> None:
    """Each capability that the S3 vendor declares works with an independent S3 emulator too."""
    fixture = SandboxFixture(options={}, vendor_values={"storage_class": "STANDARD_IA"})

    async def use_hub(hub: Any) -> Any:
        vendor = ScenarioVendor(
            operations=hub.storage(), fixture=fixture, name="s3", is_supported=True
        )
        return await BY_CAPABILITY["storage"][StorageCapability(capability)](vendor)

    assert run_in_mode(configuration(moto, bucket), True, use_hub)


@IN_BOTH
def test_files_of_any_size_and_name_are_uploaded_listed_and_deleted(
    moto: MotoServer, bucket: str, is_async: bool
) -> None:
    """Large files are uploaded in parts, unusual file names are listed, and all can be deleted."""
    names = ["a/ü & ö +1%.txt", "a/b c=d?.txt", "a/~tilde'.txt", "b/other.txt"]
    large_bytes = bytes(range(256)) * (SIZE // 256)

    async def use_hub(hub: Any) -> dict[str, Any]:
        files = hub.storage()
        for name in names:
            await result_of(files.upload(name, name.encode()))
        await result_of(files.upload("large.bin", large_bytes))
        pages = [await result_of(files.list("a/", limit=2))]
        pages.append(await result_of(files.list("a/", limit=2, cursor=pages[0].next_cursor)))
        large_download = await result_of(files.download("large.bin"))
        returned_digest = sha256(await result_of(large_download.read_all())).hexdigest()
        deletions = await result_of(files.delete_many([*names, "large.bin"]))
        return {
            "listed": [item.key for page in pages for item in page.objects],
            "back": returned_digest,
            "gone": [entry.ok for entry in deletions],
            "left": [await result_of(files.exists(name)) for name in names],
        }

    assert {
        "listed": sorted(names[:3]),
        "back": sha256(large_bytes).hexdigest(),
        "gone": [True] * 5,
        "left": [False] * 4,
    } == run_in_mode(configuration(moto, bucket), is_async, use_hub)


def test_signed_url_downloads_its_file_without_credentials(moto: MotoServer, bucket: str) -> None:
    """A signed URL downloads its file without credentials."""
    with moorage.open(configuration(moto, bucket)) as hub:
        hub.storage().upload("a b.txt", b"Hello.")
        locations = urlsplit(hub.storage().signed_url("a b.txt", expires=60).url)
    with moto.unguarded(), closing(HTTPConnection(locations.netloc, timeout=10)) as browser:
        browser.request("GET", f"{locations.path}?{locations.query}")
        answer = browser.getresponse()

        assert (200, b"Hello.") == (answer.status, answer.read())
