"""What an error does not carry along."""

from __future__ import annotations

import traceback

import attrs
import pytest

from mooring.domain.frames import careful
from mooring.errors import InvalidData

HIDDEN = "h1dden"


def test_a_class_refuses_without_its_frames() -> None:
    """What a careful class refuses is in no frame that the error has, and it makes all else."""

    @careful
    @attrs.frozen
    class Careful:
        value: str

        def __attrs_post_init__(self) -> None:
            if self.value == HIDDEN:
                raise InvalidData("no.", field="value", remedy="Give another.")

    assert "open" == Careful("open").value
    given = [HIDDEN]
    with pytest.raises(InvalidData) as caught:
        Careful(given.pop())
    frames = [frame for frame, _ in traceback.walk_tb(caught.tb)][1:]
    assert ["careful"] == [frame.f_code.co_name for frame in frames]
    assert HIDDEN not in repr([frame.f_locals for frame in frames])
