"""Idempotency on its own: one effect per key."""

import asyncio
import functools
import inspect
import itertools
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from mooring import (
    BulkheadFull,
    ConfigurationError,
    ConnectionFailed,
    Idempotency,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    OutcomeUnknown,
    PaymentDeclined,
    VendorFailed,
)
from mooring.adapters.aes_gcm import AesGcmCipher, generate_keys
from mooring.adapters.memory import MemoryStorage
from tests.parts import interrupted
from tests.parts.world import (
    PATIENCE,
    AsyncSleeper,
    Broken,
    Clock,
    DistantStore,
    PlainStore,
    Seen,
    crowd,
    later,
    run,
)


class Shop:
    """Something that is done, and counted."""

    def __init__(self) -> None:
        self.effects: list[Any] = []
        self.fails: BaseException | None = None

    def sell(self, item: str = "tea", *, amount: int = 1) -> dict[str, Any]:
        """Sell, and then perhaps fail."""
        self.effects.append((item, amount))
        if self.fails is not None:
            raise self.fails
        return {"item": item, "amount": amount, "lines": [item] * amount}


def called(part: Idempotency, key: str, function: Callable[..., Any], *args: Any) -> Any:
    """Use it as a call."""
    return part.call(key, function, *args)


def called_later(part: Idempotency, key: str, function: Callable[..., Any], *args: Any) -> Any:
    """Use it as a call that is awaited."""
    return run(part.call(key, later(function), *args))


def decorated(part: Idempotency, key: str, function: Callable[..., Any], *args: Any) -> Any:
    """Use it as a decorator."""
    return part(lambda *_: key)(function)(*args)


def decorated_later(part: Idempotency, key: str, function: Callable[..., Any], *args: Any) -> Any:
    """Use it as a decorator of what is awaited."""
    return run(part(lambda *_: key)(later(function))(*args))


def answered(part: Idempotency, key: str, function: Callable[..., Any], *args: Any) -> Any:
    """Ask for the answer with all that is known of it."""
    bound = functools.partial(function, *args)
    return part.answer(key, bound, payload=[[*args], {}]).value


def answered_later(part: Idempotency, key: str, function: Callable[..., Any], *args: Any) -> Any:
    """Ask for the answer with all that is known of it, awaited."""
    bound = functools.partial(later(function), *args)
    return run(part.aanswer(key, bound, payload=[[*args], {}])).value


USES = (called, called_later, decorated, decorated_later, answered, answered_later)
EVERY_USE = pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
BOTH = pytest.mark.parametrize("use", [called, called_later], ids=["plain", "awaited"])


def keeper(clock: Clock | None = None, **options: Any) -> Idempotency:
    """A part whose waits pass at once."""
    clock = clock or Clock()
    return Idempotency(clock=clock, sleeper=clock, async_sleeper=AsyncSleeper(clock), **options)


@EVERY_USE
def test_acts_once(use: Callable[..., Any]) -> None:
    """A repeat of the key gets an equal answer, and nothing is done again."""
    part, shop = keeper(), Shop()

    first = use(part, "INV-1", shop.sell, "tea")
    again = [use(part, "INV-1", shop.sell, "tea") for use in USES]

    assert [first] * len(USES) == again
    assert [("tea", 1)] == shop.effects
    assert first != use(part, "INV-2", shop.sell, "milk")


@EVERY_USE
@pytest.mark.parametrize("answer", [None, 0, "", Decimal("1.10"), {"a": {1, 2}}, b"x"], ids=repr)
def test_any_answer_is_an_answer(use: Callable[..., Any], answer: Any) -> None:
    """Nothing and falsehoods are answers too, and come back as they were."""
    part, calls = keeper(), itertools.count()

    def give() -> Any:
        next(calls)
        return answer

    assert [answer, answer] == [use(part, "k", give), use(part, "k", give)]
    assert 1 == next(calls)


@BOTH
def test_says_whether_it_is_replayed(use: Callable[..., Any]) -> None:
    """A host can tell the first answer from a repeated one."""
    part, shop, seen = keeper(), Shop(), Seen()

    def answer() -> Any:
        if use is called:
            return part.answer("k", shop.sell, payload=1)
        return run(part.aanswer("k", later(shop.sell), payload=1))

    assert [False, True, True] == [answer().replayed for _ in range(3)]
    assert [] == seen


@EVERY_USE
def test_answers_are_nobody_elses(use: Callable[..., Any]) -> None:
    """Whatever a caller does to an answer, no other caller gets to see."""
    part, shop = keeper(), Shop()

    for _ in range(3):
        answer = use(part, "k", shop.sell)
        assert {"item": "tea", "amount": 1, "lines": ["tea"]} == answer
        answer["lines"].append("spilt")
        del answer["item"]


@EVERY_USE
def test_another_payload_is_a_conflict(use: Callable[..., Any]) -> None:
    """Done or failed, unknown or free: a key stands for one payload only."""
    part, shop = keeper(nothing_done=KeyError), Shop()

    for key, fails in {"done": None, "unknown": Broken(), "free": KeyError()}.items():
        shop.fails = fails
        if fails is None:
            use(part, key, shop.sell, "tea")
        else:
            with pytest.raises(type(fails)):
                use(part, key, shop.sell, "tea")
        for other in ("milk", 1, None):
            with pytest.raises(IdempotencyConflict) as caught:
                use(part, key, shop.sell, other)
            assert ("idempotency", False) == (caught.value.service, caught.value.retryable)
    assert 3 == len(shop.effects)


def test_another_payload_is_a_conflict_while_it_acts() -> None:
    """Nor does a payload change while the first is under way."""
    part, shop = keeper(), Shop()

    def act() -> str:
        with pytest.raises(IdempotencyConflict):
            part.call("k", shop.sell, "milk")
        return "tea"

    assert "tea" == part.call("k", act)
    assert [] == shop.effects


@EVERY_USE
def test_an_error_proves_nothing(use: Callable[..., Any]) -> None:
    """After an error of which nobody knows what was done, a repeat is told to look."""
    part, shop = keeper(), Shop()
    shop.fails = Broken("the line went dead")

    with pytest.raises(Broken) as first:
        use(part, "INV-1", shop.sell)
    with pytest.raises(OutcomeUnknown):
        use(part, "INV-1", shop.sell)
    with pytest.raises(OutcomeUnknown) as caught:
        use(part, "INV-1", shop.sell)

    assert shop.fails is first.value
    assert 1 == len(shop.effects)
    assert ("INV-1", "the effect of key 'INV-1'") == (
        caught.value.idempotency_key,
        caught.value.lookup,
    )
    assert caught.value.request_id


@BOTH
@pytest.mark.parametrize("error", [VendorFailed("?"), ConnectionFailed("?")], ids=repr)
def test_an_error_of_ours_says_that_it_is_unknown_at_once(
    use: Callable[..., Any], error: Exception
) -> None:
    """Where we know that nobody knows, the first caller is told so."""
    part, shop = keeper(), Shop()
    shop.fails = error

    with pytest.raises(OutcomeUnknown) as caught:
        use(part, "k", shop.sell)

    assert error is caught.value.__cause__


@EVERY_USE
@pytest.mark.parametrize(
    "error",
    [BulkheadFull("?"), ConnectionFailed("?", may_have_been_processed=False), KeyError("?")],
    ids=repr,
)
def test_what_proves_that_nothing_was_done_frees_the_key(
    use: Callable[..., Any], error: Exception
) -> None:
    """A key is free again after an error which shows that there was no effect."""
    part, shop = keeper(nothing_done=(LookupError, ArithmeticError)), Shop()
    shop.fails = error

    for _ in range(2):
        with pytest.raises(type(error)):
            use(part, "k", shop.sell)
    shop.fails = None

    assert shop.sell() == use(part, "k", shop.sell)


def test_one_class_may_prove_it() -> None:
    """What proves that nothing was done may be given as one class."""
    part, shop = keeper(nothing_done=Broken), Shop()
    shop.fails = Broken()

    for _ in range(2):
        with pytest.raises(Broken):
            part.call("k", shop.sell)


@EVERY_USE
def test_a_refusal_is_an_answer(use: Callable[..., Any]) -> None:
    """What was refused for good is refused again alike, by the store and not by asking."""
    part, shop = keeper(), Shop()
    shop.fails = PaymentDeclined("no funds", vendor_code="51")

    errors: list[PaymentDeclined] = []
    for _ in range(3):
        with pytest.raises(PaymentDeclined) as caught:
            use(part, "k", shop.sell)
        errors.append(caught.value)
        caught.value.add_note("mine")

    assert 1 == len(shop.effects)
    assert [False, True, True] == [error.replayed for error in errors]
    assert ["51"] * 3 == [error.vendor_code for error in errors]
    assert [["mine"]] * 3 == [error.__notes__ for error in errors]


@BOTH
def test_an_unknown_key_is_resolved_by_a_person(use: Callable[..., Any]) -> None:
    """Who has looked it up says what became of it: done, with its answer, or never done."""
    part, shop = keeper(), Shop()
    shop.fails = Broken()

    def resolve(key: str, **found: Any) -> bool:
        settled: bool = (
            part.resolve(key, **found) if use is called else run(part.aresolve(key, **found))
        )
        return settled

    for key in ("done", "never"):
        assert not resolve(key, done=False)
        with pytest.raises(Broken):
            use(part, key, shop.sell)
    shop.fails = None
    found = {"lines": ["found"]}

    assert resolve("done", done=True, answer=found)
    assert resolve("never", done=False)
    assert not resolve("done", done=False)

    found["lines"].append("changed since")
    assert {"lines": ["found"]} == use(part, "done", shop.sell)
    assert shop.sell() == use(part, "never", shop.sell)
    assert 4 == len(shop.effects)


@EVERY_USE
@pytest.mark.parametrize("key", ["", " k", "k ", "a\nb", "ü", "k" * 256, None, 7, b"k"], ids=repr)
def test_a_key_is_a_key(use: Callable[..., Any], key: Any) -> None:
    """What cannot be a key is refused by name, never taken for no protection."""
    part, shop = keeper(), Shop()

    with pytest.raises(InvalidData) as caught:
        use(part, key, shop.sell)
    with pytest.raises(InvalidData):
        part.resolve(key, done=False)

    assert "idempotency_key" == caught.value.field
    assert [] == shop.effects


def test_a_payload_can_be_compared() -> None:
    """A payload that could not be told from another is refused."""
    part, shop = keeper(), Shop()

    with pytest.raises(InvalidData) as caught:
        part.call("k", shop.sell, object())  # type: ignore[arg-type]

    assert ("payload", []) == (caught.value.field, shop.effects)


@BOTH
def test_answers_live_as_long_as_told(use: Callable[..., Any]) -> None:
    """When an answer has lived its time, the key is as good as new."""
    clock, shop = Clock(), Shop()
    part = keeper(clock, ttl=timedelta(hours=1), timeout=timedelta(seconds=10))

    for expected, wait in ((1, 3_599), (1, 1), (2, 0)):
        use(part, "k", shop.sell)
        assert expected == len(shop.effects)
        clock.advance(wait)


def test_a_holder_that_is_gone_holds_nobody_up_for_long() -> None:
    """After the time that acting may take, a key whose holder is silent is unknown."""
    clock, shop = Clock(), Shop()
    part = keeper(clock, timeout=30)

    def act() -> dict[str, Any]:
        clock.advance(34)
        asked = clock.nanoseconds()
        with pytest.raises(OutcomeUnknown):
            part.call("k", shop.sell)
        assert 1 <= (clock.nanoseconds() - asked) / 1e9 < 1.25
        return {"late": True}

    assert {"late": True} == part.call("k", act)
    assert {"late": True} == part.call("k", shop.sell)
    assert [] == shop.effects


@BOTH
def test_a_repeat_waits_as_long_as_it_may(use: Callable[..., Any]) -> None:
    """While the first acts, a repeat waits for its answer, up to its own deadline."""
    clock = Clock()
    part = keeper(clock, timeout=2)

    def act() -> float:
        with pytest.raises(IdempotencyInProgress) as caught:
            use(part, "k", int)
        assert ("idempotency", True) == (caught.value.service, caught.value.retryable)
        return sum(clock.slept)

    assert 1.5 < use(part, "k", act) < 2
    assert max(clock.slept) <= 0.25


@BOTH
def test_what_knows_keys_is_asked_again(use: Callable[..., Any]) -> None:
    """What honours the key itself is called again with it, for as long as it remembers."""
    clock, shop = Clock(), Shop()
    part = keeper(clock, remembered=timedelta(minutes=10))
    shop.fails = ConnectionFailed("the line went dead")

    for _ in range(2):
        with pytest.raises(ConnectionFailed):
            use(part, "k", shop.sell)
    clock.advance(601)
    shop.fails = None
    with pytest.raises(OutcomeUnknown):
        use(part, "k", shop.sell)

    assert 2 == len(shop.effects)


def test_who_was_overtaken_gets_the_answer_that_counts() -> None:
    """A holder that outlived its lease cannot overwrite what another has done since."""
    clock = Clock()
    part = keeper(clock, timeout=30, remembered=600)

    def act() -> str:
        clock.advance(36)
        assert "second" == part.call("k", lambda: "second")
        return "first"

    assert "second" == part.call("k", act)


def test_threads_that_race_get_one_effect() -> None:
    """Of 32 threads with one key one acts, and all get its answer, each its own copy."""
    part, shop, arrived = Idempotency(), Shop(), threading.Semaphore(0)

    def act() -> dict[str, Any]:
        for _ in range(32):
            assert arrived.acquire(timeout=PATIENCE)
        return shop.sell()

    def visit(_: int) -> dict[str, Any]:
        arrived.release()
        return part.call("k", act)

    answers = crowd(32, visit)

    assert [{"item": "tea", "amount": 1, "lines": ["tea"]}] * 32 == answers
    assert 32 == len({id(answer) for answer in answers})
    assert 1 == len(shop.effects)


@pytest.mark.parametrize("store", [None, DistantStore()], ids=["near", "distant"])
def test_tasks_that_race_get_one_effect(store: DistantStore | None) -> None:
    """The same of 32 tasks."""
    part, shop = Idempotency(storage=store), Shop()

    async def act() -> dict[str, Any]:
        for _ in range(10):
            await asyncio.sleep(0)
        return shop.sell()

    async def race() -> list[dict[str, Any]]:
        asked = (part.call("k", act) for _ in range(32))
        return await asyncio.wait_for(asyncio.gather(*asked), PATIENCE)

    answers = asyncio.run(race())

    assert [{"item": "tea", "amount": 1, "lines": ["tea"]}] * 32 == answers
    assert 32 == len({id(answer) for answer in answers})
    assert 1 == len(shop.effects)


@pytest.mark.parametrize("store", [None, DistantStore], ids=["near", "distant"])
def test_a_cancelled_task_frees_the_key_or_makes_it_unknown(
    store: type[DistantStore] | None,
) -> None:
    """Wherever a task is cancelled: nothing was done and the key is free, or it is unknown."""

    async def cancel(steps: int) -> bool:
        part, shop = Idempotency(storage=store() if store else None), Shop()

        async def act() -> dict[str, Any]:
            await asyncio.sleep(0)
            answer = shop.sell()
            await asyncio.sleep(0)
            return answer

        task = asyncio.ensure_future(part.call("k", act))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        begun = len(shop.effects)
        try:
            assert {"item": "tea", "amount": 1, "lines": ["tea"]} == await part.call("k", act)
        except OutcomeUnknown:
            assert task.cancelled()
        else:
            assert 1 == len(shop.effects)
        assert begun <= len(shop.effects) <= 1
        return task.cancelled()

    steps = 0
    while asyncio.run(cancel(steps)):
        steps += 1
    assert steps >= 3


@EVERY_USE
@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, SystemExit])
def test_an_interruption_makes_the_key_unknown(
    use: Callable[..., Any], error: type[BaseException]
) -> None:
    """Who is interrupted while acting may have acted."""
    part, shop = keeper(), Shop()
    shop.fails = error()

    with pytest.raises(error) as caught:
        use(part, "k", shop.sell)
    with pytest.raises(OutcomeUnknown):
        use(part, "k", shop.sell)

    assert shop.fails is caught.value


@pytest.mark.parametrize("use", [called, decorated, answered], ids=lambda use: use.__name__)
def test_the_end_of_an_iteration_passes_unharmed(use: Callable[..., Any]) -> None:
    """What ends an iteration comes out as it is."""
    shop = Shop()
    shop.fails = StopIteration()

    with pytest.raises(StopIteration) as caught:
        use(keeper(), "k", shop.sell)

    assert shop.fails is caught.value


def test_answers_may_be_encoded() -> None:
    """A host may say how its answers are stored, and how they are given back."""
    part = keeper(encode=json.dumps, decode=json.loads)
    given: Any = (1, 2)

    assert given == part.call("k", lambda: given)
    assert [1, 2] == part.call("k", lambda: given)


@BOTH
def test_an_answer_that_cannot_be_stored_is_not_repeated(use: Callable[..., Any]) -> None:
    """The first caller gets its answer all the same; a repeat learns that it happened."""
    seen, shop = Seen(), Shop()
    part = keeper(encode=json.dumps, observers=[seen], name="v")

    def act() -> Decimal:
        shop.sell()
        return Decimal(1)

    assert Decimal(1) == use(part, "k", act)
    with pytest.raises(InvalidData, match="happened"):
        use(part, "k", act)

    assert 1 == len(shop.effects)
    stored = [event for event in seen if type(event).__name__ == "AnswerNotStored"]
    assert [("v", "k")] == [(event.service, event.idempotency_key) for event in stored]  # type: ignore[attr-defined]
    assert "IdempotencyReplayed" == seen.kinds()[-1]


def test_a_store_that_is_away_protects_nobody() -> None:
    """Without its store nothing is done at all."""
    store, shop = PlainStore(), Shop()
    store.away = True

    with pytest.raises(Exception, match="away") as caught:
        Idempotency(storage=store).call("k", shop.sell)

    assert "StorageUnavailable" == type(caught.value).__name__
    assert [] == shop.effects


def test_names_keep_keys_apart() -> None:
    """One key under two names is two keys; parts of one name and store share theirs."""
    store, shop = PlainStore(), Shop()
    first, second, other = (Idempotency(name=name, storage=store) for name in ("a", "a", "b"))

    for part in (first, second, other):
        part.call("k", shop.sell)

    assert 2 == len(shop.effects)


class Till:
    """What methods are decorated in."""

    part = keeper()

    def __init__(self, number: int) -> None:
        self.number = number
        self.taken = 0

    @part(
        lambda till, reference, amount: f"{till.number}/{reference}", payload=lambda *call: call[1:]
    )
    def take(self, reference: str, amount: int) -> int:
        """Take that much."""
        self.taken += amount
        return self.taken

    @part(lambda till, reference: f"{till.number}/{reference}", payload=lambda *call: call[1:])
    async def give(self, reference: str) -> str:
        """Give it back."""
        self.taken = 0
        return reference


def test_methods_are_decorated() -> None:
    """A method's payload is what is made of its arguments; it looks as it did."""
    till, other = Till(1), Till(2)

    assert [5, 5] == [till.take("a", 5), till.take("a", 5)]
    assert 5 == other.take("a", 5)
    with pytest.raises(IdempotencyConflict):
        till.take("a", 6)
    assert ["b", "b"] == [run(till.give("b")), run(till.give("b"))]
    assert ("take", "Take that much.") == (Till.take.__name__, Till.take.__doc__)
    assert ["self", "reference", "amount"] == [*inspect.signature(Till.take).parameters]
    assert [False, True] == [inspect.iscoroutinefunction(f) for f in (Till.take, Till.give)]


def test_passes_arguments_on() -> None:
    """Every argument reaches the function, whatever it is called, and is part of the payload."""
    part = keeper()

    def tell(*args: Any, **kwargs: Any) -> Any:
        return [args, kwargs]

    given: Any = {"self": 3, "key": 4, "function": 5, "payload": 6}
    expected = [(1, 2), given]

    assert expected == part.call("a", tell, 1, 2, **given)
    assert expected == part(lambda *_, **__: "b")(tell)(1, 2, **given)
    assert expected == run(part.call("c", later(tell), 1, 2, **given))
    assert expected == run(part(lambda *_, **__: "d")(later(tell))(1, 2, **given))
    with pytest.raises(IdempotencyConflict):
        part.call("a", tell, 1, 2, **given | {"self": 0})


def generate() -> Iterator[int]:
    """Give one number."""
    yield 1


async def generate_later() -> AsyncIterator[int]:
    """Give one number, later."""
    yield 1


@pytest.mark.parametrize("function", [generate, generate_later])
def test_generators_are_refused(function: Callable[..., Any]) -> None:
    """A generator's body would run unprotected, so it is refused by name."""
    part = keeper()

    uses: list[Any] = [part(lambda: "k"), lambda function: part.call("k", function)]
    for use in uses:
        with pytest.raises(ConfigurationError, match="generate"):
            use(function)


def test_awaitables_are_refused_where_nothing_awaits() -> None:
    """A plain function that gives something to await is refused, and its coroutine closed."""
    part = keeper()
    coroutine = later(int)()

    with pytest.raises(ConfigurationError, match="awaitable"):
        _ = part.call("k", lambda: coroutine)

    assert inspect.CORO_CLOSED == inspect.getcoroutinestate(coroutine)


def test_what_ran_on_the_wrong_face_may_have_acted() -> None:
    """A plain function where all is awaited has run before that is known: the key is unknown."""
    part, shop = keeper(), Shop()
    plain: Any = shop.sell

    with pytest.raises(ConfigurationError, match="nothing to await"):
        run(part.aanswer("k", plain, payload=1))
    with pytest.raises(OutcomeUnknown):
        part.answer("k", shop.sell, payload=1)

    assert 1 == len(shop.effects)


@interrupted.UNTIDY
@pytest.mark.parametrize("use", [called, called_later], ids=lambda use: use.__name__)
def test_an_interruption_anywhere_leaves_no_claim(use: Callable[..., Any]) -> None:
    """Wherever an interruption strikes, nobody has to wait, and nothing is done twice."""
    outcomes: list[str] = []
    for point in itertools.count():
        part, shop = keeper(), Shop()
        use(part, "first", int)
        if not interrupted.at(point, functools.partial(use, part, "k", shop.sell)):
            break
        begun = len(shop.effects)
        try:
            use(part, "k", shop.sell)
            outcomes.append("replayed" if begun else "done")
        except OutcomeUnknown:
            outcomes.append("unknown")
        assert begun <= len(shop.effects) <= 1

    assert {"done", "unknown", "replayed"} >= set(outcomes) >= {"done", "unknown"}
    assert len(outcomes) > 50


@pytest.mark.parametrize("wrong", [5, None, "OSError", int, KeyboardInterrupt, (OSError, 5), [int]])
def test_refuses_what_is_no_exception(wrong: object) -> None:
    """What `nothing_done` cannot mean is refused when the part is made."""
    options: Any = {"nothing_done": wrong}
    with pytest.raises(ConfigurationError) as caught:
        Idempotency(**options)

    assert "nothing_done" == caught.value.path
    assert "exception type" in caught.value.remedy


async def translate(_: object) -> object:
    """Never awaited."""


@pytest.mark.parametrize("field", ["encode", "decode"])
@pytest.mark.parametrize("wrong", [5, None, translate])
def test_refuses_what_cannot_translate_an_answer(field: str, wrong: object) -> None:
    """What is no plain function is refused when the part is made, by the field's name."""
    options: Any = {field: wrong}
    with pytest.raises(ConfigurationError) as caught:
        Idempotency(**options)

    assert field == caught.value.path


CIPHER = AesGcmCipher(generate_keys())


def test_a_cipher_seals_what_is_stored() -> None:
    """A repeat gets the answer, also one given by hand; who reads the store sees neither."""
    shop, store, seen = Shop(), MemoryStorage(), list[str]()

    class Watched:
        """Shows what the store is told."""

        def execute(self, command: Any, /) -> Any:
            seen.append(repr(getattr(command, "answer", None)))
            return store.execute(command)

        def post(self, command: Any, /) -> None:
            store.post(command)

    def part(cipher: AesGcmCipher | None) -> Idempotency:
        return Idempotency(storage=Watched(), cipher=cipher)

    sold = part(CIPHER).call("k", shop.sell, "told-tea")
    assert sold == part(CIPHER).call("k", shop.sell, "told-tea")
    shop.fails = ValueError("lost")
    with pytest.raises(ValueError, match="lost"):
        part(CIPHER).call("k2", shop.sell)
    assert part(CIPHER).resolve("k2", done=True, answer="told-answer")
    given: object = part(CIPHER).call("k2", shop.sell)
    assert "told-answer" == given

    assert 2 == len(shop.effects)
    assert any("sealed" in told for told in seen)
    assert "told" not in repr(seen)
    for other in (None, AesGcmCipher(generate_keys())):
        with pytest.raises(ConfigurationError):
            part(other).call("k2", shop.sell)
