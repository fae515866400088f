"""CRC-32C: correct for any length, and fast."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.values import crc32c as module
from moorage.domain.values.crc32c import _folded_bytes, crc32c
from tests.adapters.manager_harnesses import checksum
from tests.support.module_copies import rerun_module

EDGES = (1_023, 1_024, 1_025, 1_694, 1_695, 6_777, 8_191, 13_554, 65_536, 100_003)


@given(st.binary(max_size=2_000))
def test_agrees_with_the_bitwise_algorithm(data: bytes) -> None:
    """The CRC-32C of any data equals that of the bit-by-bit algorithm."""
    assert checksum(data) == crc32c(data)


@pytest.mark.parametrize("size", EDGES)
def test_data_long_enough_for_fast_folding_have_correct_crc32c(size: int) -> None:
    """Data long enough for the fast folding have the correct CRC-32C."""
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    assert checksum(data) == crc32c(data)


@pytest.mark.parametrize("size", EDGES)
def test_folding_leaves_few_bytes_for_the_table_based_checksum(size: int) -> None:
    """Folding leaves at most about 850 bytes for the slower, table-based CRC-32C."""
    assert (6_777 + 8) // 8 >= len(_folded_bytes(bytes(size), 0xFFFFFFFF))


@given(st.binary(max_size=1_500), st.binary(max_size=1_500))
def test_checksum_can_be_continued_with_further_data(first: bytes, second: bytes) -> None:
    """A CRC-32C can be continued with further data."""
    assert crc32c(first + second) == crc32c(second, crc32c(first))


def test_crc32c_of_123456789_is_published_check_value() -> None:
    """The CRC-32C of `123456789` is the published check value."""
    assert 0xE3069283 == crc32c(b"123456789")


def test_rebuilt_crc32c_table_gives_same_checksum_for_every_byte() -> None:
    """A rebuilt CRC-32C table computes the same checksum for every byte."""
    crc32c = rerun_module(module).crc32c
    assert [checksum(bytes((byte,))) for byte in range(256)] == [
        crc32c(bytes((byte,))) for byte in range(256)
    ]


def test_folding_constant_is_a_multiple() -> None:
    """The constant for CRC-32C folding is a multiple of the CRC-32C polynomial."""
    value = 1
    powers = {0: value}
    for power in range(1, 6_778):
        value <<= 1
        value ^= 0x11EDC6F41 if value >> 32 else 0
        powers[power] = value
    assert powers[6_777] == powers[484] ^ powers[100] ^ powers[0]
