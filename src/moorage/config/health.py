"""The `[health]` table of a configuration: probes, and the rules by which health is assessed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.config.class_tables import table_of
from moorage.config.shapes import DateTimeShape, Field, Function, ListOf, NamedTable, Text
from moorage.domain.monitoring.health import Expiry, HealthPolicy
from moorage.domain.monitoring.probes import Probe
from moorage.domain.monitoring.settings import HealthSettings

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.config.shapes import Table

_PROBE: Final = table_of(Probe, name="probe", shapes={"request": Text(), "function": Function()})
_POLICY: Final = table_of(HealthPolicy, name="health")


def _settings(
    *,
    probes: tuple[Probe, ...] = (),
    expires: dict[str, datetime] | None = None,
    **policy: Any,
) -> HealthSettings:
    expiries = {} if expires is None else expires
    return HealthSettings(
        policy=HealthPolicy(**policy),
        probes=probes,
        expiries=[Expiry(name, expires_at) for name, expires_at in expiries.items()],
    )


HEALTH: Final[Table] = attrs.evolve(
    _POLICY,
    about="The probes of services, and the rules that determine health.",
    fields={
        **_POLICY.fields,
        "probes": Field(ListOf(_PROBE), "The probes, at most one for each service."),
        "expires": Field(
            NamedTable(DateTimeShape()),
            "The expiry dates of certificates and secrets, by names of your choice.",
        ),
    },
    make=_settings,
)
