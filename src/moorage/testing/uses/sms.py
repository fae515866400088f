"""Example calls to vendors of text messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.ref import Ref
from moorage.contracts.sms import SmsCapability, SmsMessage

if TYPE_CHECKING:
    from moorage.testing.uses.asking import At, Use

PHONE: Final = "+4915112345678"
IMAGE: Final = "https://shop.example/picture.png"


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
    """Return the state of a text message."""
    ref = await at.ref("send", SmsMessage(to=PHONE, text="Hello."))
    return (await at("get", ref)).ref == ref


async def number(at: At) -> Any:
    """Whether a number can be one."""
    return (await at("validate_number", PHONE)).valid


async def carrier(at: At) -> Any:
    """Look up the carrier of a number."""
    return (await at("validate_number", PHONE)).carrier


async def balance(at: At) -> Any:
    """Return the account's balance."""
    return (await at("check_balance")).amount


BASIC: Final[dict[str, Use]] = {"send": text}

ABLE: Final[dict[str, Use]] = {
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
