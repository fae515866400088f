"""Payments with an unknown outcome whose requests or responses are stored encrypted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.audit.file import FileAudit
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.contracts.payments import Charge, Money, NextStep
from moorage.domain.observation.audit import AuditQuery
from moorage.errors import (
    ConfigurationError,
    ConnectionFailed,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
)
from moorage.hub.audit import AuditTrail
from moorage.testing.sandboxes.base import Lost
from tests.contracts.unsettled_harness import (
    KEY,
    ORDER,
    WAIT,
    DyingStore,
    KilledError,
    PaymentsHarness,
)

if TYPE_CHECKING:
    from pathlib import Path

ANOTHER = Charge(Money("30.00", "EUR"), "pm_card_visa", reference="INV-8")


def test_sealed_payments_need_their_cipher() -> None:
    """An encrypted payment can be read and settled only with its cipher."""
    harness = PaymentsHarness()
    cipher = AesGcmCipher(generate_keys())
    with harness.hub(cipher=cipher) as hub, harness.hub() as other_hub:
        harness.lose(hub)
        harness.clock.advance(WAIT)
        (seen_payment,) = hub.unsettled_payments()
        (sealed_payment,) = other_hub.unsettled_payments()
        assert (NextStep.ASK_AGAIN, "INV-7") == (seen_payment.next, seen_payment.reference)
        assert (NextStep.CIPHER, None, None) == (
            sealed_payment.next,
            sealed_payment.reference,
            sealed_payment.amount,
        )
        assert [] == other_hub.settle_payments()
        with pytest.raises(ConfigurationError, match="cannot be read here"):
            other_hub.settle_payment(KEY)
        hub.close_payment(KEY, done=True)
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed
        with pytest.raises(InvalidData, match="no cipher"):
            other_hub.payments().charge(ORDER, idempotency_key=KEY)


@pytest.mark.parametrize("cipher", [None, AesGcmCipher(generate_keys())])
@pytest.mark.parametrize("done", [True, False])
def test_sealed_payment_is_closed_only_with_its_cipher(
    cipher: AesGcmCipher | None, done: bool
) -> None:
    """An encrypted payment cannot be closed without its cipher, and the error names the remedy."""
    harness = PaymentsHarness()
    dying_store: Any = DyingStore(harness.state, "UnregisterOperation", "unsettled")
    writer = {"cipher": AesGcmCipher(generate_keys())}
    with harness.hub(**writer) as hub, harness.hub(cipher=cipher) as other_hub:
        with pytest.raises(KilledError):
            harness.hub(**writer, state=dying_store).payments().charge(ORDER, idempotency_key=KEY)
        harness.clock.advance(WAIT)
        with pytest.raises(ConfigurationError, match="cannot be read here") as excinfo:
            other_hub.close_payment(KEY, done=done, receipt="pi_1" if done else None)
        assert ("cipher", True) == (excinfo.value.path, "[cipher]" in excinfo.value.remedy)
        assert [KEY] == [payment.idempotency_key for payment in hub.unsettled_payments()]
        with pytest.raises(InvalidData, match=("The vendor's stored response confirms that this")):
            hub.close_payment(KEY, done=False)
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed


def test_payment_with_a_sealed_answer_is_not_closed_without_its_cipher() -> None:
    """A readable payment with an encrypted answer cannot be closed without the cipher."""
    harness = PaymentsHarness()
    dying_store: Any = DyingStore(harness.state, "UnregisterOperation", "unsettled")
    cipher = AesGcmCipher(generate_keys())
    with harness.hub() as hub:
        with pytest.raises(KilledError):
            harness.hub(cipher=cipher, state=dying_store).payments().charge(
                ORDER, idempotency_key=KEY
            )
        with pytest.raises(ConfigurationError, match="no cipher"):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        harness.clock.advance(WAIT)
        with pytest.raises(ConfigurationError, match="no cipher"):
            hub.close_payment(KEY, done=False)
        assert [KEY] == [payment.idempotency_key for payment in hub.unsettled_payments()]


class PartialCipher:
    """A cipher that can encrypt everything except the answers of payments."""

    def seal(self, plain: bytes, about: bytes, /) -> bytes:
        """Encrypt the text, or raise an error if the text is the response to a payment."""
        if b"pi_" in plain:
            raise InvalidData(f"{about!r} is too long.")
        return plain

    def open(self, sealed: bytes, about: bytes, /) -> bytes:
        """Return the text unchanged."""
        assert about
        return sealed


def test_payment_whose_answer_was_not_stored_is_not_closed_as_not_done() -> None:
    """A completed payment cannot be closed as not done, even if its receipt was not stored."""
    harness = PaymentsHarness()
    dying_store: Any = DyingStore(harness.state, "UnregisterOperation", "unsettled")
    cipher: Any = PartialCipher()
    with harness.hub(cipher=cipher) as hub:
        with pytest.raises(KilledError):
            harness.hub(cipher=cipher, state=dying_store).payments().charge(
                ORDER, idempotency_key=KEY
            )
        harness.clock.advance(WAIT)
        with pytest.raises(InvalidData, match="succeeded earlier"):
            hub.close_payment(KEY, done=False)
        assert [KEY] == [payment.idempotency_key for payment in hub.unsettled_payments()]
        assert 1 == len(harness.stripe.charges)


REASON = "The disk with the keys burnt; looked up on the vendor's page."


@pytest.mark.parametrize("cipher", [None, AesGcmCipher(generate_keys())])
def test_payment_whose_keys_are_lost_is_closed_as_done(
    cipher: AesGcmCipher | None, tmp_path: Path
) -> None:
    """With `keys_lost` a payment is closed as done, and repeats with its key get the receipt."""
    harness = PaymentsHarness()
    trail = AuditTrail(FileAudit(tmp_path / "trail"))
    with (
        harness.hub(cipher=AesGcmCipher(generate_keys())) as writer,
        harness.hub(cipher=cipher, audit=trail) as hub,
    ):
        harness.lose(writer)
        harness.clock.advance(WAIT)
        (payment,) = hub.unsettled_payments()
        assert (NextStep.CIPHER, False) == (payment.next, payment.is_readable)
        (vendor_id,) = harness.stripe.intents
        with pytest.raises(ConfigurationError, match="cannot be read here") as excinfo:
            hub.close_payment(KEY, done=True, receipt=vendor_id)
        assert "keys_lost=True" in excinfo.value.remedy
        with pytest.raises(InvalidData, match="without a reason"):
            hub.close_payment(KEY, done=True, receipt=vendor_id, keys_lost=True, reason=" ")
        with pytest.raises(InvalidData, match="cannot be looked up"):
            hub.close_payment(KEY, done=True, keys_lost=True, reason=REASON)
        hub.close_payment(KEY, done=True, receipt=vendor_id, keys_lost=True, reason=REASON)
        repeated = hub.payments().charge(ORDER, idempotency_key=KEY)
        assert (vendor_id, True) == (repeated.ref.id, repeated.replayed)
        assert ([], 1) == (hub.unsettled_payments(), len(harness.stripe.charges))
        with pytest.raises(IdempotencyConflict):
            hub.payments().charge(ANOTHER, idempotency_key=KEY)
        (record,) = trail.find(AuditQuery(act="payment.close")).items
        assert (REASON, '{"done": true, "keys_lost": true}') == (record.reason, record.after)


def test_payment_whose_keys_are_lost_is_closed_as_not_done() -> None:
    """With `keys_lost` a payment closed as not done can be sent again with the same key."""
    harness = PaymentsHarness()
    with harness.hub(cipher=AesGcmCipher(generate_keys())) as writer, harness.hub() as hub:
        harness.lose(writer)
        with pytest.raises(IdempotencyInProgress):
            hub.close_payment(KEY, done=False, keys_lost=True, reason=REASON)
        harness.clock.advance(WAIT)
        hub.close_payment(KEY, done=False, keys_lost=True, reason=REASON)
        receipt = hub.payments().charge(ORDER, idempotency_key=KEY)
        assert (False, 1) == (receipt.replayed, len(harness.stripe.charges))


@pytest.mark.parametrize("operation", ["capture", "void", "refund"])
def test_effect_on_a_payment_whose_keys_are_lost_is_closed_by_an_id(operation: str) -> None:
    """With `keys_lost`, a capture or void is closed by the payment's id, a refund by its own id."""
    harness = PaymentsHarness()
    with harness.hub(cipher=AesGcmCipher(generate_keys())) as writer, harness.hub() as hub:
        begin = writer.payments().charge if operation == "refund" else writer.payments().authorize
        ref = begin(ORDER, idempotency_key=KEY).ref
        harness.stripe.fail(Lost())
        with pytest.raises(ConnectionFailed):
            getattr(writer.payments(), operation)(ref, idempotency_key="second")
        harness.clock.advance(WAIT)
        receipt = ref.id if operation != "refund" else next(iter(harness.stripe.refunds))
        hub.close_payment("second", done=True, receipt=receipt, keys_lost=True, reason=REASON)
        repeated = getattr(hub.payments(), operation)(ref, idempotency_key="second")
        assert (receipt, ref.id, True) == (
            repeated.ref.id,
            repeated.payment.id,
            repeated.replayed,
        )


@pytest.mark.parametrize("done", [True, False])
def test_payment_that_can_be_decrypted_cannot_be_closed_with_keys_lost(done: bool) -> None:
    """A payment that can be decrypted cannot be closed with `keys_lost`."""
    harness = PaymentsHarness()
    with harness.hub(cipher=AesGcmCipher(generate_keys())) as hub:
        harness.lose(hub)
        harness.clock.advance(WAIT)
        with pytest.raises(InvalidData, match="its keys are not lost"):
            hub.close_payment(KEY, done=done, keys_lost=True, reason=REASON)
        assert [KEY] == [payment.idempotency_key for payment in hub.unsettled_payments()]


def test_payment_with_a_lost_answer_is_closed_as_not_done() -> None:
    """A payment whose encrypted response is lost can be closed as not done."""
    harness = PaymentsHarness()
    dying_store: Any = DyingStore(harness.state, "UnregisterOperation", "unsettled")
    writer = {"cipher": AesGcmCipher(generate_keys()), "state": dying_store}
    with harness.hub() as hub:
        with pytest.raises(KilledError):
            harness.hub(**writer).payments().charge(ORDER, idempotency_key=KEY)
        with pytest.raises(ConfigurationError, match="no cipher"):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        harness.clock.advance(WAIT)
        (payment,) = hub.unsettled_payments()
        assert (True, "20.00 EUR") == (payment.is_readable, str(payment.amount))
        hub.close_payment(KEY, done=False, keys_lost=True, reason=REASON)
        assert [] == hub.unsettled_payments()
