"""The idempotency part: one effect per idempotency key, and its stored result."""

import itertools
import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from moorage import (
    ConfigurationError,
    Idempotency,
    IdempotencyConflict,
    InvalidData,
    OutcomeUnknown,
    PaymentDeclined,
)
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.idempotency.claims import WriteRecordOnce
from tests.parts.idempotent_shop import BOTH, EVERY_USE, USES, Shop, call_once, keeper
from tests.parts.ways_of_use import Clock, EventLog, FunctionFailure, PlainStore, as_async, run


@EVERY_USE
def test_repeated_key_gets_equal_result_without_calling_function_again(
    use: Callable[..., Any],
) -> None:
    """A repeated idempotency key gets an equal result without calling the function again."""
    part, shop = keeper(), Shop()

    first = use(part, "INV-1", shop.sell, "tea")
    repeated_answers = [use(part, "INV-1", shop.sell, "tea") for use in USES]

    assert [first] * len(USES) == repeated_answers
    assert [("tea", 1)] == shop.effects
    assert first != use(part, "INV-2", shop.sell, "milk")


@EVERY_USE
@pytest.mark.parametrize("answer", [None, 0, "", Decimal("1.10"), {"a": {1, 2}}, b"x"], ids=repr)
def test_falsy_results_are_stored(use: Callable[..., Any], answer: Any) -> None:
    """False and empty results are stored, and returned to repeats unchanged."""
    part, calls = keeper(), itertools.count()

    def give() -> Any:
        next(calls)
        return answer

    assert [answer, answer] == [use(part, "k", give), use(part, "k", give)]
    assert 1 == next(calls)


@BOTH
def test_result_is_marked_as_replayed(use: Callable[..., Any]) -> None:
    """`answer` shows whether its value is the first result or a replay."""
    part, shop, recorder = keeper(), Shop(), EventLog()

    def answer() -> Any:
        if use is call_once:
            return part.answer("k", shop.sell, payload=1)
        return run(part.aanswer("k", as_async(shop.sell), payload=1))

    assert [False, True, True] == [answer().replayed for _ in range(3)]
    assert [] == recorder


@EVERY_USE
def test_answers_are_not_shared(use: Callable[..., Any]) -> None:
    """If a caller changes its result, other callers of the idempotency key get the original."""
    part, shop = keeper(), Shop()

    for _ in range(3):
        answer = use(part, "k", shop.sell)
        assert {"item": "tea", "amount": 1, "lines": ["tea"]} == answer
        answer["lines"].append("spilt")
        del answer["item"]


@EVERY_USE
def test_another_payload_is_a_conflict(use: Callable[..., Any]) -> None:
    """A key with another payload is refused, whether its first call succeeded or failed."""
    part, shop = keeper(nothing_done=KeyError), Shop()

    for key, fails in {"done": None, "unknown": FunctionFailure(), "free": KeyError()}.items():
        shop.fails = fails
        if fails is None:
            use(part, key, shop.sell, "tea")
        else:
            with pytest.raises(type(fails)):
                use(part, key, shop.sell, "tea")
        for other_payload in ("milk", 1, None):
            with pytest.raises(IdempotencyConflict) as excinfo:
                use(part, key, shop.sell, other_payload)
            assert ("idempotency", False) == (excinfo.value.service, excinfo.value.retryable)
    assert 3 == len(shop.effects)


def test_another_payload_is_refused_during_the_first_call() -> None:
    """An idempotency key with another payload is refused while the first call is still running."""
    part, shop = keeper(), Shop()

    def perform_effect() -> str:
        with pytest.raises(IdempotencyConflict):
            part.call("k", shop.sell, "milk")
        return "tea"

    assert "tea" == part.call("k", perform_effect)
    assert [] == shop.effects


@EVERY_USE
def test_final_refusals_are_stored(use: Callable[..., Any]) -> None:
    """A final rejection is stored, and raised for repeats without another call."""
    part, shop = keeper(), Shop()
    shop.fails = PaymentDeclined("no funds", vendor_code="51")

    errors: list[PaymentDeclined] = []
    for _ in range(3):
        with pytest.raises(PaymentDeclined) as excinfo:
            use(part, "k", shop.sell)
        errors.append(excinfo.value)
        excinfo.value.add_note("mine")

    assert 1 == len(shop.effects)
    assert [False, True, True] == [error.replayed for error in errors]
    assert ["51"] * 3 == [error.vendor_code for error in errors]
    assert [["mine"]] * 3 == [error.__notes__ for error in errors]


@EVERY_USE
@pytest.mark.parametrize("key", ["", " k", "k ", "a\nb", "ü", "k" * 256, None, 7, b"k"], ids=repr)
def test_invalid_keys_are_refused(use: Callable[..., Any], key: Any) -> None:
    """An invalid idempotency key is refused, and the error names the argument."""
    part, shop = keeper(), Shop()

    with pytest.raises(InvalidData) as excinfo:
        use(part, key, shop.sell)
    with pytest.raises(InvalidData):
        part.resolve(key, done=False)

    assert "idempotency_key" == excinfo.value.field
    assert [] == shop.effects


def test_a_payload_can_be_compared() -> None:
    """A payload that cannot be fingerprinted is refused."""
    part, shop = keeper(), Shop()

    with pytest.raises(InvalidData) as excinfo:
        part.call("k", shop.sell, object())  # type: ignore[arg-type]  # refused

    assert ("payload", []) == (excinfo.value.field, shop.effects)


@BOTH
def test_key_can_be_used_for_another_call_after_its_time_to_live(use: Callable[..., Any]) -> None:
    """After its time to live, an idempotency key can be used for another call."""
    clock, shop = Clock(), Shop()
    part = keeper(clock, ttl=timedelta(hours=1), timeout=timedelta(seconds=10))

    for expected, wait in ((1, 3_599), (1, 1), (2, 0)):
        use(part, "k", shop.sell)
        assert expected == len(shop.effects)
        clock.advance(wait)


def test_answers_may_be_encoded() -> None:
    """A host can set how results are encoded and decoded for the store."""
    part = keeper(encode=json.dumps, decode=json.loads)
    options: Any = (1, 2)

    assert options == part.call("k", lambda: options)
    assert [1, 2] == part.call("k", lambda: options)


@BOTH
def test_an_answer_that_cannot_be_stored_is_not_repeated(use: Callable[..., Any]) -> None:
    """If a result cannot be stored, the first caller gets it, and repeats get an error."""
    recorder, shop = EventLog(), Shop()
    part = keeper(encode=json.dumps, observers=[recorder], name="v")

    def perform_effect() -> Decimal:
        shop.sell()
        return Decimal(1)

    assert Decimal(1) == use(part, "k", perform_effect)
    with pytest.raises(InvalidData, match="succeeded earlier"):
        use(part, "k", perform_effect)

    assert 1 == len(shop.effects)
    stored_events = [event for event in recorder if type(event).__name__ == "AnswerNotStored"]
    assert [("v", "k")] == [(event.service, event.idempotency_key) for event in stored_events]
    assert "IdempotencyReplayed" == recorder.kinds()[-1]


def test_nothing_runs_without_the_store() -> None:
    """If the store is unavailable, the function is not called."""
    store, shop = PlainStore(), Shop()
    store.away = True

    with pytest.raises(Exception, match="away") as excinfo:
        Idempotency(storage=store).call("k", shop.sell)

    assert "StorageUnavailable" == type(excinfo.value).__name__
    assert [] == shop.effects


def test_names_keep_keys_apart() -> None:
    """Parts with different names do not share keys; parts with one name and store do."""
    store, shop = PlainStore(), Shop()
    first, second, other_idempotency = (
        Idempotency(name=name, storage=store) for name in ("a", "a", "b")
    )

    for part in (first, second, other_idempotency):
        part.call("k", shop.sell)

    assert 2 == len(shop.effects)


CIPHER = AesGcmCipher(generate_keys())


def test_cipher_encrypts_stored_answers() -> None:
    """A repeated key gets its result, even if the store contains the result only encrypted."""
    shop, store, seen_answers = Shop(), MemoryStorage(), list[str]()

    class RecordingStore:
        """A store that records its commands."""

        def execute(self, command: Any, /, timeout: float | None = None) -> Any:
            seen_answers.append(repr(getattr(command, "answer", None)))
            return store.execute(command, timeout)

        def post(self, command: Any, /) -> None:
            store.post(command)

    def part(cipher: AesGcmCipher | None) -> Idempotency:
        return Idempotency(storage=RecordingStore(), cipher=cipher)

    sold_item = part(CIPHER).call("k", shop.sell, "told-tea")
    assert sold_item == part(CIPHER).call("k", shop.sell, "told-tea")
    shop.fails = ValueError("lost")
    with pytest.raises(ValueError, match="lost"):
        part(CIPHER).call("k2", shop.sell)
    assert part(CIPHER).resolve("k2", done=True, answer="told-answer")
    value: object = part(CIPHER).call("k2", shop.sell)
    assert "told-answer" == value

    assert 2 == len(shop.effects)
    assert any("sealed" in result for result in seen_answers)
    assert "told" not in repr(seen_answers)
    for other_cipher in (None, AesGcmCipher(generate_keys())):
        with pytest.raises(ConfigurationError):
            part(other_cipher).call("k2", shop.sell)


@BOTH
def test_stored_answer_is_found_without_a_call(use: Callable[..., Any]) -> None:
    """A lookup returns the stored result of a key, and changes nothing for other keys."""
    part, shop = keeper(), Shop()

    def stored_answer(key: str, **payload: Any) -> Any:
        return (
            part.stored(key, **payload) if use is call_once else run(part.astored(key, **payload))
        )

    assert stored_answer("INV-1") is None
    sale = part.answer("INV-1", shop.sell, payload=None).value
    answer = stored_answer("INV-1")

    assert (sale, True) == (answer.value, answer.replayed)
    assert 1 == len(shop.effects)
    with pytest.raises(IdempotencyConflict):
        stored_answer("INV-1", payload="another")


@BOTH
def test_answer_is_stored_without_a_call(use: Callable[..., Any]) -> None:
    """A result that the caller stores is replayed later; an existing result is kept."""
    part, shop = keeper(cipher=AesGcmCipher(generate_keys())), Shop()

    def store(key: str, answer: Any, **payload: Any) -> tuple[Any, bool]:
        is_sync = use is call_once
        answered = (
            part.store(key, answer, **payload)
            if is_sync
            else run(part.astore(key, answer, **payload))
        )
        return answered.value, answered.replayed

    assert ("found", False) == store("INV-1", "found")
    assert ("found", True) == store("INV-1", "another")
    replayed: Any = part.answer("INV-1", shop.sell, payload=None).value
    assert "found" == replayed
    assert [] == shop.effects
    with pytest.raises(IdempotencyConflict):
        store("INV-1", "another", payload=["another"])


@BOTH
def test_second_writer_of_an_equal_result_is_told_so(use: Callable[..., Any]) -> None:
    """Of two callers that store equal results, only the first learns that it stored one."""
    parts = [keeper(storage=storage) for storage in [MemoryStorage()] * 2]

    results = [
        part.store("INV-1", "paid") if use is call_once else run(part.astore("INV-1", "paid"))
        for part in parts
    ]

    assert [("paid", False), ("paid", True)] == [
        (result.value, result.replayed) for result in results
    ]


def test_repeated_command_recognises_its_own_record() -> None:
    """A store that repeats a command after a lost answer returns the same result."""
    storage = MemoryStorage()
    first, second = (
        WriteRecordOnce("a", "paid", fingerprint=b"", ttl=10**9, writer=writer) for writer in (1, 2)
    )

    commands = (first, first, second)
    assert [True, True, False] == [storage.execute(command, None).is_own for command in commands]


@BOTH
def test_equal_result_of_another_payload_is_a_conflict(use: Callable[..., Any]) -> None:
    """A result is not stored under a key with another payload, even if the results are equal."""
    part = keeper()

    def store(payload: object) -> Any:
        is_sync = use is call_once
        if is_sync:
            return part.store("INV-1", "paid", payload=payload)
        return run(part.astore("INV-1", "paid", payload=payload))

    store(["149.90", "EUR"])
    assert "paid" == store(["149.90", "EUR"]).value
    with pytest.raises(IdempotencyConflict):
        store(["1.00", "EUR"])


@BOTH
def test_look_up_of_a_lost_answer_settles_nothing(use: Callable[..., Any]) -> None:
    """After a call that failed midway, a look-up of its key reports an unknown outcome."""
    part, shop = keeper(), Shop()
    shop.fails = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        part.answer("INV-1", shop.sell, payload=None)
    with pytest.raises(OutcomeUnknown):
        part.stored("INV-1") if use is call_once else run(part.astored("INV-1"))
