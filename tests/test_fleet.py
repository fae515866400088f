"""A model of many workers that share one rate limit, split into parts on several cores."""

import attrs
import pytest

from benchmarks.fleet import brokers, returns, tenants
from benchmarks.fleet.model import Costs, Fleet, run, seconds_to_start
from benchmarks.fleet.page import BEGIN, END, PAGE, page_with_tables, parts_needed, report, table
from benchmarks.fleet.tenants import MOST_SLOWDOWN, TenantStorm

SMALL_FLEET = Fleet(offered=12_000, limit=10_000, burst=1_000, workers=320, seconds=0.5)
SLOW_COSTS = Costs(granted=176e-6, waits=525e-6, refused=400e-6, connected=600e-6)
"""The costs of a Redis that is ten times as slow, for a tenth of the calls."""
MEASURED_COSTS = Costs(granted=29.5e-6, refused=23.7e-6)
"""The costs of a Redis that was measured."""


def fleet(parts: int, tries: int = 1, patience: float = 0.0) -> Fleet:
    """Return the example fleet of workers with the given settings changed."""
    return attrs.evolve(SMALL_FLEET, parts=parts, tries=tries, patience=patience)


def test_one_bucket_core_is_fully_occupied() -> None:
    """A limit in one bucket keeps one core fully busy, and few calls are served in time."""
    outcome = run(fleet(1), SLOW_COSTS, 1)

    assert outcome.busiest > 0.99
    assert outcome.goodput < 0.6


def test_parts_serve_a_hot_limit_on_several_cores() -> None:
    """A limit split into eight parts serves nearly all that it allows, and never more."""
    outcome = run(fleet(8), SLOW_COSTS, 1)

    assert outcome.goodput > 0.97
    assert outcome.busiest < 0.8
    assert 0 == outcome.excess
    assert outcome == run(fleet(8), SLOW_COSTS, 1)


def test_refused_call_that_asks_second_part_uses_more_time_of_cores() -> None:
    """If a refused call also queries a second part of the limit, it uses more processor time."""
    assert run(fleet(8, tries=2), SLOW_COSTS, 1).busiest > run(fleet(8), SLOW_COSTS, 1).busiest


def test_calls_that_wait_for_their_grants_occupy_cores_for_longer() -> None:
    """Calls that wait to be admitted occupy the cores for longer."""
    assert run(fleet(8, patience=0.2), SLOW_COSTS, 1).busiest > run(fleet(8), SLOW_COSTS, 1).busiest


def test_brokers_that_ask_for_all_workers_of_their_host_keep_limit() -> None:
    """Brokers that request tokens for all workers of their host keep the limit, and spare CPU."""
    busy_fleet = attrs.evolve(SMALL_FLEET, patience=0.1, seconds=2.0)
    outcome = brokers.run(busy_fleet, SLOW_COSTS, 1)

    assert outcome.goodput > 0.9
    assert outcome.busiest < 0.7
    assert outcome == brokers.run(busy_fleet, SLOW_COSTS, 1)


@pytest.mark.parametrize("offered", [8_000, 12_000])
@pytest.mark.parametrize("kills", [0, 40])
def test_leases_exceed_the_limit_by_their_bound_at_most(offered: int, kills: int) -> None:
    """Brokers never exceed the limit by over 1 % of a second's tokens, even if some are killed."""
    busy_fleet = attrs.evolve(SMALL_FLEET, offered=offered, burst=100, seconds=1.0)
    outcome = brokers.run(busy_fleet, Costs(), 2, kills=kills)

    assert outcome.excess <= 0.0105 * busy_fleet.limit
    assert outcome.goodput > 0.85


def test_hosts_get_equal_shares_of_leases() -> None:
    """If hosts request equally often, 95 % of them get tokens within 10 % of the mean."""
    busy_fleet = attrs.evolve(SMALL_FLEET, patience=0.1, seconds=2.0)

    assert brokers.run(busy_fleet, Costs(), 1).unfairness <= 0.1


def test_table_has_a_row_for_a_fleet_with_brokers() -> None:
    """A row of the table says how many calls brokers serve, and how far they exceed the limit."""
    rows = table(Costs(), 1, [attrs.evolve(SMALL_FLEET, has_brokers=True, seconds=0.2)])

    assert 3 == len(rows)
    assert rows[2].startswith("| a broker | 12,000 | 0 s |")


def test_table_marks_a_core_that_is_too_busy() -> None:
    """A row of the table says which core has no reserve left."""
    rows = table(SLOW_COSTS, 1, [fleet(1), fleet(8)])

    assert [True, False] == ["too busy" in row for row in rows[2:]]


def test_start_of_a_fleet_is_shared_by_the_cores() -> None:
    """When all workers start together, all cores share the work of serving them."""
    assert seconds_to_start(800, 1, SLOW_COSTS) == 4 * seconds_to_start(800, 4, SLOW_COSTS)
    assert 0.2 < seconds_to_start(3_200, 1, Costs()) < 1


@pytest.mark.untraced
@pytest.mark.parametrize("outage_seconds", [0.2, 0.5, 1, 3, 10, 60])
@pytest.mark.parametrize("workers", [200, 3_200])
def test_each_worker_has_reconnected_and_got_reply_within_second_after_redis_returns(
    workers: int, outage_seconds: float
) -> None:
    """Within a second after a Redis returns, each worker has reconnected and got a reply."""
    back = returns.run(workers, outage_seconds, Costs(), 1)

    assert 0 < back.last <= returns.LONGEST_RETURN
    assert back == returns.run(workers, outage_seconds, Costs(), 1)


@pytest.mark.untraced
@pytest.mark.parametrize("outage_seconds", [1, 3, 10, 60])
def test_reconnections_after_an_outage_are_spread(outage_seconds: float) -> None:
    """After an outage, no tenth of a second has a third of all new connections, or more."""
    assert returns.run(3_200, outage_seconds, Costs(), 1).most < 3_200 / 3


def test_new_connections_queue_on_a_slow_core() -> None:
    """The last worker must wait while all others connect, since their connections use the core."""
    slow_fleet, fast = (returns.run(3_200, 10, costs, 1) for costs in (SLOW_COSTS, Costs()))

    assert slow_fleet.last > 3_200 * SLOW_COSTS.connected > fast.last
    assert 1 == slow_fleet.busiest > fast.busiest


def test_number_of_parts_keeps_each_core_below_80_percent_load() -> None:
    """The number of parts is at least one, and large enough to keep each core below 80 % load."""
    assert [1, 1, 2, 3] == [parts_needed(calls, 20e-6) for calls in (1, 40_000, 40_001, 100_000)]


@pytest.mark.parametrize("rate", [1, 10, 100])
def test_p99_of_others_grows_at_most_1_5_times_while_32_processes_send_storm_of_calls(
    rate: int,
) -> None:
    """While 32 processes send a storm of calls, other callers' p99 grows at most 1.5 times."""
    without_storm = tenants.run(TenantStorm(), MEASURED_COSTS, 1)
    storm = tenants.run(TenantStorm(offered=30_000, rate=rate), MEASURED_COSTS, 1)

    assert storm.questions < 36 * rate
    assert storm.p99 <= MOST_SLOWDOWN * without_storm.p99
    assert storm == tenants.run(TenantStorm(offered=30_000, rate=rate), MEASURED_COSTS, 1)


@pytest.mark.parametrize("rate", [1, 10, 100])
def test_brokers_protect_the_others_from_a_storm_of_many_processes(rate: int) -> None:
    """While 3,200 processes send a storm through brokers, others' p99 grows at most 1.5 times."""
    storm = TenantStorm(offered=30_000, processes=3_200, rate=rate, has_brokers=True, seconds=2.0)
    effect = tenants.run(storm, MEASURED_COSTS, 1)

    assert effect.questions < 400 + 100 * rate
    assert effect.p99 <= MOST_SLOWDOWN * tenants.run(TenantStorm(), MEASURED_COSTS, 1).p99
    assert effect == tenants.run(storm, MEASURED_COSTS, 1)


def test_storm_within_the_core_leaves_the_others_nearly_as_fast() -> None:
    """If refusals keep a core half busy, the p99 of other callers grows at most 1.5 times."""
    storm = tenants.run(TenantStorm(offered=20_000, processes=3_200), Costs(), 1)

    assert 0.4 < storm.busy < 0.5
    assert storm.p99 <= MOST_SLOWDOWN * tenants.run(TenantStorm(), Costs(), 1).p99


def test_storm_beyond_the_core_is_marked() -> None:
    """A storm of calls that one core cannot serve delays other callers; the table marks its row."""
    sizes = (5_000, 60_000)
    storms = [TenantStorm(offered=offered, processes=3_200, rate=1_000) for offered in sizes]
    *_, small_row, large_row = tenants.table(Costs(), 1, storms)

    assert "too long" not in small_row
    assert "| 100% |" in large_row
    assert "too long" in large_row


def test_tables_on_page_are_replaced_between_marks() -> None:
    """The tables on the page are replaced between the marks, and nothing else is changed."""
    page = PAGE.read_text(encoding="utf-8")
    tables = report(SLOW_COSTS, 1, [fleet(8)], [TenantStorm(offered=2_000)])
    new_page = page_with_tables(page, tables)

    assert page.partition(BEGIN)[0] + BEGIN == new_page.partition(tables)[0].rstrip()
    assert END + page.partition(END)[2] == new_page.partition(tables)[2].lstrip()
    assert "| 8 parts | 12,000 | 0 s |" in new_page
