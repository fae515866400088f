"""The events that observers receive when a manager starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.observation.events import TlsUnverified

if TYPE_CHECKING:
    from moorage.wiring.core_assembly import WiredCore


def report_unverified_tls(wired: WiredCore) -> None:
    """Notify observers if the HTTP client does not verify TLS certificates."""
    unverified_value = getattr(wired.http, "unverified", None)
    if unverified_value is None:
        return
    from moorage.domain.http.transport import DangerouslyUnverified

    if isinstance(unverified_value, DangerouslyUnverified):
        core = wired.core
        core.tell(TlsUnverified(at=core.utc(), service="http", because=unverified_value.because))
