"""The webhook schemes of vendors as data, one table per file, and functions to find them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.webhooks.presets.commerce import COMMERCE
from moorage.domain.webhooks.presets.messaging import MESSAGING
from moorage.domain.webhooks.presets.payments import PAYMENTS
from moorage.domain.webhooks.presets.platforms import PLATFORMS
from moorage.domain.webhooks.presets.standards import STANDARDS
from moorage.domain.webhooks.template import nearest_hint
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.domain.webhooks.scheme import WebhookScheme

PRESETS: Final[dict[str, WebhookScheme]] = {
    scheme.name: scheme
    for scheme in sorted(
        (*STANDARDS, *PAYMENTS, *COMMERCE, *MESSAGING, *PLATFORMS), key=lambda scheme: scheme.name
    )
}
"""The webhook schemes of all vendors, by name."""


def preset(name: str) -> WebhookScheme:
    """Return a vendor's webhook scheme by its name.

    Raises:
        ConfigurationError: there is no such preset.
    """
    scheme = PRESETS.get(name) if isinstance(name, str) else None
    if scheme is not None:
        return scheme
    raise ConfigurationError(
        f"{name!r} is not a webhook scheme.",
        path="scheme",
        remedy=f"{nearest_hint(name, PRESETS)}Use one of {', '.join(PRESETS)}, or write your"
        " own WebhookScheme.",
    )
