"""Avro schemas drawn at random, a changed version of each, and data that fit them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
NAMES = ("a", "b", "c")


@st.composite
def schemas(draw: st.DrawFn, depth: int = 3, counter: list[int] | None = None) -> Any:
    """Return a schema whose named types have names that include their path."""
    counter = counter if counter is not None else [0]
    kinds = ["primitive"]
    if depth:
        kinds += ["record", "record", "enum", "fixed", "array", "map", "union"]
    kind = draw(st.sampled_from(kinds))
    if kind == "primitive":
        return draw(st.sampled_from(PRIMITIVES))
    counter[0] += 1
    name = f"{kind[0].upper()}{draw(st.integers(0, 2))}n{counter[0]}"
    inner = schemas(depth - 1, counter)
    if kind == "record":
        fields = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))
        return {"type": kind, "name": name, "fields": [_field(draw, n, inner) for n in fields]}
    if kind == "enum":
        symbols = draw(st.lists(st.sampled_from(["X", "Y", "Z"]), min_size=1, unique=True))
        return {"type": kind, "name": name, "symbols": symbols}
    if kind == "fixed":
        return {"type": kind, "name": name, "size": draw(st.integers(1, 2))}
    if kind in {"array", "map"}:
        return {"type": kind, "items" if kind == "array" else "values": draw(inner)}
    branches = draw(st.lists(inner, min_size=1, max_size=3, unique_by=_key))
    return [branch for branch in branches if not isinstance(branch, list)] or ["null"]


def _key(schema: Any) -> Any:
    if isinstance(schema, dict):
        return schema.get("name", schema["type"])
    return schema if isinstance(schema, str) else "union"


def _field(draw: st.DrawFn, name: str, inner: Any) -> dict[str, Any]:
    schema = draw(inner)
    field = {"name": name, "type": schema}
    if schema == "null" and draw(st.booleans()):
        field["default"] = None
    return field


@st.composite
def changed_schema(draw: st.DrawFn, schema: Any) -> Any:
    """Return a schema that differs from another in a few places, or in none."""
    if draw(st.integers(0, 6)) == 0:
        return draw(st.sampled_from(PRIMITIVES))
    if isinstance(schema, str):
        wider = {"int": "long", "long": "double", "float": "double", "string": "bytes"}
        return wider.get(schema, schema) if draw(st.booleans()) else schema
    if isinstance(schema, list):
        parts = [draw(changed_schema(branch)) for branch in schema]
        unique = {str(_key(part)): part for part in parts if not isinstance(part, list)}
        if draw(st.booleans()):
            unique.setdefault("null", "null")
        return list(unique.values())
    result = dict(schema)
    if "fields" in schema:
        result["fields"] = _changed_fields(draw, schema["fields"])
    if "symbols" in schema:
        result |= _changed_symbols(draw, schema["symbols"])
    for key in ("items", "values"):
        if key in schema:
            result[key] = draw(changed_schema(schema[key]))
    return result


def _changed_symbols(draw: st.DrawFn, symbols: list[str]) -> dict[str, Any]:
    new_symbols = draw(st.sampled_from([symbols, [*symbols, "W"], symbols[1:] or symbols]))
    return (
        {"symbols": new_symbols, "default": new_symbols[0]}
        if draw(st.booleans())
        else {"symbols": new_symbols}
    )


def _changed_fields(draw: Any, old: list[dict[str, Any]]) -> list[dict[str, Any]]:
    fields = [{**field, "type": draw(changed_schema(field["type"]))} for field in old]
    for field in fields:
        if field.get("default", 0) is None and field["type"] != "null":
            del field["default"]
    if fields and draw(st.booleans()):
        fields.pop()
    if draw(st.booleans()):
        fields.append({"name": "new", "type": "string", "default": "none"})
    if draw(st.integers(0, 4)) == 0:
        fields.append({"name": "needed", "type": "string"})
    return fields


def data(schema: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for data of a schema, drawn from all its branches and symbols."""
    if isinstance(schema, list):
        return st.one_of([data(branch).map(_with_branch_name(branch)) for branch in schema])
    if isinstance(schema, str):
        return {
            "null": st.none(),
            "boolean": st.booleans(),
            "int": st.integers(-(2**31), 2**31 - 1),
            "long": st.integers(-(2**63), 2**63 - 1),
            "float": st.floats(width=32, allow_nan=False),
            "double": st.floats(allow_nan=False),
            "bytes": st.binary(max_size=4).map(_ascii),
            "string": st.text("ab", max_size=4),
        }[schema]
    kind = schema["type"]
    if kind == "record":
        fields = {field["name"]: data(field["type"]) for field in schema["fields"]}
        return st.fixed_dictionaries(fields)
    if kind == "enum":
        return st.sampled_from(schema["symbols"])
    if kind == "fixed":
        return st.binary(min_size=schema["size"], max_size=schema["size"])
    if kind == "array":
        return st.lists(data(schema["items"]), min_size=1, max_size=2)
    return st.dictionaries(
        st.text("ab", max_size=2), data(schema["values"]), min_size=1, max_size=2
    )


_SAMPLES: dict[str, Any] = {
    "null": None, "boolean": True, "int": 1, "long": 2**40, "float": 0.5, "double": 1e300,
    "bytes": b"a", "string": "a",
}  # fmt: skip


def samples(schema: Any) -> list[Any]:
    """Return data of a schema in which each branch and each symbol occurs."""
    if isinstance(schema, list):
        return [_with_branch_name(branch)(value) for branch in schema for value in samples(branch)]
    if isinstance(schema, str):
        return [_SAMPLES[schema]]
    kind = schema["type"]
    if kind == "enum":
        return list(schema["symbols"])
    if kind == "fixed":
        return [b"a" * schema["size"]]
    if kind == "array":
        return [[value] for value in samples(schema["items"])]
    if kind == "map":
        return [{"a": value} for value in samples(schema["values"])]
    fields = {field["name"]: samples(field["type"]) for field in schema["fields"]}
    first = {name: values[0] for name, values in fields.items()}
    return [first, *({**first, name: v} for name, values in fields.items() for v in values[1:])]


def _ascii(value: bytes) -> bytes:
    """Return bytes that are ASCII, because Avro can read bytes as a string."""
    return bytes(byte & 0x7F for byte in value)


def _with_branch_name(branch: Any) -> Any:
    """Return a function that pairs a value with its union branch's name."""
    if isinstance(branch, dict):
        name = branch.get("name", branch["type"])
        return lambda value: (name, value)
    return lambda value: (branch, value)
