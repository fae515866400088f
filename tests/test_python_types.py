"""Types of Python libraries are read as API descriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tools import description_types
from tools.description_types import describe_operations
from tools.descriptions import Description, problems_of, read_description

if TYPE_CHECKING:
    from pathlib import Path

MODELS = '''
from pydantic import BaseModel, Field

LIMIT = "not a name"
Target = Union["Card", str]

class Kind(str, Enum):
    """A kind."""
    CARD = "card"
    BANK = "bank"

class CardId(RootModel[str]):
    pass

class Base(BaseModel):
    id: Annotated[CardId, Field(description="The id.")]

class Town(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    post_code: str
    home: str = Field(alias="its_home")

class Stamp(BaseModel):
    trans_id: str = field(metadata={"name": "transId", "required": True, **OTHERS})
    at: Optional[str] = field(default=None, metadata={"type": "Element"})
    by: Optional[str] = field(default=None, metadata=OTHERS)

class Card(Base):
    kind: Kind = Field(description="The kind.")
    _secret: ClassVar[int] = 1
    holder: Optional[str] = None
    expiry: int | None = Field(default=None, alias="expiresAt")
    tags: Dict[str, List[bool]] = {}
    level: Literal["low", "high"] = "low"
    paid: datetime.datetime = None
    note: "unknown words" = None
'''
PLAIN = """
class Order:
    lines: list
    target: 'Kind'

class Recipient:
    swagger_types = {"routing_order": "str", "cards": "list[Card]", "others": "dict(str, str)"}
    attribute_map = {"routing_order": "routingOrder", "cards": "cards", "others": "others"}
"""
CARD = {"id": "1", "kind": "card", "paid": "2031-05-06", "note": 1}


@pytest.mark.parametrize(
    "expression, value, problems",
    [
        ("Card", CARD, []),
        ("Card", {"id": "1"}, ["body has no kind."]),
        ("Town", {"postCode": "8900", "its_home": 1}, ["body.its_home is no string."]),
        ("Stamp", {"transId": 1, "at": 2}, ["body.transId is no string.", "body.at is no string."]),
        ("Stamp", {"by": "a"}, ["body has no transId."]),
        ("Card", {**CARD, "id": 1}, ["body.id is no string."]),
        ("Card", {**CARD, "kind": "cat"}, ["body.kind cannot be 'cat'."]),
        ("Card", {**CARD, "holder": None, "expiresAt": None}, []),
        ("Card", {**CARD, "expiry": 1}, ["body.expiry is not known."]),
        ("Card", {**CARD, "tags": {"a": [1]}}, ["body.tags.a[0] is no boolean."]),
        ("Card", {**CARD, "level": "top"}, ["body.level cannot be 'top'."]),
        ("Order", {"lines": [1], "target": "cat"}, ["body.target cannot be 'cat'."]),
        ("Order", {}, []),
        ("Recipient", {"routingOrder": 1, "others": 1}, ["body.routingOrder is no string."]),
        ("Recipient", {"cards": [{**CARD, "a": 1}]}, ["body.cards[0].a is not known."]),
        ("Target", 1, ["body is no string."]),
    ],
)
def test_type_is_read(expression: str, value: Any, problems: list[str]) -> None:
    """A value is checked against its annotations; only models declare required fields."""
    operations = f'interface Operations {{ "POST /a": {{ body: {expression} }} }}'
    root = describe_operations({"models.py": MODELS, "plain.py": PLAIN}, operations)
    schema = root["paths"]["/a"]["post"]["requestBody"]["content"]["*/*"]["schema"]

    assert problems == problems_of(Description(root), schema, value, "writeOnly")


def test_facts_of_a_wheel_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The description of an unpacked wheel has the version and licence from its metadata."""
    package = tmp_path / "acme" / "sdk"
    (package / "sdk-1.2.dist-info").mkdir(parents=True)
    metadata = "Metadata-Version: 2.4\nVersion: 1.2\nLicense-Expression: MIT\n"
    (package / "sdk-1.2.dist-info" / "METADATA").write_text(metadata, "utf-8")
    (tmp_path / "acme.d.ts").write_text('interface Operations { "GET /a": {} }', "utf-8")
    monkeypatch.setattr(description_types, "OPERATIONS", tmp_path)

    assert {"version": "1.2", "license": {"name": "MIT"}} == read_description(package)["info"]
