"""Admission by one circuit and one token bucket, with the code of both rules copied into it.

`python -m tools.inlined` makes this file; do not edit it.
"""

# ruff: noqa: C901, PLR0912, PLR0915, PLR1730, SLF001 - as in the functions that it is made from

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.adapters.concurrency.sections import release_if_held
from moorage.domain.resilience.admission import GO, refusal_by_open_circuit
from moorage.domain.state.commands import MISREAD

if TYPE_CHECKING:
    from moorage.adapters.state.memory import MemoryStorage
    from moorage.domain.resilience.admission import Admission, Admitted
    from moorage.domain.resilience.bucket import TokenBucket
    from moorage.domain.resilience.circuit import CircuitRule
    from moorage.domain.service.plan import Ask


def for_circuit_and_bucket(
    store: MemoryStorage, circuit: CircuitRule, bucket: TokenBucket, cost: int
) -> Ask:
    """Return a function that admits calls by a circuit and a limit, for any keys."""
    cells, nanoseconds, offset = store._cells, store._nanoseconds, store._offset
    circuit_grid = circuit.grid
    circuit_timed = circuit.timed
    bucket_n = bucket.n
    bucket_price = bucket.price
    bucket_refill = bucket.refill
    bucket_room = bucket.room
    bucket_shape = bucket.shape

    def decide_admission(admission: Admission, timeout: float | None) -> Admitted:
        key_1, key_2 = admission.keys
        try:
            state_1, state_2 = (cells[key_1], cells[key_2])
            now = nanoseconds() // 1000 + offset
            after_1 = None
            while True:
                (
                    state_time_1,
                    keep_for_1,
                    mode_1,
                    generation_1,
                    slot_1,
                    total_1,
                    base_1,
                    record_1,
                ) = state_1
                if circuit_timed:
                    if mode_1 or not state_time_1 <= now < slot_1:
                        break
                elif (
                    mode_1
                    or total_1 >= slot_1
                    or (not state_time_1 <= now < state_time_1 + keep_for_1)
                ):
                    break
                if record_1[0] != circuit_grid:
                    break
                after_1 = (now, keep_for_1, 0, generation_1, slot_1, total_1 + 1, base_1, record_1)
                break
            after_2 = None
            if after_1 is not None:
                while True:
                    (
                        state_time_2,
                        _,
                        at_2,
                        level_2,
                        lifetime_2,
                        frozen_until_2,
                        time_shift_2,
                        runs_2,
                        shape_2,
                    ) = state_2
                    if runs_2 or now < at_2 or now < frozen_until_2 or (now < state_time_2):
                        break
                    if shape_2 is not bucket_shape and shape_2 != bucket_shape:
                        break
                    level_2 += (now - at_2) * bucket_n
                    if level_2 > bucket_room:
                        level_2 = bucket_room
                    level_2 -= cost * bucket_price
                    if level_2 < 0:
                        break
                    after_2 = (
                        now,
                        bucket_refill,
                        now,
                        level_2,
                        lifetime_2,
                        frozen_until_2,
                        time_shift_2,
                        (),
                        bucket_shape,
                    )
                    break
        except MISREAD:
            return store.execute(admission, timeout)
        if after_1 is None or after_2 is None:
            refusal = refusal_by_open_circuit(circuit, (state_1, state_2), now)
            return refusal or store.execute(admission, timeout)
        answer = (GO, 0, (after_1[3], after_1[5], 0), ())
        lock = store._lock
        try:
            try:
                lock.acquire()
            except BaseException:
                release_if_held(lock)
                raise
            try:
                if cells[key_1] is state_1 and cells[key_2] is state_2:
                    cells[key_1] = after_1
                    cells[key_2] = after_2
                    return answer
            except KeyError:
                pass
            finally:
                lock.release()
        except BaseException:
            store._undo(admission.keys, (state_1, state_2), (after_1, after_2))
            raise
        return store.execute(admission, timeout)

    return decide_admission
