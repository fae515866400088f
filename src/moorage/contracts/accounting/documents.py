"""Files that are attached to records in the books."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.contracts.replays import replay_field
from moorage.contracts.validators import is_a, is_filled
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import attrs

    from moorage.contracts.ref import Ref


def _has_content(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    is_a(bytes)(_, attribute, value)
    if not value:
        raise InvalidData(
            "The document is empty.", field=attribute.name, remedy="Give the bytes of a file."
        )


def _is_file_name(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    is_filled(_, attribute, value)
    name = str(value)
    if name in {".", ".."} or any(letter in '/\\"<>' or letter < " " for letter in name):
        raise InvalidData(
            f"The {attribute.name} is not a valid file name.",
            field=attribute.name,
            remedy="Give a name without folders, quotes and angle brackets, such as invoice.pdf.",
        )


@frozen(kw_only=True)
class BookDocument:
    """A file to attach to an invoice, a bill or a journal entry.

    Attributes:
        name: name of the file.
        content: bytes of the file.
        content_type: media type of the file.
    """

    name: str = field(repr=False, validator=_is_file_name)
    content: bytes = field(repr=False, validator=_has_content)
    content_type: str = field(default="application/pdf", validator=is_filled)


@frozen(kw_only=True)
class DocumentRecord:
    """A file that is attached to a record in the books.

    Attributes:
        ref: reference of the file.
        name: name of the file, as the vendor stores it.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    name: str | None = field(default=None, repr=False)
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)
