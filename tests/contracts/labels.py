"""A program that buys five shipping labels; a test runs it in a process that is killed.

It prints as JSON the tracking number or the name of the error of each label.
"""

from __future__ import annotations

import json
import sys
from decimal import Decimal

import moorage
from moorage.contracts.shipping import Parcel, RateRequest, ShipmentRequest
from moorage.testing.sandbox_scenarios.shipping import ADA, SHOP


def main(url: str, database: str, timeout: str) -> None:
    """Buy the labels that the database does not have yet."""
    hub = moorage.open(
        {
            "state": {"url": f"sqlite:///{database}"},
            "vendors": {
                "easypost": {
                    "credentials": "EZTK-sandbox",
                    "base_url": url,
                    "label_hosts": [url],
                    "timeout": 1.0,
                    "retry": {"preset": "none"},
                }
            },
        }
    )
    items = [
        ShipmentRequest(
            rate_request=RateRequest(
                sender=SHOP,
                recipient=ADA,
                parcels=[Parcel(weight=Decimal(number), length=30, width=20, height=10)],
            )
        )
        for number in range(1, 6)
    ]
    results = hub.shipping().create_many(
        items, idempotency_key="batch-7", timeout=float(timeout), at_once=1
    )
    reports = [
        result.value.tracking_numbers[0] if result.value else type(result.error).__name__
        for result in results
    ]
    print(json.dumps(reports))  # noqa: T201 - this is the answer


if __name__ == "__main__":
    main(*sys.argv[1:])
