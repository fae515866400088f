"""Exports the requests to the configured vendors for other tools.

`described` tells what each account and each service of a configuration sends; `postman` and
`openapi` write it down, as a Postman collection of version 2.1 and as an OpenAPI 3.1 description.
Nothing is written by hand: each verb that an account is capable of is done once at the vendor's
sandbox, with an account of the sandbox, and what went out is what is told. So the secrets of a
configuration are nowhere near; where one belongs there is a variable without a value.

`grafana_dashboard` and `prometheus_rules` are made of the table of the metrics that
`PrometheusObserver` counts.
"""

from __future__ import annotations

from moorage.exporting.describing import described
from moorage.exporting.monitoring import grafana_dashboard, prometheus_rules
from moorage.exporting.openapi import openapi
from moorage.exporting.postman import postman
from moorage.exporting.sent import Description, Sent, Slot

__all__ = [
    "Description",
    "Sent",
    "Slot",
    "described",
    "grafana_dashboard",
    "openapi",
    "postman",
    "prometheus_rules",
]
