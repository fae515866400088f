"""Objects that refuse to be copied or pickled."""

from __future__ import annotations

from typing import NoReturn

from moorage.errors import InvalidData


class Uncopyable:
    """A base class for objects that own connections, locks or threads.

    A copy would use the connections of its original, and a pickle could contain passwords. So
    `copy.copy`, `copy.deepcopy` and `pickle.dumps` raise `InvalidData`.
    """

    __slots__ = ()

    def __copy__(self) -> NoReturn:
        self._refuse_copy()

    def __deepcopy__(self, _: object) -> NoReturn:
        self._refuse_copy()

    def __reduce_ex__(self, _: object) -> NoReturn:
        self._refuse_copy()

    def _refuse_copy(self) -> NoReturn:
        raise InvalidData(
            f"{type(self).__name__} objects cannot be copied or pickled, because copies would"
            " share connections and locks.",
            remedy="Share the object between threads, or create one in each process.",
        )
