"""Replacing a vendor by changing one line of the configuration."""

from __future__ import annotations

import asyncio
import tomllib
from difflib import ndiff
from typing import TYPE_CHECKING, Any

import moorage
from moorage.config.toml_text import write_toml
from moorage.testing.sandboxes.base import SandboxHttpClient
from tests.contracts.vendor_sets import business_script, vendor_set

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 100_000
OTHERS = {
    "email": "sendgrid",
    "sms": "twilio",
    "storage": "s3",
    "shipping": "easypost",
}


def test_swapping_a_vendor_is_a_line(tmp_path: Path) -> None:
    """A business script gives the same results after one changed line selects another vendor."""
    stripe = vendor_set({**OTHERS, "payments": "stripe"}, tmp_path / "stripe")
    adyen = vendor_set({**OTHERS, "payments": "adyen"}, tmp_path / "adyen")
    vendors = {**adyen.configuration["vendors"], **stripe.configuration["vendors"]}
    routes = {kind: {"vendor": vendor} for kind, vendor in stripe.vendors.items()}
    stripe_source = write_toml({**routes, "vendors": vendors})
    adyen_source = stripe_source.replace('vendor = "stripe"', 'vendor = "adyen"')

    def hub_of_text(text: str, here: Any) -> dict[str, Any]:
        hub = moorage.open(tomllib.loads(text), http=SandboxHttpClient(*here.sandboxes))
        try:
            return asyncio.run(business_script(hub, here, SIZE))
        finally:
            hub.close()
            here.close()

    changed_lines = [
        line
        for line in ndiff(stripe_source.splitlines(), adyen_source.splitlines())
        if line[0] in "+-"
    ]
    assert ['- vendor = "stripe"', '+ vendor = "adyen"'] == changed_lines
    assert hub_of_text(stripe_source, stripe) == hub_of_text(adyen_source, adyen)
