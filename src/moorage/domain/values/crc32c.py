"""CRC-32C (Castagnoli, reflected) in pure Python, fast by arithmetic on large integers.

The bits are polynomials over the field of two elements, and the checksum is the remainder of a
division of them. Since

    x^6777 = x^484 + x^100 + 1    (modulo the polynomial of CRC-32C)

and squaring keeps that true, bits that are 6777 · 2^k places before the end can be added at three
places behind them without changing the remainder: a few shifts of integers as long as the data. The
rest is short enough for a table.
"""

from __future__ import annotations

from typing import Final

_POLYNOMIAL: Final = 0x82F63B78
_LONG_SIZE: Final = 6_777
_PLACES: Final = (6_777 - 484, 6_777 - 100, 6_777)
"""The bit distances at which removed bits are added again, which keeps the checksum."""
_SHORT_SIZE: Final = 1_024
_ALL_ONES: Final = 0xFFFFFFFF


def _crc_of_byte(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE: Final = tuple(map(_crc_of_byte, range(256)))


def crc32c(data: bytes, value: int = 0) -> int:
    """Return the CRC-32C of bytes that continue data with the checksum `value`."""
    state = value ^ _ALL_ONES
    if len(data) > _SHORT_SIZE:
        data, state = _folded_bytes(data, state), 0
    for byte in data:
        state = _TABLE[(state ^ byte) & 0xFF] ^ state >> 8
    return state ^ _ALL_ONES


def _folded_bytes(data: bytes, state: int) -> bytes:
    """Return fewer bytes whose CRC from zero equals that of `data` from the CRC `state`."""
    bits, size = int.from_bytes(data, "little") ^ state, 8 * len(data)
    for power in range((size // _LONG_SIZE).bit_length() - 1, -1, -1):
        first_shift, second_shift, third_shift = (place << power for place in _PLACES)
        # A remainder below a fourth is left to the next power, for which it is one half.
        while size - third_shift >= max(8, third_shift >> 2 if power else 8):
            step_size = min(size - third_shift, first_shift) & ~7
            leading_bits = bits & ((1 << step_size) - 1)
            bits = bits >> step_size ^ leading_bits << first_shift - step_size
            bits ^= (
                leading_bits << second_shift - step_size ^ leading_bits << third_shift - step_size
            )
            size -= step_size
    return bits.to_bytes(size // 8, "little")
