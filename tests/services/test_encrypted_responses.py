"""The stored responses of idempotency keys are encrypted if a cipher is configured."""

from __future__ import annotations

import pytest

from moorage import ConfigurationError, InvalidData, Request, Response, Service, VendorRejected
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.domain.service.plan import Plan
from moorage.services.calling.answers import open_answer, seal_answer
from tests.support.modes import Harness, sync_and_async

CIPHER = AesGcmCipher(generate_keys())
BANK = Service("bank", base_url="https://bank.example", retry=None)
PAY = Request.post("/charges", json={"amount": 1})
SECRET_ANSWER = Response(200, {"X-Token": "told-token"}, b"told-body")


def stored_text(harness: Harness) -> str:
    """Return everything that was written to the store, as text."""
    return repr([getattr(command, "answer", None) for command in harness.store.commands])


@sync_and_async
async def test_encrypted_response_is_replayed(harness: Harness) -> None:
    """A repeated key replays its encrypted response, which cannot be read in the store."""
    harness.vendor.answers(SECRET_ANSWER)
    manager = harness.manager(BANK, state=harness.of_mode(harness.store), cipher=CIPHER)

    first = await manager.call("bank", PAY, idempotency_key="k")
    replayed_response = await manager.call("bank", PAY, idempotency_key="k")

    assert (False, True) == (first.replayed, replayed_response.replayed)
    assert first.body == replayed_response.body == b"told-body"
    assert "sealed" in stored_text(harness)
    assert "told" not in stored_text(harness)


@sync_and_async
async def test_encrypted_refusal_is_replayed(harness: Harness) -> None:
    """If a call with an idempotency key raised an error, a repeat decrypts and raises it again."""
    harness.vendor.answers(Response(400, {}, b'{"code": "told-code"}'))
    manager = harness.manager(BANK, state=harness.of_mode(harness.store), cipher=CIPHER)

    for is_replayed in (False, True):
        with pytest.raises(VendorRejected) as excinfo:
            await manager.call("bank", PAY, idempotency_key="k")
        assert ("told-code", is_replayed) == (excinfo.value.vendor_code, excinfo.value.replayed)
    assert "told" not in stored_text(harness)


@sync_and_async
async def test_unencrypted_answers_are_replayed_after_adding_a_cipher(harness: Harness) -> None:
    """Responses stored before a cipher was configured are still replayed."""
    harness.vendor.answers(SECRET_ANSWER)
    await harness.manager(BANK).call("bank", PAY, idempotency_key="k")

    replayed_response = await harness.manager(BANK, cipher=CIPHER).call(
        "bank", PAY, idempotency_key="k"
    )

    assert b"told-body" == replayed_response.body


@pytest.mark.parametrize("cipher", [None, AesGcmCipher(generate_keys())], ids=["none", "another"])
@sync_and_async
async def test_unreadable_answer_is_not_repeated(
    harness: Harness, cipher: AesGcmCipher | None
) -> None:
    """Without the encryption key, a repeated call raises an error and sends nothing."""
    harness.vendor.answers(SECRET_ANSWER)
    await harness.manager(BANK, cipher=CIPHER).call("bank", PAY, idempotency_key="k")

    with pytest.raises(ConfigurationError) as excinfo:
        await harness.manager(BANK, cipher=cipher).call("bank", PAY, idempotency_key="k")

    if cipher is None:
        assert "no cipher is configured to decrypt it" in excinfo.value.message
        assert "the same cipher" in excinfo.value.remedy
        assert "cipher" == excinfo.value.path
    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_older_key_decrypts(harness: Harness) -> None:
    """A response encrypted with an older key is replayed while that key is configured."""
    harness.vendor.answers(SECRET_ANSWER)
    older_ring = generate_keys()
    await harness.manager(BANK, cipher=AesGcmCipher(older_ring)).call(
        "bank", PAY, idempotency_key="k"
    )

    newer_cipher = AesGcmCipher(generate_keys(older_ring))
    replayed_response = await harness.manager(BANK, cipher=newer_cipher).call(
        "bank", PAY, idempotency_key="k"
    )

    assert b"told-body" == replayed_response.body


OTHER_ANSWERS = [
    Plan(BANK, "acme", None),
    Plan(Service("other", base_url="https://bank.example"), None, None),
]


@pytest.mark.parametrize(
    "plan, key", [*((plan, "k") for plan in OTHER_ANSWERS), (OTHER_ANSWERS[0], "k2")]
)
def test_encrypted_response_is_bound_to_its_key(plan: Plan, key: str) -> None:
    """A response encrypted for one tenant, service or key cannot be decrypted for another."""
    home_plan = Plan(BANK, None, None)
    stored_answer = seal_answer(CIPHER, home_plan, "k", ("value", SECRET_ANSWER))

    assert ("value", SECRET_ANSWER) == open_answer(CIPHER, home_plan, "k", stored_answer)
    with pytest.raises(InvalidData, match="belongs to another"):
        open_answer(CIPHER, plan, key, stored_answer)
    with pytest.raises(InvalidData, match="belongs to another"):
        open_answer(CIPHER, home_plan, "k2", stored_answer)


@sync_and_async
async def test_manual_resolution_is_encrypted(harness: Harness) -> None:
    """If an operator resolves an unknown outcome with a response, it is stored encrypted, too."""
    harness.vendor.answers(harness.never_answer())
    state = harness.of_mode(harness.store)
    manager = harness.manager(BANK, state=state, cipher=CIPHER)
    with pytest.raises(Exception, match="no response confirmed"):
        await manager.call("bank", PAY, idempotency_key="k")

    assert await manager.resolve_key("bank", "k", done=True, answer=SECRET_ANSWER)

    assert b"told-body" == (await manager.call("bank", PAY, idempotency_key="k")).body
    assert "sealed" in stored_text(harness)
    assert "told" not in stored_text(harness)


@sync_and_async
async def test_unstorable_value_is_returned_once(harness: Harness) -> None:
    """A function's result that cannot be stored is returned once, and not replayed."""
    manager = harness.watched(Service("bank"), cipher=CIPHER)

    async def perform_effect() -> object:
        return object()

    assert type(await manager.run("bank", perform_effect, idempotency_key="k")) is object
    with pytest.raises(InvalidData):
        await manager.run("bank", perform_effect, idempotency_key="k")
    assert "AnswerNotStored" in harness.event_names()
