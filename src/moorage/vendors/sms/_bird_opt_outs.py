"""Opt-outs of a Bird workspace; each one is for one phone number and one sender."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from moorage import vendor_sdk as sdk
from moorage.contracts.sms_opt_outs import OptOut, OptOutPage

_PATH: Final = "/v1/sms/suppressions"
_PAGE: Final = 100
_ENTRY: Final = sdk.Reading(
    OptOut,
    number=sdk.needed(sdk.text("destination"), "destination"),
    sender=sdk.text("originator"),
    vendor_reason=sdk.text("reason"),
    at=sdk.time("effective_at"),
)


async def _entries(wire: sdk.Wire, query: dict[str, Any]) -> tuple[list[sdk.Answer], sdk.Response]:
    response = await wire.send(sdk.Request.get(_PATH, query={"limit": str(_PAGE), **query}))
    return sdk.required_objects(sdk.read_answer(response), "data", response), response


def _read(wire: sdk.Wire, entries: list[sdk.Answer], response: sdk.Response) -> tuple[OptOut, ...]:
    opt_outs = [
        opt_out for entry in entries for opt_out in _ENTRY.parse_if_complete(wire.ref, entry)
    ]
    if len(opt_outs) < len(entries):
        raise sdk.malformed(response, "destination")
    return tuple(opt_outs)


async def list_opt_outs(wire: sdk.Wire, after: sdk.Ref | None, /) -> OptOutPage:
    """A page of opt-outs, latest first."""
    query = {} if after is None else {"starting_after": after.id}
    entries, response = await _entries(wire, query)
    last_id = entries[-1].text("id") if len(entries) == _PAGE else None
    next_page = None if last_id is None else wire.ref(last_id)
    return OptOutPage(items=_read(wire, entries, response), next=next_page)


async def opt_outs_of(wire: sdk.Wire, number: str, /) -> tuple[OptOut, ...]:
    """The opt-outs of a phone number, one for each sender."""
    return _read(wire, *await _entries(wire, {"destination": number}))


async def opt_in(wire: sdk.Wire, number: str, /) -> None:
    """Remove a number's opt-outs; Bird keeps the opt-outs that the number's owner requested."""
    entries, response = await _entries(wire, {"destination": number})
    ids = [id_ for entry in entries if (id_ := entry.text("id")) is not None]
    if len(ids) < len(entries):
        raise sdk.malformed(response, "id")
    for id_ in ids:
        await wire.send(sdk.Request.delete(f"{_PATH}/{quote(id_, safe='')}"))
