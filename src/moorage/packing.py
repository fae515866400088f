"""Functions with which a store encodes states, values and credentials as bytes.

`pack` and `unpack` are for values: plain values and those of the contracts. `pack_state` and
`unpack_state` are for the states of commands. `pack_credentials` and `unpack_credentials` are for
credentials, and `pack_tables` and `unpack_tables` for the tables of a tenant. Packed credentials
and tables are readable, so seal the bytes immediately, with the context that `sealing_context`
returns.
"""

from __future__ import annotations

from moorage.contracts.value_codec import pack, unpack
from moorage.domain.auth.credential_codec import pack_credentials, unpack_credentials
from moorage.domain.state.codec import pack as pack_state
from moorage.domain.state.codec import unpack as unpack_state
from moorage.domain.state.sealing import sealing_context
from moorage.domain.state.tenant_tables import pack_tables, unpack_tables

__all__ = [
    "pack",
    "pack_credentials",
    "pack_state",
    "pack_tables",
    "sealing_context",
    "unpack",
    "unpack_credentials",
    "unpack_state",
    "unpack_tables",
]
