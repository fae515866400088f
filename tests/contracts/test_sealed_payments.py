"""Payments with unknown outcomes whose requests or answers are encrypted."""

from __future__ import annotations

from typing import Any

import pytest

from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.contracts.payments import NextStep
from moorage.errors import ConfigurationError, InvalidData
from tests.contracts.unsettled_world import KEY, ORDER, WAIT, DyingStore, KilledError, PaymentsWorld


def test_sealed_payments_need_their_cipher() -> None:
    """An encrypted payment cannot be read without its cipher."""
    world = PaymentsWorld()
    cipher = AesGcmCipher(generate_keys())
    with world.hub(cipher=cipher) as hub, world.hub() as other_hub:
        world.lose(hub)
        world.clock.advance(WAIT)
        (seen_payment,) = hub.unsettled_payments()
        (blind,) = other_hub.unsettled_payments()
        assert (NextStep.ASK_AGAIN, "INV-7") == (seen_payment.next, seen_payment.reference)
        assert (NextStep.CIPHER, None, None) == (blind.next, blind.reference, blind.amount)
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
    """A hub that cannot read the stored evidence closes nothing, and says what it needs."""
    world = PaymentsWorld()
    dying_store: Any = DyingStore(world.state, "Strike", "unsettled")
    writer = {"cipher": AesGcmCipher(generate_keys())}
    with world.hub(**writer) as hub, world.hub(cipher=cipher) as other_hub:
        with pytest.raises(KilledError):
            world.hub(**writer, state=dying_store).payments().charge(ORDER, idempotency_key=KEY)
        world.clock.advance(WAIT)
        with pytest.raises(ConfigurationError, match="cannot be read here") as excinfo:
            other_hub.close_payment(KEY, done=done, receipt="pi_1" if done else None)
        assert ("cipher", True) == (excinfo.value.path, "[cipher]" in excinfo.value.remedy)
        assert [KEY] == [payment.idempotency_key for payment in hub.unsettled_payments()]
        with pytest.raises(InvalidData, match="says that it was done"):
            hub.close_payment(KEY, done=False)
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed


def test_payment_with_a_sealed_answer_is_not_closed_without_its_cipher() -> None:
    """An unsealed request proves nothing if the stored answer to it is sealed."""
    world = PaymentsWorld()
    dying_store: Any = DyingStore(world.state, "Strike", "unsettled")
    cipher = AesGcmCipher(generate_keys())
    with world.hub() as hub:
        with pytest.raises(KilledError):
            world.hub(cipher=cipher, state=dying_store).payments().charge(
                ORDER, idempotency_key=KEY
            )
        with pytest.raises(ConfigurationError, match="no cipher"):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        world.clock.advance(WAIT)
        with pytest.raises(ConfigurationError, match="no cipher"):
            hub.close_payment(KEY, done=False)
        assert [KEY] == [payment.idempotency_key for payment in hub.unsettled_payments()]


class Narrow:
    """A cipher that cannot encrypt the vendor's answers."""

    def seal(self, plain: bytes, about: bytes, /) -> bytes:
        """Encrypt the text, unless it is the answer of a payment."""
        if b"pi_" in plain:
            raise InvalidData(f"{about!r} is too long.")
        return plain

    def open(self, sealed: bytes, about: bytes, /) -> bytes:
        """Decrypt the text."""
        assert about
        return sealed


def test_payment_whose_answer_was_not_stored_is_not_closed_as_not_done() -> None:
    """The store knows that the payment was done, although it has no receipt."""
    world = PaymentsWorld()
    dying_store: Any = DyingStore(world.state, "Strike", "unsettled")
    cipher: Any = Narrow()
    with world.hub(cipher=cipher) as hub:
        with pytest.raises(KilledError):
            world.hub(cipher=cipher, state=dying_store).payments().charge(
                ORDER, idempotency_key=KEY
            )
        world.clock.advance(WAIT)
        with pytest.raises(InvalidData, match="happened"):
            hub.close_payment(KEY, done=False)
        assert [KEY] == [payment.idempotency_key for payment in hub.unsettled_payments()]
        assert 1 == len(world.stripe.charges)
