"""Which names promise that their value is a credential."""

from __future__ import annotations

import re

MASK = "***"

_SENSITIVE = re.compile(
    r"auth(?!or)|authori[sz]|cookie|token|secret|signature|passw|passphrase|credential|session"
    r"|appid|apikey|accesskey|privatekey|jwt|pwd|dpop"
    r"|key(?![a-z])|(?<![a-z])(?:sig|sid|otp|pin|cvv|cvc)(?![a-z])",
)
_IDEMPOTENCY = re.compile(r"idempoten(?:cy|t)[-_]?key")


def is_sensitive(name: str) -> bool:
    """Tell whether a header, parameter or JSON key of this name is likely to hold a credential.

    It errs on the side of yes. An idempotency key is none: people look for it in logs.
    """
    lowered = name.lower()
    return _SENSITIVE.search(lowered) is not None and _IDEMPOTENCY.search(lowered) is None
