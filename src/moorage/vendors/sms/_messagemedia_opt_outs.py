"""The blacklist of an account at MessageMedia: the numbers that have opted out of its messages."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from moorage import vendor_sdk as sdk
from moorage.contracts.sms_opt_outs import OptOut, OptOutPage

LIST: Final = "/v1/number_authorisation/mt/blacklist"
_CHECK: Final = "/v1/number_authorisation/is_authorised"
_NOT_LISTED: Final = 404


async def list_opt_outs(wire: sdk.Wire, after: sdk.Ref | None, /) -> OptOutPage:
    """A page of the blacklist; the last page is empty or names no next page."""
    query = {} if after is None else {"token": after.id}
    response = await wire.send(sdk.Request.get(LIST, query=query))
    body = sdk.read_answer(response)
    numbers = body.texts("numbers")
    if body.value("numbers") != list(numbers):
        raise sdk.malformed(response, "numbers")
    token = body.text("pagination.page") if numbers else None
    return OptOutPage(
        items=tuple(OptOut(number=f"+{number.removeprefix('+')}") for number in numbers),
        next=None if token is None else wire.ref(token),
    )


async def opt_outs_of(wire: sdk.Wire, number: str, /) -> tuple[OptOut, ...]:
    """The opt-out of a phone number, if there is one."""
    response = await wire.send(sdk.Request.get(f"{_CHECK}/{quote(number, safe='')}"))
    entries = sdk.required_objects(sdk.read_answer(response), "numbers", response)
    flags = [sdk.required(entry.flag("authorised"), response, "authorised") for entry in entries]
    if not flags:
        raise sdk.malformed(response, "numbers")
    return () if all(flags) else (OptOut(number=number),)


async def opt_in(wire: sdk.Wire, number: str, /) -> None:
    """Remove a phone number from the blacklist, if it is there."""
    if not await opt_outs_of(wire, number):
        return
    try:
        await wire.send(sdk.Request.delete(f"{LIST}/{quote(number, safe='')}"))
    except sdk.VendorRejected as refusal:
        # After a lost response the removal is sent again, and the number is no longer listed.
        if refusal.status != _NOT_LISTED:
            raise
