"""The fields that vendors' modules read from responses are named in the vendors' descriptions."""

from __future__ import annotations

import dis
import importlib
import json
import re
import tomllib
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage.vendor_sdk import Answer
from moorage.vendors.payments import _braintree_documents
from tests.vendors.test_official_descriptions import EXCERPTS, texts_in
from tools.planted import vendor_of

if TYPE_CHECKING:
    from collections.abc import Iterator

READERS: Final = {name for name in vars(Answer) if not name.startswith("_")}
FIELDS: Final = Path(__file__).parent / "undescribed_fields.toml"
"""Fields of errors and events that no excerpt describes: those in other documents, and the rest."""
WITH_QUERIES: Final = {"braintree": _braintree_documents}
"""Vendors without an excerpt whose GraphQL queries name each field that is returned."""
VENDORS: Final = sorted(
    {path.stem for path in EXCERPTS.iterdir() if path.stem != "README"} | {*WITH_QUERIES}
)


def functions_of(owner: ModuleType | type, module: str) -> Iterator[FunctionType]:
    """Yield the functions that a module or class defines."""
    for value in vars(owner).values():
        function: Any = getattr(value, "__func__", value)
        if isinstance(function, FunctionType) and function.__module__ == module:
            yield function
        elif isinstance(value, type) and value.__module__ == module and value is not owner:
            yield from functions_of(value, module)


def read_fields(code: CodeType) -> Iterator[str]:
    """Yield each string that a function passes as the first argument to a method of `Answer`."""
    steps = list(dis.get_instructions(code))
    for step, following in pairwise(steps):
        is_method = step.opname == "LOAD_METHOD" or "NULL" in step.argrepr
        text = following.argval if following.opname == "LOAD_CONST" else None
        if is_method and step.argval in READERS and isinstance(text, str):
            yield text
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from read_fields(constant)


@cache
def described_names(vendor: str) -> frozenset[str]:
    """Return all words of a vendor's excerpts, or of its queries."""
    if vendor in WITH_QUERIES:
        queries = [text for text in vars(WITH_QUERIES[vendor]).values() if isinstance(text, str)]
        return frozenset(re.findall(r"\w+", " ".join(queries)))
    files = [*EXCERPTS.glob(f"{vendor}.*"), *EXCERPTS.glob(f"{vendor}/*")]
    words: set[str] = set()
    for file in files:
        text = file.read_text("utf-8")
        texts = texts_in(json.loads(text)) if file.suffix == ".json" else [text]
        words.update(word for part in texts for word in re.split(r"[^\w@$-]", part))
    return frozenset(words)


planted_vendor = cache(vendor_of)


@cache
def names_of_contract(contract: str) -> frozenset[str]:
    """Return all words of the excerpts of a contract's vendors."""
    vendors = [vendor for vendor in VENDORS if planted_vendor(vendor).contract == contract]
    return frozenset().union(*map(described_names, vendors))


def undescribed_fields(vendor: str) -> set[str]:
    """Return the fields that a vendor's modules read but that no excerpt contains.

    A module of several vendors, such as `_psd2`, is compared with the excerpts of all of them.
    """
    fields: set[str] = set()
    own_name = vendor.removeprefix("amazon_")
    for path in map(Path, planted_vendor(vendor).paths):
        is_own = path.stem == vendor or path.stem.startswith(f"_{own_name}")
        names = described_names(vendor) if is_own else names_of_contract(path.parent.name)
        module = ".".join(path.with_suffix("").parts[1:])
        for function in functions_of(importlib.import_module(module), module):
            fields.update(
                field
                for field in read_fields(function.__code__)
                if not all(
                    part in names for part in field.split(".") if part and not part.isdecimal()
                )
            )
    return fields


@pytest.mark.parametrize("vendor", VENDORS)
def test_read_fields_are_described(vendor: str) -> None:
    """Each field that is read from a response is in the vendor's description, or is listed."""
    lists: dict[str, dict[str, str]] = tomllib.loads(FIELDS.read_text("utf-8"))
    listed = {word for words in lists.values() for word in words.get(vendor, "").split()}

    assert listed == undescribed_fields(vendor)
