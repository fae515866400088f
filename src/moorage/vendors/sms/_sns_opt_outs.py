"""Phone numbers that have opted out of the messages of an Amazon SNS account."""

from __future__ import annotations

from typing import Final

from moorage import vendor_sdk as sdk
from moorage.contracts.sms_opt_outs import OptOut, OptOutPage

VERSION: Final = "2010-03-31"
_LIST: Final = "ListPhoneNumbersOptedOut"
_CHECK_ACTION: Final = "CheckIfPhoneNumberIsOptedOut"
_OPT_IN: Final = "OptInPhoneNumber"
_ANSWERS: Final = {"true": True, "false": False}


async def _result(
    wire: sdk.Wire, action: str, **fields: str
) -> tuple[sdk.XmlElement, sdk.Response]:
    """Call an API action that is safe to repeat, and return its result."""
    request = sdk.Request.post("/", form={"Action": action, "Version": VERSION, **fields})
    response = await wire.send(request.evolve(idempotent=True))
    name = f"{action}Result"
    try:
        result = next(sdk.read_xml(response.body).all(name), None)
    except sdk.NotXmlError:
        result = None
    if result is None:
        raise sdk.malformed(response, name)
    return result, response


async def list_opt_outs(wire: sdk.Wire, after: sdk.Ref | None, /) -> OptOutPage:
    """A page of the phone numbers that opted out."""
    token = {} if after is None else {"nextToken": after.id}
    result, _ = await _result(wire, _LIST, **token)
    lists = result.all("phoneNumbers")
    numbers = [member.content for entries in lists for member in entries.all("member")]
    start = result.text("nextToken")
    return OptOutPage(
        items=tuple(OptOut(number=number) for number in numbers if number),
        next=wire.ref(start) if start else None,
    )


async def opt_outs_of(wire: sdk.Wire, number: str, /) -> tuple[OptOut, ...]:
    """The opt-out of a phone number, if there is one."""
    result, response = await _result(wire, _CHECK_ACTION, phoneNumber=number)
    has_opted_out = _ANSWERS.get(result.text("isOptedOut") or "")
    if has_opted_out is None:
        raise sdk.malformed(response, "isOptedOut")
    return (OptOut(number=number),) if has_opted_out else ()


async def opt_in(wire: sdk.Wire, number: str, /) -> None:
    """Remove the opt-out of a phone number."""
    await _result(wire, _OPT_IN, phoneNumber=number)
