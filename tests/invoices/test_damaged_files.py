"""Damaged files of national formats are read, or refused with an error of moorage."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage import InvalidData
from moorage.contracts.accounting import read_datev
from moorage.invoices import (
    read_fa3,
    read_fatturapa,
    read_sdi_notice,
    read_upo,
    validate_fa3,
    validate_fatturapa,
    write_fa3,
    write_fatturapa,
)
from tests.contracts.test_datev import BODY
from tests.invoices.italian import full_fattura
from tests.invoices.test_fa3 import full_ksef, upo
from tests.invoices.test_fatturapa import NOTICES

if TYPE_CHECKING:
    from collections.abc import Callable

_FATTURA = write_fatturapa(full_fattura())
_FA3 = write_fa3(full_ksef())
_TEXTS = st.sampled_from(
    [
        *(b"", b"-1", b"0", b"0.00", b"1e9", b"99999999999999999999999999999.99", b"NaN"),
        *(b"9999-12-31", b"0001-01-01", b"10000-01-01", b"19", b"N4", b" ", b"&#10;", b";"),
        *("é".encode() * 300, b"1.123456789", b"-0", b'"', b"\r\n", b"\x81"),
    ]
)
READERS: list[tuple[Callable[[bytes], Any], bytes]] = [
    (lambda body: write_fatturapa(read_fatturapa(body, check=False)), _FATTURA),
    (validate_fatturapa, _FATTURA),
    (lambda body: write_fa3(read_fa3(body, check=False)), _FA3),
    (validate_fa3, _FA3),
    (read_sdi_notice, NOTICES[0][0]),
    (read_upo, upo(b"x")),
    (read_datev, BODY),
]


@st.composite
def _damages(draw: st.DrawFn, body: bytes) -> bytes:
    """The file with one to three strings or elements replaced, repeated or removed."""
    pattern = rb"(?<=[>;])[^<>;]*(?=[<;])|<(\w+)>[^<]*</\1>"
    for _ in range(draw(st.integers(1, 3))):
        places = [match.span() for match in re.finditer(pattern, body)]
        if places:
            start, end = draw(st.sampled_from(places))
            text = draw(_TEXTS | st.just(body[start:end] * 2))
            body = body[:start] + text + body[end:]
    return body


@pytest.mark.untraced
@pytest.mark.parametrize("number", range(len(READERS)))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_file_is_refused_or_read(number: int, data: st.DataObject) -> None:
    """Whatever a damaged file contains, it is read, or refused as invalid."""
    read, body = READERS[number]
    damaged = data.draw(_damages(body))
    with contextlib.suppress(InvalidData):
        read(damaged)
