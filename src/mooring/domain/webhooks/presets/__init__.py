"""The schemes of vendors, as data: one table a file, and one place that knows them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mooring.domain.webhooks.presets.commerce import COMMERCE
from mooring.domain.webhooks.presets.messaging import MESSAGING
from mooring.domain.webhooks.presets.payments import PAYMENTS
from mooring.domain.webhooks.presets.platforms import PLATFORMS
from mooring.domain.webhooks.presets.standards import STANDARDS
from mooring.domain.webhooks.template import nearest
from mooring.errors import ConfigurationError

if TYPE_CHECKING:
    from mooring.domain.webhooks.scheme import WebhookScheme

PRESETS: Final[dict[str, WebhookScheme]] = {
    scheme.name: scheme
    for scheme in sorted(
        (*STANDARDS, *PAYMENTS, *COMMERCE, *MESSAGING, *PLATFORMS), key=lambda scheme: scheme.name
    )
}
"""Every preset, by its name."""


def preset(name: str) -> WebhookScheme:
    """The preset of this name.

    Raises:
        ConfigurationError: there is none.
    """
    known = PRESETS.get(name) if isinstance(name, str) else None
    if known is not None:
        return known
    raise ConfigurationError(
        f"{name!r} is no webhook scheme.",
        path="scheme",
        remedy=f"{nearest(name, PRESETS)}Use one of {', '.join(PRESETS)}; or make a"
        " WebhookScheme of your own.",
    )
