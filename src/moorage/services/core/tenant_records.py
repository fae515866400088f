"""The limit on each tenant's idempotency records, for the claims of one process.

Laws:

1. A claim that may make a new record of a tenant first needs a slot, which is room for one record
   within the tenant's bound. Without a slot it is refused before anything is sent.
2. A key whose record exists can be claimed and settled even if the tenant is at its bound.
3. One tenant's bound never delays another tenant's claim.
4. A process reserves slots in advance, more at once the faster it uses them, and returns those
   that it did not use in time. Slots of a process that dies expire when records made at that time
   would expire.
5. A process counts a key's record once, however often the key is claimed again, as long as it
   remembers the record's slot. So retries and replays do not bring a tenant to its bound.
6. A large answer is counted after it is stored, and never delays the call that got it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from contextlib import suppress
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from moorage.domain.idempotency.claims import Claim, ClaimResult, Verdict
from moorage.domain.idempotency.tenant_records import (
    MOST_AT_ONCE,
    Reservation,
    Reserve,
    ReturnSlots,
    extra_record_count,
    for_existing_record,
    has_room_again,
    is_nearly_full,
    rounded_life,
    rounding_step,
)
from moorage.domain.observation.events import TenantRecordsNearBound
from moorage.domain.values.durations import SECOND
from moorage.errors import StorageUnavailable, TenantRecordsExhausted

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.services.core.core import Core

_MAX_STOCKS: Final = 4_096
"""The maximum number of tenants and lifetimes whose slots a process keeps in advance."""

_MAX_TAKEN: Final = 8_192
"""The maximum number of keys whose slots a process remembers."""

_NEWLY_RECORDED: Final = (Verdict.RUN, Verdict.ASK_AGAIN)
"""The verdicts after which the lifetime of a key's record begins, for the first time or again."""


class NewRecord(Enum):
    """The condition under which a claim may create a new record."""

    IN_BOUND = "in bound"
    """A new record is allowed if the tenant is below its limit."""
    ALWAYS = "always"
    """A new record is allowed, because an existing record needs it."""
    NEVER = "never"
    """A new record is not allowed; without a record, the verdict is `ABSENT`."""


class _ReservedSlot(NamedTuple):
    """A reserved slot within a tenant's limit: the right to create one record.

    Attributes:
        until: the time after which no claim uses the slot, by the local clock.
        life: the longest life of a record that uses the slot, in microseconds.
        end: the time at which the slot expires in the store; 0 if unknown.
    """

    until: int
    life: int
    end: int = 0


class _Refusal(NamedTuple):
    """The store's refusal to reserve slots for a tenant's records with the same lifetime.

    Attributes:
        ask_again_at: the time at which the process may ask the store again.
        used: the number of records in use.
        next_end: the time at which the next slots expire.
    """

    ask_again_at: int
    used: int
    next_end: int


class _Stock:
    """The slots that are reserved for a tenant's records with the same lifetime.

    Attributes:
        slots: the slots; each thread takes one at a time.
        number: the number of slots to reserve next.
        refusal: the store's last rejection of a reservation.
    """

    __slots__ = ("number", "refusal", "slots")

    def __init__(self) -> None:
        self.slots: deque[_ReservedSlot] = deque()
        self.number = 1
        self.refusal = _Refusal(0, 0, 0)


class CountedClaim(NamedTuple):
    """A claim of a tenant's idempotency key, with the context of its caller.

    Attributes:
        core: the ports.
        service, tenant: the service and the tenant of the call.
        command: the claim.
        time_left: returns the seconds that the next command of the store may take.
        new: the permission to make a new record.
    """

    core: Core
    service: str
    tenant: str
    command: Claim
    time_left: Callable[[], float]
    new: NewRecord = NewRecord.IN_BOUND

    @property
    def life(self) -> int:
        """The longest life of the claim's record, in microseconds and rounded up."""
        return rounded_life(self.command.term + self.command.ttl)


class TenantRecords:
    """The limits on tenants' records, and the slots that this process has reserved.

    Args:
        bound: the maximum number of records of each tenant.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._stocks: OrderedDict[tuple[str, int], _Stock] = OrderedDict()
        self._taken_by: OrderedDict[str, _ReservedSlot] = OrderedDict()
        self._warned: set[str] = set()

    def restart_after_fork(self) -> None:
        """Drop all reserved slots in a forked child, because the parent process owns them."""
        self._stocks = OrderedDict()
        self._taken_by = OrderedDict()
        self._warned = set()

    async def claim(self, claim: CountedClaim) -> ClaimResult:
        """Claim an idempotency key of a tenant, within the limit on its records.

        Raises:
            TenantRecordsExhausted: the key is new, and the tenant has no slot for its record.
            StorageUnavailable: the store of the key is unreachable; or the key is new, and the
                store of the count is unreachable.
        """
        core, command = claim.core, claim.command
        if claim.new is NewRecord.NEVER:
            return await self._claim_uncounted(claim, for_existing_record(command))
        claim_result: ClaimResult
        if self._has_reserved_slot(claim):
            claim_result = await core.execute(command, claim.time_left())
            return claim_result
        stock = self._reserved_stock(claim)
        slot, failure = None, None
        try:
            slot = await self._reserve_slot(claim, stock)
        except StorageUnavailable as error:
            # The key and the count may be on different nodes, and an existing key needs no slot.
            failure = error
        if slot is None:
            if claim.new is NewRecord.ALWAYS:
                return await self._claim_uncounted(claim, command)
            claim_result = await self._claim_uncounted(claim, for_existing_record(command))
            if claim_result.verdict is Verdict.ABSENT:
                raise failure or self._refusal(claim, stock)
            return claim_result
        try:
            claim_result = await core.execute(command, claim.time_left())
        except BaseException:
            # The store may have created the record, and a repeat of the call needs no second slot.
            self._store_reservation(claim, slot, is_record_made=False)
            raise
        if claim_result.verdict in _NEWLY_RECORDED:
            self._store_reservation(claim, slot, is_record_made=True)
        else:
            stock.slots.append(slot)
        return claim_result

    async def _claim_uncounted(self, claim: CountedClaim, command: Claim) -> ClaimResult:
        """Claim a key without reserving a slot; count its record if its lifetime begins now."""
        core, lifetime = claim.core, claim.life
        claim_result: ClaimResult = await core.execute(command, claim.time_left())
        if claim_result.verdict in _NEWLY_RECORDED and not self._has_reserved_slot(claim):
            end_nanoseconds = core.nanoseconds() + rounding_step(lifetime) * 1000
            core.post(Reserve(claim.tenant, bound=self.bound, number=1, life=lifetime, forced=True))
            self._store_reservation(
                claim, _ReservedSlot(end_nanoseconds, lifetime), is_record_made=True
            )
        return claim_result

    def count_answer(
        self, core: Core, tenant: str, answer: tuple[object, ...], *, ttl: int
    ) -> None:
        """Count the additional slots that a large stored response needs from a tenant's limit.

        Args:
            core: the ports.
            tenant: the tenant of the call.
            answer: the answer as it is stored.
            ttl: microseconds for which it is stored.
        """
        number = extra_record_count(answer)
        if number:
            lifetime = rounded_life(ttl)
            core.post(Reserve(tenant, bound=self.bound, number=number, life=lifetime, forced=True))

    def _has_reserved_slot(self, claim: CountedClaim) -> bool:
        """Return whether this process reserved the slot of this idempotency key's record."""
        slot = self._taken_by.get(claim.command.keys[0])
        if slot is None or claim.core.nanoseconds() >= slot.until:
            return False
        return claim.life <= slot.life

    def _store_reservation(
        self, claim: CountedClaim, slot: _ReservedSlot, *, is_record_made: bool
    ) -> None:
        """Store the slot of a key's record, and release the slot of the key's earlier record.

        Args:
            claim: the claim.
            slot: the slot.
            is_record_made: True if the record was certainly made, so that an earlier record of the
                key has ended.
        """
        key = claim.command.keys[0]
        earlier_slot = self._taken_by.pop(key, None)
        self._taken_by[key] = slot
        while len(self._taken_by) > _MAX_TAKEN:
            self._taken_by.popitem(last=False)
        if is_record_made and earlier_slot is not None and earlier_slot.end:
            _give_back(claim.core, claim.tenant, Counter((earlier_slot.end,)))

    async def _reserve_slot(self, claim: CountedClaim, stock: _Stock) -> _ReservedSlot | None:
        """Return a slot for a new record; None if the tenant has reached its limit."""
        core, tenant = claim.core, claim.tenant
        now = core.nanoseconds()
        slot = self._take_slot(core, tenant, stock, now)
        if slot is not None or now < stock.refusal.ask_again_at:
            return slot
        number = stock.number
        command = Reserve(tenant, bound=self.bound, number=number, life=claim.life)
        answer: Reservation = await core.execute(command, claim.time_left())
        self._warn(claim, answer)
        if not answer.granted:
            # However many calls are refused, a process asks the store at most once a second.
            pause = min(answer.wait, SECOND)
            stock.refusal = _Refusal(now + pause * 1000, answer.used, now + answer.wait * 1000)
            return None
        stock.number = min(2 * number, MOST_AT_ONCE)
        slot = _ReservedSlot(now + answer.lasts * 1000, claim.life, answer.end)
        stock.slots.extend([slot] * (answer.granted - 1))
        return slot

    def _take_slot(self, core: Core, tenant: str, stock: _Stock, now: int) -> _ReservedSlot | None:
        """Take a reserved slot and return it; give expired slots back to the store."""
        unused: Counter[int] = Counter()
        taken_slot = None
        try:
            while taken_slot is None:
                slot = stock.slots.popleft()
                if now < slot.until:
                    taken_slot = slot
                else:
                    unused[slot.end] += 1
        except IndexError:
            pass  # another thread may have taken the last one
        if unused:
            stock.number = 1
            _give_back(core, tenant, unused)
        return taken_slot

    def _reserved_stock(self, claim: CountedClaim) -> _Stock:
        """Return the slots reserved for a tenant's records with this lifetime."""
        key = (claim.tenant, claim.life)
        stock = self._stocks.get(key)
        if stock is not None:
            # The stocks in use are dropped last. Another thread may have dropped this stock.
            with suppress(KeyError):
                self._stocks.move_to_end(key)
            return stock
        stock = self._stocks.setdefault(key, _Stock())
        while len(self._stocks) > _MAX_STOCKS:
            (old_tenant, _), old_stock = self._stocks.popitem(last=False)
            unused: Counter[int] = Counter()
            with suppress(IndexError):
                # One by one, because another thread may be taking slots at the same time.
                while True:
                    unused[old_stock.slots.popleft().end] += 1
            _give_back(claim.core, old_tenant, unused)
        return stock

    def _warn(self, claim: CountedClaim, answer: Reservation) -> None:
        """Notify the observers once that a tenant is near its limit."""
        core, tenant = claim.core, claim.tenant
        if tenant in self._warned:
            if has_room_again(answer.used, self.bound):
                self._warned.discard(tenant)
        elif is_nearly_full(answer.used, self.bound):
            self._warned.add(tenant)
            core.notify(
                TenantRecordsNearBound(
                    at=core.utc(),
                    service=claim.service,
                    tenant=tenant,
                    used=answer.used,
                    bound=self.bound,
                )
            )

    def _refusal(self, claim: CountedClaim, stock: _Stock) -> TenantRecordsExhausted:
        """Return the error for a new idempotency key of a tenant that has reached its limit."""
        core, tenant = claim.core, claim.tenant
        _, record_count, next_end = stock.refusal
        wait = timedelta(microseconds=max(0, next_end - core.nanoseconds()) // 1000)
        return TenantRecordsExhausted(
            f"A call with a new idempotency key was not sent, because the tenant {tenant} uses"
            f" {record_count:,} of {self.bound:,} idempotency records in the shared store.",
            tenant=tenant,
            used=record_count,
            bound=self.bound,
            retry_at=core.utc() + wait,
        )


def _give_back(core: Core, tenant: str, slots: Counter[int]) -> None:
    """Give reserved slots back to the store, so that other processes can use the slots."""
    for end, number in slots.items():
        core.post(ReturnSlots(tenant, number=number, end=end))
