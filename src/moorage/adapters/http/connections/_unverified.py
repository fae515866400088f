"""Saying aloud that TLS is not verified, for every client that can be told so."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moorage.domain.http.transport import DangerouslyUnverified, Tls


def unverified_by(tls: Tls | None) -> DangerouslyUnverified | None:
    """Return what leaves out the checks, with a warning, or None if nothing does.

    It is called by the client's constructor, which is guarded, so that the warning names whoever
    calls that.
    """
    unverified = None if tls is None else tls.unverified
    if unverified is not None:
        warnings.warn(
            f"TLS is not verified ({unverified.because}): whoever answers is sent every secret.",
            stacklevel=4,
        )
    return unverified
