"""What vendors of shipping have in common: carriers' names, labels' files, changed addresses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

from mooring.domain.http import Request
from mooring.domain.region import Region
from mooring.domain.service import Service
from mooring.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mooring.contracts.address import Address
    from mooring.contracts.wire import Wire

LABELS: Final = "labels"

_CARRIERS: Final = {
    "dhlexpress": "dhl_express",
    "fedexdefault": "fedex",
    "upsdap": "ups",
}
_SERVICES: Final = {
    "ups_2nd_day_air": "ups_second_day_air",
    "ups_2nd_day_air_am": "ups_second_day_air_am",
    "usps_express": "usps_priority_express",
    "usps_express_mail_international": "usps_priority_mail_express_international",
}
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")
_COMPARED: Final = ("line1", "line2", "line3", "city", "region", "postal_code", "country")


def _word(text: str) -> str:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    return re.sub(r"[^a-z0-9]+", "_", apart.lower()).strip("_")


def carrier_word(text: str | None) -> str:
    """A carrier in the word that is the same for every vendor."""
    joined = re.sub(r"[^a-z0-9]+", "", (text or "").lower())
    return _CARRIERS.get(joined, joined if joined.isalpha() else _word(text or ""))


def service_word(carrier: str, text: str | None) -> str:
    """A carrier's service in the word that is the same for every vendor."""
    word = _word(text or "")
    word = word if word.startswith(f"{carrier}_") else f"{carrier}_{word}"
    return _SERVICES.get(word, word)


def urls(value: Iterable[str]) -> tuple[str, ...]:
    """Several URLs."""
    return tuple(value)


def label_service(name: str, hosts: Sequence[str]) -> Service:
    """Where labels' files are kept: it is told nothing of who we are."""
    regions = [Region(f"host-{number}", url) for number, url in enumerate(hosts, 1)]
    return Service(name, regions=regions)


async def fetched(wire: Wire, url: str) -> bytes | None:
    """A label's file; None if it cannot be had, for the label is bought all the same."""
    try:
        return (await wire.send(Request.get(url), to=LABELS)).body
    except ConnectorError:
        return None


def country_of(told: str | None, given: Address) -> str:
    """The country that was told; what is no code of one is not known better than it was given."""
    return told if told is not None and _COUNTRY.fullmatch(told) else given.country


def changed(given: Address, suggested: Address) -> tuple[str, ...]:
    """The names of the fields of an address in which two differ, but for case and spaces."""
    before, after = attrs.asdict(given), attrs.asdict(suggested)
    return tuple(name for name in _COMPARED if _same(before[name]) != _same(after[name]))


def _same(text: str | None) -> str:
    return " ".join((text or "").split()).casefold()
