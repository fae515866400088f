"""The statistics of a connection pool."""

from moorage.domain.connectors.pool_statistics import PoolStatistics


def test_size_counts_idle_and_active_connections() -> None:
    """A pool's size is the number of its open connections."""
    assert 5 == PoolStatistics(idle=2, active=3, waiting=4).size


def test_reuse_is_the_share_of_callers_that_got_an_open_connection() -> None:
    """One new connection for a hundred callers is a pool reuse of 99 %."""
    assert 0.99 == PoolStatistics(created=1, reused=99).reuse


def test_pool_that_nobody_has_used_counts_as_reusing_all_its_connections() -> None:
    """A pool without any use counts as reusing all its connections."""
    assert 1.0 == PoolStatistics().reuse
