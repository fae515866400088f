"""Encryption of the results that are stored for idempotency keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.state.packing import pack_values, unpack_values
from moorage.domain.state.sealing import sealing_context
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.domain.service.plan import Plan
    from moorage.ports.cipher import Cipher

Answer: TypeAlias = "tuple[str, Any]"
"""The kind of a stored result, and its content."""

_SEALED_FORMAT: Final = "sealed"


def seal_answer(cipher: Cipher | None, plan: Plan, key: str, answer: Answer) -> Answer:
    """Encode a response for storage under an idempotency key; encrypt it if there is a cipher.

    Raises:
        InvalidData: there is a cipher, but the result does not consist of plain values.
    """
    if cipher is None:
        return answer
    return _SEALED_FORMAT, cipher.seal(pack_values(answer), _binding(plan, key))


def open_answer(cipher: Cipher | None, plan: Plan, key: str, stored: Answer) -> Answer:
    """Decode the response stored for an idempotency key, and decrypt it if necessary.

    Raises:
        ConnectorError: the result is encrypted, and cannot be decrypted here.
    """
    kind, content = stored
    if kind != _SEALED_FORMAT:
        return stored
    if cipher is None:
        raise ConfigurationError(
            "The stored response for this idempotency key is encrypted, and no cipher is"
            " configured to decrypt it.",
            path="cipher",
            remedy="Set the same cipher in all processes that share the store.",
        )
    kind, content = unpack_values(cipher.open(content, _binding(plan, key)))
    return kind, content


def _binding(plan: Plan, key: str) -> bytes:
    return sealing_context(plan.tenant, plan.service.name, f"answer {key}")
