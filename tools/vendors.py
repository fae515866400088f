"""Writes the vendors' capability pages from their declarations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from moorage.contracts.catalog import CONTRACTS, contract
from moorage.wiring.installed_vendors import vendor_class, vendor_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.contracts.vendor import Vendor, VendorKeys

PATH: Final = "vendors/index.md"
OTHER_PAGES: Final = {"fsspec": "../how-to/file-servers.md"}
"""Pages of vendors that have none with their name, from the folder of the others."""
PAGES: Final = Path(__file__).parent.parent / "docs" / "vendors"
_KEYS: Final[dict[str, Callable[[VendorKeys | None], str]]] = {
    "remembers keys for": lambda keys: "" if keys is None else _hours(keys.memory),
    "a repeat of a key is": lambda keys: "" if keys is None else keys.repeat,
    "as documented": lambda keys: "" if keys is None else _links(keys.documentation),
}

_INTRODUCTION: Final = """# What each vendor can do

The tables are generated from the vendors' declarations, and tests check each entry. A tick means
that the vendor supports the capability. Without a tick, a call that needs the capability raises
`UnsupportedByVendor` before anything is sent, and the error names the vendors that support it. The
version is the API version that moorage requests, if the vendor has versions. The name of a vendor
links to its page, if it has one.

For a vendor with idempotency keys, the table states how long the vendor certainly remembers a key,
what it returns for a repeat, and where this is documented. If the vendor's pages contradict each
other, the table states the shorter time. After an unknown outcome, moorage repeats the operation
with its key while the vendor remembers the key, or repeats it if that is harmless; otherwise a
person must look the outcome up.
"""
_METHODS: Final = """## Methods of capabilities

For the authors of vendors: the methods of a vendor's class that belong to a capability. A class
that has such a method but not the capability, or the capability but not the method, raises an error
when it is defined. The other capabilities allow fields of requests, and have no method.
"""


def page() -> str:
    """Return the page as Markdown."""
    tables = (line for kind in CONTRACTS for line in _table(kind))
    return "\n".join([_INTRODUCTION, *tables, _METHODS, *_methods_table(), ""])


def _table(kind: str) -> Iterator[str]:
    vendors = {
        name: result for name in vendor_names() if kind in (result := vendor_class(name)).kinds
    }
    yield f"## {CONTRACTS[kind]}\n"
    yield _row("", [_name(name) for name in vendors])
    yield _row("---", ["---"] * len(vendors))
    yield _row("version", [vendor.api_version or "" for vendor in vendors.values()])
    yield _row(
        "webhooks", [f"`{vendor.webhook}`" if vendor.webhook else "" for vendor in vendors.values()]
    )
    for title, describe in _KEYS.items():
        yield _row(title, [describe(vendor.idempotency) for vendor in vendors.values()])
    for operation in sorted(
        {verb for vendor in vendors.values() for verb in vendor.unknown_outcomes}
    ):
        outcomes = [vendor.unknown_outcomes.get(operation, "") for vendor in vendors.values()]
        yield _row(
            f"unknown outcome of `{operation}`", [word.replace("_", " ") for word in outcomes]
        )
    for capability in contract(kind).capabilities:
        ticks = [_tick(vendor, capability) for vendor in vendors.values()]
        yield _row(f"`{capability}`", ticks)
    for limit in sorted({limit for vendor in vendors.values() for limit in vendor.limits}):
        largest_values = [_number_text(vendor.limits.get(limit)) for vendor in vendors.values()]
        yield _row(f"limit of `{limit}`", largest_values)
    yield ""


def _methods_table() -> Iterator[str]:
    """Yield the table of the methods that belong to the capabilities of each contract."""
    yield _row("contract", ["capability", "methods of the vendor's class"])
    yield _row("---", ["---", "---"])
    for kind in CONTRACTS:
        verbs = contract(kind).optional_verbs()
        for capability in contract(kind).capabilities:
            names = [
                f"`{verb}`"
                for verb, needed_capability in verbs.items()
                if needed_capability == capability
            ]
            if names:
                yield _row(f"`{kind}`", [f"`{capability}`", ", ".join(names)])


def _row(first: str, rest: list[str]) -> str:
    return f"| {' | '.join([first, *rest])} |"


def _name(vendor: str) -> str:
    return f"[{vendor}]({OTHER_PAGES.get(vendor, f'{vendor}.md')})"


def _hours(seconds: float) -> str:
    days, rest_seconds = divmod(seconds, 86_400)
    return f"{seconds / 3_600:g} h" if rest_seconds or days < 2 else f"{days:g} days"


def _links(addresses: tuple[str, ...]) -> str:
    return " ".join(f"[{number}]({url})" for number, url in enumerate(addresses, 1))


def _tick(vendor: type[Vendor], capability: str) -> str:
    return "✓" if capability in vendor.capabilities else ""


def _number_text(limit: int | None) -> str:
    return "" if limit is None else f"{limit:,}"
