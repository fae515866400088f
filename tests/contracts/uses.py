"""For every capability of every contract, something that takes it and nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from mooring import Ref
from mooring.contracts.email import (
    Attachment,
    Disposition,
    EmailCapability,
    EmailMessage,
    TemplateRef,
)
from mooring.contracts.email_outcomes import StatisticsQuery, Verdict
from mooring.contracts.payments import Charge, Customer, Money, PaymentsCapability, ThreeDs
from mooring.contracts.shipping import (
    Customs,
    CustomsItem,
    LabelFormat,
    LabelSize,
    Parcel,
    RateRequest,
    ShipmentRequest,
    ShippingCapability,
    Signature,
)
from mooring.contracts.sms import SmsCapability, SmsMessage
from mooring.contracts.storage import ByteRange, PutOptions, StorageCapability
from tests.contracts.caller import given
from tests.contracts.towns import ADA, SHOP

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.contracts.trades import Trade

PHONE: Final = "+4915112345678"
IMAGE: Final = "https://shop.example/picture.png"
KEY: Final = "a.txt"
PARCEL: Final = Parcel(weight="1.5", length="30", width="20", height="10")


@attrs.frozen(kw_only=True)
class At:
    """A vendor that is asked.

    Attributes:
        face: what the operations are called on, of either colour.
        trade: what the vendor needs.
        vendor: its name, and its account's.
        able: whether it says that it is able; else nothing is prepared, for nothing may be sent.
    """

    face: Any
    trade: Trade
    vendor: str
    able: bool

    async def __call__(self, operation: str, *arguments: Any, **named: Any) -> Any:
        """Do something there."""
        return await given(getattr(self.face, operation)(*arguments, **named))

    async def ref(self, operation: str, *arguments: Any, **named: Any) -> Ref:
        """What came of something, or would have come."""
        if not self.able:
            return Ref.parse(f"{self.vendor}:{self.vendor}:1")
        made: Ref = (await self(operation, *arguments, **named)).ref
        return made


Use: TypeAlias = "Callable[[At], Awaitable[Any]]"


async def mail(at: At, **fields: Any) -> Any:
    """A message with more than a text."""
    usual: dict[str, Any] = {"to": "ada@example.com", "subject": "Hello", "text": "Hello."}
    receipt = await at("send_transactional", EmailMessage(**{**usual, **fields}))
    return receipt.status in {"accepted", "queued", "scheduled"}


async def inline(at: At) -> Any:
    """An image that the text shows."""
    logo = Attachment(
        filename="a.png",
        content=b"\x89PNG\r\n\x1a\n",
        content_type="image/png",
        disposition=Disposition.INLINE,
        content_id="logo",
    )
    return await mail(at, html='<img src="cid:logo">', attachments=[logo])


async def template(at: At) -> Any:
    """What the vendor keeps, filled in."""
    words = TemplateRef(str(at.trade.words.get("template", "welcome")), {"name": "Ada"})
    return await mail(at, subject="", text=None, template=words)


async def address(at: At) -> Any:
    """Whether mail arrives there."""
    return (await at("validate_address", "ada@example.com")).verdict is not Verdict.UNKNOWN


async def counts(at: At) -> Any:
    """What became of a month of mail."""
    query = StatisticsQuery(start=date(2026, 1, 1), end=date(2026, 1, 31))
    return (await at("get_statistics", query)).query == query


async def text(at: At, **fields: Any) -> Any:
    """A text message with more than words."""
    return (await at("send", SmsMessage(to=PHONE, text="Hello.", **fields))).ref


async def pool(at: At, **fields: Any) -> Any:
    """From one of several senders."""
    return await text(at, sender_pool=str(at.trade.words.get("sender_pool", "pool")), **fields)


async def later_text(at: At) -> Any:
    """Not before tomorrow."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    return await (pool if at.trade.words.get("sender_pool") else text)(at, send_at=tomorrow)


async def unsent(at: At) -> Any:
    """Called back in time."""
    ref = Ref.parse(f"{at.vendor}:{at.vendor}:1")
    return await at("cancel", await later_text(at) if at.able else ref)


async def sent(at: At) -> Any:
    """What became of a text message."""
    ref = await at.ref("send", SmsMessage(to=PHONE, text="Hello."))
    return (await at("get", ref)).ref == ref


async def number(at: At) -> Any:
    """Whether a number can be one."""
    return (await at("validate_number", PHONE)).valid


async def carrier(at: At) -> Any:
    """Who serves a number."""
    return (await at("validate_number", PHONE)).carrier


async def balance(at: At) -> Any:
    """What is left."""
    return (await at("check_balance")).amount


def order(at: At, **fields: Any) -> Charge:
    """What is to be paid."""
    usual: dict[str, Any] = {
        "amount": Money("149.90", "EUR"),
        "source": at.trade.token,
        "reference": "INV-1",
        "customer": Customer(id="ada-1"),
    }
    return Charge(**{**usual, **fields})


async def pay(at: At, **fields: Any) -> Any:
    """A payment with a wish."""
    return (await at("charge", order(at, **fields), idempotency_key="1")).ref


async def intent(at: At) -> Any:
    """What the buyer's browser goes on with."""
    return (await at("create_intent", order(at), idempotency_key="1")).ref


async def authorized(at: At) -> Ref:
    """Money that is there to be taken."""
    if not at.able:
        return Ref.parse(f"{at.vendor}:{at.vendor}:1~currency=EUR")
    payment = await at("authorize", order(at), idempotency_key="1")
    if payment.next_action is not None:
        returned = at.trade.buyer(payment)
        payment = await at("complete", payment.ref, returned, idempotency_key="2")
    ref: Ref = payment.ref
    return ref


async def complete(at: At) -> Any:
    """A payment that a buyer had to do something for."""
    if not at.able:
        return await at("complete", await authorized(at), idempotency_key="2")
    asks = at.trade.words.get("asks", at.trade.token)
    charge = order(at, source=asks, return_url="https://erp.example/back")
    payment = await at("authorize", charge, idempotency_key="1")
    returned = at.trade.buyer(payment)
    payment = await at("complete", payment.ref, returned, idempotency_key="2")
    return payment.state.name in {"AUTHORIZED", "CAPTURED"}


async def captures(at: At) -> Any:
    """A part of the money, and then another."""
    ref = await authorized(at)
    for key in ("3", "4"):
        await at("capture", ref, Money("10.00", "EUR"), idempotency_key=key, final=False)
    return True


async def payment(at: At) -> Any:
    """What became of a payment."""
    ref = await authorized(at)
    return (await at("get", ref)).ref.id == ref.id


async def refund(at: At) -> Any:
    """What became of money that goes back."""
    ref = await authorized(at)
    if at.able:
        await at("capture", ref, idempotency_key="5")
        ref = await at.ref("refund", ref, Money("5.00", "EUR"), idempotency_key="6")
    return (await at("get_refund", ref)).ref.id == ref.id


async def listed(at: At, operation: str) -> Any:
    """What the vendor has of something."""
    return (await at(operation)) is not None


async def kept(at: At, **fields: Any) -> Any:
    """A file that is kept in a special way."""
    return await at("upload", KEY, b"Hello.", PutOptions(**fields))


async def part(at: At) -> Any:
    """Some of a file."""
    if at.able:
        await kept(at)
    download = await at("download", KEY, range=ByteRange(1, 3))
    return await given(download.read_all()) == b"ell"


async def changed(at: At) -> Any:
    """A file only if it is another."""
    tag = (await kept(at)).etag if at.able else "1"
    return not (await at("download", KEY, if_none_match=tag)).modified


async def labelled(at: At) -> Any:
    """A file with words of ours."""
    await kept(at, metadata={"invoice": "7"})
    return (await at("head", KEY)).metadata == {"invoice": "7"}


async def begun(at: At) -> Any:
    """An upload in parts."""
    upload = await at("start_upload", KEY)
    await at("abort_upload", upload.ref)
    return True


async def stale(at: At) -> Any:
    """Uploads that nobody ended."""
    if at.able:
        await at("start_upload", KEY)
    return await at("list_stale_uploads", older_than=timedelta(0))


async def copied(at: At) -> Any:
    """The same under another name."""
    if at.able:
        await kept(at)
    await at("copy", KEY, "b.txt")
    return await at("exists", "b.txt")


async def version(at: At) -> Any:
    """A file as it was before."""
    before = "1"
    if at.able:
        before = (await at("upload", KEY, b"Before.")).version
        await at("upload", KEY, b"After.")
    return await given((await at("download", KEY, version=before)).read_all()) == b"Before."


async def signed(at: At) -> Any:
    """A URL for somebody's browser."""
    return (await at("signed_url", KEY, expires=60)).url


async def form(at: At) -> Any:
    """A form for somebody's browser."""
    return (await at("signed_post", KEY, expires=60, largest=100)).url


def parcel(at: At, **fields: Any) -> RateRequest:
    """What is to be sent."""
    usual: dict[str, Any] = {"sender": SHOP, "recipient": ADA, "parcels": [PARCEL]}
    return RateRequest(**{**usual, **at.trade.words.get("parcel", {}), **fields})


async def offered(at: At, **fields: Any) -> Any:
    """What sending it costs."""
    return (await at("get_rates", parcel(at, **fields))).rates


async def abroad(at: At) -> Any:
    """Over a border."""
    pen = CustomsItem(
        description="A pen",
        quantity=1,
        value=Money("10.00", "USD"),
        weight="1.0",
        hs_code="960810",
        origin="US",
    )
    return await offered(at, customs=Customs(items=[pen], signer="Ada"), recipient=ABROAD)


async def bought(at: At) -> Ref:
    """A parcel with its label."""
    request = ShipmentRequest(asked=parcel(at))
    return await at.ref("create_shipment", request, idempotency_key="1")


async def label_again(at: At) -> Any:
    """A label that was lost."""
    return (await at("get_label", await bought(at))).content


async def by_reference(at: At) -> Any:
    """An offer of which only the reference was kept."""
    offer = (await offered(at))[0].ref if at.able else await at.ref("")
    return (await at("create_shipment", str(offer), idempotency_key="1")).state


async def converted(at: At) -> Any:
    """A label written otherwise."""
    return (await at("get_label", await bought(at), LabelFormat.ZPL)).content


async def tracked(at: At) -> Any:
    """Where a parcel is."""
    return (await at("track_shipment", await bought(at))).number


async def called_back(at: At) -> Any:
    """A label that is not needed after all."""
    return (await at("cancel", await bought(at))).state


async def found(at: At) -> Any:
    """Whether there is such a place."""
    return (await at("validate_address", ADA)).verdict


ABROAD: Final = attrs.evolve(
    ADA, line1="1 Bloor Street", city="Toronto", region="ON", postal_code="M4W1A8", country="CA"
)

EMAIL: Final[dict[str, Use]] = {
    EmailCapability.ATTACHMENTS: partial(
        mail, attachments=[Attachment(filename="a.txt", content=b"a")]
    ),
    EmailCapability.INLINE_IMAGES: inline,
    EmailCapability.CUSTOM_HEADERS: partial(mail, headers={"X-Invoice": "7"}),
    EmailCapability.ENVELOPE_SENDER: partial(mail, envelope_sender="bounces@acme.example"),
    EmailCapability.INTERNATIONAL: partial(mail, to="zoë@example.com"),
    EmailCapability.TEMPLATES: template,
    EmailCapability.METADATA: partial(mail, metadata={"invoice": "7"}),
    EmailCapability.TAGS: partial(mail, tags=["invoice"]),
    EmailCapability.SCHEDULED: lambda at: mail(at, send_at=datetime.now(UTC) + timedelta(hours=1)),
    EmailCapability.TRACK_OPENS: partial(mail, track_opens=True),
    EmailCapability.TRACK_CLICKS: partial(mail, track_clicks=False),
    EmailCapability.VALIDATE_ADDRESS: address,
    EmailCapability.STATISTICS: counts,
}
SMS: Final[dict[str, Use]] = {
    SmsCapability.SENDER_POOL: pool,
    SmsCapability.MEDIA: partial(text, media=[IMAGE]),
    SmsCapability.CALLBACK: partial(text, callback_url="https://erp.example/hooks/texts"),
    SmsCapability.SCHEDULED: later_text,
    SmsCapability.CANCEL: unsent,
    SmsCapability.VALIDITY: partial(text, validity=timedelta(hours=1)),
    SmsCapability.LOOK_UP: sent,
    SmsCapability.VALIDATE_NUMBER: number,
    SmsCapability.CARRIER: carrier,
    SmsCapability.BALANCE: balance,
}
PAYMENTS: Final[dict[str, Use]] = {
    PaymentsCapability.INTENT: intent,
    PaymentsCapability.COMPLETE: complete,
    PaymentsCapability.MULTIPLE_CAPTURES: captures,
    PaymentsCapability.LOOK_UP: payment,
    PaymentsCapability.LOOK_UP_REFUND: refund,
    PaymentsCapability.LIST: partial(listed, operation="payments"),
    PaymentsCapability.DISPUTES: partial(listed, operation="disputes"),
    PaymentsCapability.PAYOUTS: partial(listed, operation="payouts"),
    PaymentsCapability.OFF_SESSION: partial(pay, off_session=True),
    PaymentsCapability.STORE_METHOD: partial(pay, store_method=True),
    PaymentsCapability.STATEMENT_DESCRIPTOR: partial(pay, statement_descriptor="ACME"),
    PaymentsCapability.THREE_DS: partial(pay, three_ds=ThreeDs.ALWAYS),
}
STORAGE: Final[dict[str, Use]] = {
    StorageCapability.RANGE: part,
    StorageCapability.CONDITIONAL_GET: changed,
    StorageCapability.CONDITIONAL_PUT: partial(kept, if_none_match="*"),
    StorageCapability.METADATA: labelled,
    StorageCapability.MULTIPART: begun,
    StorageCapability.STALE_UPLOADS: stale,
    StorageCapability.COPY: copied,
    StorageCapability.VERSIONS: version,
    StorageCapability.TAGS: partial(kept, tags={"a": "b"}),
    StorageCapability.VISIBILITY: partial(kept, visibility="public"),
    StorageCapability.STORAGE_CLASS: lambda at: kept(
        at, storage_class=at.trade.words.get("storage_class", "COLD")
    ),
    StorageCapability.ENCRYPTION: lambda at: kept(
        at, encryption=at.trade.words.get("encryption", "AES256")
    ),
    StorageCapability.SIGNED_URL: signed,
    StorageCapability.SIGNED_POST: form,
}
SHIPPING: Final[dict[str, Use]] = {
    ShippingCapability.MULTI_PARCEL: partial(offered, parcels=[PARCEL, PARCEL]),
    ShippingCapability.CUSTOMS: abroad,
    ShippingCapability.INSURANCE: partial(offered, insurance=Money("100.00", "USD")),
    ShippingCapability.SIGNATURE: partial(offered, signature=Signature.ADULT),
    ShippingCapability.SATURDAY_DELIVERY: partial(offered, saturday=True),
    ShippingCapability.RETURNS: partial(offered, is_return=True),
    ShippingCapability.LABEL_EPL: partial(offered, label=LabelFormat.EPL),
    ShippingCapability.LABEL_PAPER: partial(offered, label_size=LabelSize.A6),
    ShippingCapability.LABEL_AGAIN: label_again,
    ShippingCapability.CONVERT_LABEL: converted,
    ShippingCapability.BUY_BY_REFERENCE: by_reference,
    ShippingCapability.TRACK: tracked,
    ShippingCapability.CANCEL: called_back,
    ShippingCapability.VALIDATE_ADDRESS: found,
}
USES: Final = {
    "email": EMAIL,
    "sms": SMS,
    "payments": PAYMENTS,
    "storage": STORAGE,
    "shipping": SHIPPING,
}
