"""For every contract, something that uses each verb and each capability, and nothing else.

`BASIC` has what every vendor of a kind can do, `ABLE` what takes a capability, by its name. Each is
given a vendor behind a hub of either colour, and tells whether all went as it should.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.testing.uses import email, payments, shipping, sms, storage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.testing.uses.asking import Use

_KINDS: Final = {
    "email": email,
    "sms": sms,
    "payments": payments,
    "storage": storage,
    "shipping": shipping,
}
BASIC: Final[Mapping[str, Mapping[str, Use]]] = {name: one.BASIC for name, one in _KINDS.items()}
ABLE: Final[Mapping[str, Mapping[str, Use]]] = {name: one.ABLE for name, one in _KINDS.items()}
