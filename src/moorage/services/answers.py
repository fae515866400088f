"""Answers of idempotency keys on their way into a store and back; a cipher seals them there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.packing import pack_values, unpack_values
from moorage.domain.sealing import about
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.domain.plan import Plan
    from moorage.ports.cipher import Cipher

Answer: TypeAlias = "tuple[str, Any]"
"""Of which kind it is, and what it holds."""

_SEALED: Final = "sealed"


def sealed(cipher: Cipher | None, plan: Plan, key: str, answer: Answer) -> Answer:
    """What is stored of an answer.

    Raises:
        InvalidData: there is a cipher, and the answer is not made of plain values.
    """
    if cipher is None:
        return answer
    return _SEALED, cipher.seal(pack_values(answer), _about(plan, key))


def opened(cipher: Cipher | None, plan: Plan, key: str, stored: Answer) -> Answer:
    """The answer that was stored, sealed or not.

    Raises:
        ConnectorError: it is sealed, and cannot be opened here.
    """
    kind, content = stored
    if kind != _SEALED:
        return stored
    if cipher is None:
        raise ConfigurationError(
            "the answer of this key is sealed, and there is no cipher to open it.",
            path="cipher",
            remedy="Give every process that shares the store the same cipher.",
        )
    kind, content = unpack_values(cipher.open(content, _about(plan, key)))
    return kind, content


def _about(plan: Plan, key: str) -> bytes:
    return about(plan.tenant, plan.service.name, f"answer {key}")
