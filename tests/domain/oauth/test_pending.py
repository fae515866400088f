"""Pending OAuth consents, and how they are stored until the user returns."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from moorage import InvalidData, PendingConsent
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from tests.support.frames import is_of_moorage

ENDS = datetime(2030, 1, 1, tzinfo=UTC)
WHOLE_CONSENT = PendingConsent(
    state="st4te",
    code_verifier="v3rifier",
    redirect_uri="https://erp.example/callback",
    client_id="erp",
    issuer="https://login.example",
    scope=("openid", "read"),
    nonce="n0nce",
    expires_at=ENDS,
)
LEAST_CONSENT = PendingConsent(
    state="st4te", code_verifier="v", redirect_uri="app.erp:/", client_id="erp", expires_at=ENDS
)


@pytest.mark.parametrize("pending", [WHOLE_CONSENT, LEAST_CONSENT])
def test_pending_consent_survives_storage_as_json(pending: PendingConsent) -> None:
    """A pending consent is unchanged after it was stored as JSON in a session."""
    assert pending == PendingConsent.from_table(json.loads(json.dumps(pending.table())))


def test_pending_consent_survives_storage_in_an_encrypted_cookie() -> None:
    """A pending consent is unchanged after it was stored in an encrypted cookie."""
    cipher = AesGcmCipher(generate_keys())
    text = WHOLE_CONSENT.sealed(cipher)

    assert WHOLE_CONSENT == PendingConsent.unsealed(text, cipher)
    assert text.isascii()
    assert not {"+", "/", " ", ";"} & set(text)


def test_repr_shows_no_secret() -> None:
    """The repr of a pending consent contains none of its secrets."""
    for secret in ("st4te", "v3rifier", "n0nce"):
        assert secret not in repr(WHOLE_CONSENT)


def test_scope_in_pending_consent_table_may_be_one_space_separated_text() -> None:
    """The scope in a pending consent's table may be one space-separated text."""
    assert ("a", "b") == PendingConsent.from_table({**LEAST_CONSENT.table(), "scope": "a b"}).scope


@pytest.mark.parametrize(
    "changes",
    [
        {"state": None},
        {"state": 7},
        {"redirect_uri": ""},
        {"client_id": 7},
        {"issuer": 7},
        {"scope": [7]},
        {"scope": 7},
        {"expires_at": "soon"},
        {"expires_at": "2030-01-01T00:00:00"},
        {"expires_at": 7},
        {"more": "x"},
    ],
)
def test_table_that_is_not_a_pending_consent_is_refused(changes: dict[str, Any]) -> None:
    """A table that is not a pending consent is refused, without secrets in any traceback frame."""
    with pytest.raises(InvalidData) as excinfo:
        PendingConsent.from_table({**WHOLE_CONSENT.table(), **changes})

    trace = excinfo.value.__traceback__
    while trace is not None:
        if is_of_moorage(trace.tb_frame.f_code.co_filename):
            assert "v3rifier" not in repr(trace.tb_frame.f_locals)
        trace = trace.tb_next
    with pytest.raises(InvalidData):
        PendingConsent.from_table([])  # type: ignore[arg-type]  # what a caller may do


@pytest.mark.parametrize("text", ["", "x", "äöü", "AAAA", None])
def test_pending_consent_encrypted_by_another_key_is_refused(text: Any) -> None:
    """A pending consent that another key encrypted is refused."""
    with pytest.raises(InvalidData):
        PendingConsent.unsealed(text, AesGcmCipher(generate_keys()))


def test_expiry_is_read_in_utc() -> None:
    """A pending consent's expiry in any time zone is read in UTC."""
    other_zone_end = ENDS.astimezone(timezone(timedelta(hours=2)))
    same_consent = PendingConsent.from_table(
        {**LEAST_CONSENT.table(), "expires_at": other_zone_end.isoformat()}
    )

    assert LEAST_CONSENT == same_consent
    assert UTC is same_consent.expires_at.tzinfo
