"""Amazon's vendors against an emulator that somebody else wrote, over real HTTP.

moto checks each signature with Amazon's own library, so it proves what our sandboxes cannot: that
what we sign is what Amazon verifies.
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
from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandbox_scenarios import BY_CAPABILITY
from moorage.testing.sandbox_scenarios.runner import ScenarioVendor
from moorage.vendors.storage.s3 import S3
from tests.contracts.caller import given
from tests.support.moto_server import REGION, MotoServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

TO = "+4915112345678"
IN_BOTH = pytest.mark.parametrize("awaited", [False, True], ids=["plain", "awaited"])
SIZE = 12_000_000


@pytest.fixture(scope="module")
def moto() -> Iterator[MotoServer]:
    """A server that nobody else uses."""
    with MotoServer() as server:
        yield server


@pytest.fixture(scope="module")
def post() -> Iterator[MotoServer]:
    """A server that has nothing but mail, since of files moto cannot always tell what it has."""
    with MotoServer() as server:
        server.verify_sender("acme.example")
        yield server


@pytest.fixture
def bucket(moto: MotoServer, request: pytest.FixtureRequest) -> str:
    """A bucket that nobody else uses."""
    name = f"b{sha256(request.node.nodeid.encode()).hexdigest()[:30]}"
    moto.add_bucket(name)
    return name


def configuration(moto: MotoServer, bucket: str = "none", **changed: str) -> dict[str, Any]:
    """Amazon's vendors, all of them at this server."""
    who = {"region": REGION, "access_key_id": moto.key.id, "credentials": moto.key.secret} | changed
    return {
        "vendors": {
            "amazon_sns": {**who, "base_url": moto.url, "sender": "ACME"},
            "amazon_ses": {**who, "base_url": moto.url, "sender": "shop@acme.example"},
            "s3": {**who, "endpoint": moto.url, "bucket": bucket},
        }
    }


def asked(
    configuration: dict[str, Any],
    awaited: bool,
    use: Callable[[Any], Awaitable[Any]],
) -> Any:
    """What comes of something, with a hub of either mode."""

    async def run() -> Any:
        hub: Any = moorage.aopen(configuration) if awaited else moorage.open(configuration)
        try:
            return await use(hub)
        finally:
            await given(hub.close())

    return asyncio.run(run())


@IN_BOTH
def test_a_text_is_published(moto: MotoServer, awaited: bool) -> None:
    """SNS takes a message whatever letters are in it, with attributes, and once for its key."""
    text = SmsMessage(
        to=TO,
        text="Grüße & 50 % = ½\n你好 +1",
        extra={"amazon_sns": {"AWS.SNS.SMS.MaxPrice": "0.50"}},
    )

    async def use(hub: Any) -> list[Any]:
        return [await given(hub.sms().send(text, idempotency_key="k-1")) for _ in range(2)]

    one, again = asked(configuration(moto), awaited, use)
    assert SmsStatus.QUEUED is one.status
    assert one == again


def test_a_text_is_refused(moto: MotoServer) -> None:
    """What SNS finds wrong is an error of its own, with the code that SNS gave."""
    text = SmsMessage(to=TO, text="Hi", extra={"amazon_sns": {"PhoneNumber": "nobody"}})
    with (
        moorage.open(configuration(moto)) as hub,
        pytest.raises(InvalidRequest, match="E164") as wrong,
    ):
        hub.sms().send(text)

    assert "InvalidParameter" == wrong.value.vendor_code


@IN_BOTH
def test_mail_is_sent(post: MotoServer, awaited: bool) -> None:
    """SES takes a message, with what it says in its letters, to everybody it is for."""
    mail = EmailMessage(
        to="ada@example.com",
        cc="bob@example.com",
        subject=f"Invoice № 2041 {awaited}",
        text="Grüße",
        html="<p>Grüße &amp; mehr</p>",
        attachments=[Attachment(filename="a.txt", content=b"\x00\xff")],
    )

    async def use(hub: Any) -> Any:
        return await given(hub.email().send_transactional(mail, idempotency_key="k-1"))

    receipt = asked(configuration(post), awaited, use)
    stored = [entry for entry in post.kept("ses", "Message") if entry["subject"] == mail.subject]
    assert [receipt.ref.id] == [entry["id"] for entry in stored]
    assert ["<p>Grüße &amp; mehr</p>"] == [entry["body"] for entry in stored]
    assert [{"ToAddresses": ["ada@example.com"], "CcAddresses": ["bob@example.com"]}] == [
        entry["destinations"] for entry in stored
    ]


def test_mail_is_refused(post: MotoServer) -> None:
    """Mail from whom SES does not know is refused, with the name that SES gave."""
    mail = EmailMessage(from_="shop@other.example", to="ada@example.com", subject="Hi", text="Hi")
    with moorage.open(configuration(post)) as hub, pytest.raises(VendorRejected) as refused:
        hub.email().send_transactional(mail)

    assert "MessageRejected" == refused.value.vendor_code


@pytest.mark.parametrize("kind", ["sms", "email", "storage"])
@pytest.mark.parametrize("changed", [{"credentials": "another secret"}, {"access_key_id": "AKID"}])
def test_a_stranger_is_kept_out(moto: MotoServer, kind: str, changed: dict[str, str]) -> None:
    """What is signed with another key is refused: what is taken was signed as Amazon does."""
    mail = EmailMessage(to="ada@example.com", subject="Hi", text="Hi")
    hub = moorage.open(configuration(moto, **changed))
    asks: dict[str, Callable[[], object]] = {
        "sms": lambda: hub.sms().send(SmsMessage(to=TO, text="Hi")),
        "email": lambda: hub.email().send_transactional(mail),
        "storage": lambda: hub.storage().upload("a.txt", b"Hi"),
    }
    with hub, pytest.raises(AuthenticationFailed):
        asks[kind]()


@pytest.mark.parametrize("capability", sorted(S3.capabilities))
def test_s3_does_what_it_says(moto: MotoServer, bucket: str, capability: str) -> None:
    """Each flag of S3 holds at an emulator of somebody else's, too."""
    fixture = SandboxFixture(options={}, vendor_values={"storage_class": "STANDARD_IA"})

    async def use(hub: Any) -> Any:
        vendor = ScenarioVendor(operations=hub.storage(), fixture=fixture, name="s3", able=True)
        return await BY_CAPABILITY["storage"][StorageCapability(capability)](vendor)

    assert asked(configuration(moto, bucket), True, use)


@IN_BOTH
def test_files_come_back(moto: MotoServer, bucket: str, awaited: bool) -> None:
    """A large file goes in parts and comes back, odd names are listed, and all can be deleted."""
    names = ["a/ü & ö +1%.txt", "a/b c=d?.txt", "a/~tilde'.txt", "b/other.txt"]
    large = bytes(range(256)) * (SIZE // 256)

    async def use(hub: Any) -> dict[str, Any]:
        files = hub.storage()
        for name in names:
            await given(files.upload(name, name.encode()))
        await given(files.upload("large.bin", large))
        pages = [await given(files.list("a/", limit=2))]
        pages.append(await given(files.list("a/", limit=2, cursor=pages[0].next_cursor)))
        whole = await given(files.download("large.bin"))
        back = sha256(await given(whole.read_all())).hexdigest()
        gone = await given(files.delete_many([*names, "large.bin"]))
        return {
            "listed": [item.key for page in pages for item in page.objects],
            "back": back,
            "gone": [entry.ok for entry in gone],
            "left": [await given(files.exists(name)) for name in names],
        }

    assert {
        "listed": sorted(names[:3]),
        "back": sha256(large).hexdigest(),
        "gone": [True] * 5,
        "left": [False] * 4,
    } == asked(configuration(moto, bucket), awaited, use)


def test_a_signed_url_is_followed(moto: MotoServer, bucket: str) -> None:
    """Whoever has a URL that was signed gets the file."""
    with moorage.open(configuration(moto, bucket)) as hub:
        hub.storage().upload("a b.txt", b"Hello.")
        where = urlsplit(hub.storage().signed_url("a b.txt", expires=60).url)
    with moto.unguarded(), closing(HTTPConnection(where.netloc, timeout=10)) as browser:
        browser.request("GET", f"{where.path}?{where.query}")
        answer = browser.getresponse()

        assert (200, b"Hello.") == (answer.status, answer.read())
