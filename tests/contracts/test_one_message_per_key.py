"""One idempotency key sends at most one message, despite failures and changed routes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st

from moorage import ConnectionFailed, ConnectorError, Hub, Response, RetryPolicy
from moorage.adapters.state.memory import MemoryStorage
from moorage.contracts.routes import Account
from moorage.contracts.sms import SmsMessage
from moorage.testing.sandboxes.base import Lost
from tests.contracts.caller import PigeonHubs
from tests.contracts.external_sms_vendor import TextMessageVendor
from tests.support.examples import examples

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command

MESSAGE = SmsMessage(to="+4915112345678", text="Your parcel is on its way.")
NO_CONNECTION = ConnectionFailed("Nobody is there.", may_have_been_processed=False)
CUT_LINE = ConnectionFailed("The line was cut.")
ROUTES = [("one",), ("two",), ("one", "two"), ("two", "one")]
FAULTS: list[list[Any]] = [
    [],
    [],
    [NO_CONNECTION],
    [NO_CONNECTION],
    [CUT_LINE],
    [Lost()],
    [Response(429)],
    [Response(503)],
    [Lost(), NO_CONNECTION],
    [NO_CONNECTION, Lost()],
]


class ProcessKilled(BaseException):
    """The exception that is raised where a real process would be killed."""


class KillingStore:
    """A store that simulates a crash of its caller before or after a command."""

    durable = False

    def __init__(self, store: MemoryStorage, at: int | None, *, after: bool) -> None:
        self._store = store
        self._left = at
        self._after = after

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Any:
        """Execute a command, unless the caller crashes before or after it."""
        is_dying = self._is_dying()
        answer = None if is_dying and not self._after else self._store.execute(command, timeout)
        if is_dying:
            raise ProcessKilled
        return answer

    def post(self, command: Command[Any], /) -> None:
        """Post a command, unless the caller has crashed."""
        if self._left is None or self._left > 0:
            self._store.post(command)

    def _is_dying(self) -> bool:
        if self._left is None:
            return False
        self._left -= 1
        return self._left <= 0


class Attempt(NamedTuple):
    """One caller's attempt: its route, the vendors' responses, its crash, and a pause."""

    route: tuple[str, ...]
    one: list[Any]
    two: list[Any]
    killed_at: int | None
    after: bool
    pause: float


ATTEMPTS = st.builds(
    Attempt,
    st.sampled_from(ROUTES),
    st.sampled_from(FAULTS),
    st.sampled_from(FAULTS),
    st.sampled_from([None, None, None, *range(1, 15)]),
    st.booleans(),
    st.sampled_from([0.0, 1.0, 70.0]),
)


MOVED_ATTEMPT = Attempt(ROUTES[2], [NO_CONNECTION], [], None, after=False, pause=0.0)


@examples(300)
@given(
    tries=st.lists(ATTEMPTS, min_size=2, max_size=6),
    keys=st.booleans(),
    attempts=st.sampled_from([1, 2]),
)
@example(
    tries=[MOVED_ATTEMPT, Attempt(ROUTES[2], [], [], None, after=False, pause=0.0)],
    keys=True,
    attempts=1,
)
@example(
    tries=[MOVED_ATTEMPT, Attempt(ROUTES[0], [], [], None, after=False, pause=70.0)],
    keys=False,
    attempts=1,
)
def test_key_has_at_most_one_effect_however_many_callers_fail_or_crash(
    tries: list[Attempt], keys: bool, attempts: int
) -> None:
    """However many callers fail or crash, a key has at most one effect."""
    hubs = PigeonHubs(keys=keys)
    store = MemoryStorage(hubs.clock)
    settings = {"retry": RetryPolicy(attempts, base_delay=0.1), "circuit": None}
    accounts = [
        Account(name, TextMessageVendor(loft=f"{name}.example", keys=keys), settings=settings)
        for name in ("one", "two")
    ]
    for item in tries:
        hubs.one.forget_faults()
        hubs.two.forget_faults()
        hubs.one.fail(*item.one)
        hubs.two.fail(*item.two)
        state: Any = KillingStore(store, item.killed_at, after=item.after)
        hub = hubs.hub(Hub, route=item.route, state=state, accounts=accounts)
        with suppress(ConnectorError, ProcessKilled):
            hub.sms().send(MESSAGE, idempotency_key="k1")
        hubs.clock.advance(item.pause)

    assert len(hubs.one.letters) + len(hubs.two.letters) <= 1
