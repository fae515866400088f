"""Exports the requests that moorage sends to vendors, in formats of other tools.

`describe_requests` returns the requests that each account and service of a configuration sends.
`postman` writes them as a Postman collection of version 2.1, and `openapi` as an OpenAPI 3.1
description. The requests are recorded: each operation that an account supports is performed once at
the vendor's sandbox, with a sandbox account. So the export cannot contain secrets of the
configuration; in their places there are variables without values.

`grafana_dashboard` and `prometheus_rules` are made from the table of metrics of
`PrometheusObserver`.
"""

from __future__ import annotations

from moorage.exporting.described_requests import DescribedRequest, Description, Slot
from moorage.exporting.describing import describe_requests
from moorage.exporting.monitoring import grafana_dashboard, prometheus_rules
from moorage.exporting.openapi import openapi
from moorage.exporting.postman import postman

__all__ = [
    "DescribedRequest",
    "Description",
    "Slot",
    "describe_requests",
    "grafana_dashboard",
    "openapi",
    "postman",
    "prometheus_rules",
]
