"""The events that observers receive when a manager starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.observation.events import TlsUnverified

if TYPE_CHECKING:
    from moorage.wiring.core_assembly import WiredCore


def report_unverified_tls(wired: WiredCore) -> None:
    """Notify observers if the HTTP client does not verify TLS certificates."""
    exemption = getattr(wired.http, "unverified", None)
    if exemption is None:
        return
    from moorage.domain.http.transport import DangerouslyUnverified

    if isinstance(exemption, DangerouslyUnverified):
        core = wired.core
        core.tell(TlsUnverified(at=core.utc(), service="http", because=exemption.because))
