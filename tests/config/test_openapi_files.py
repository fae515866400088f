"""OpenAPI files, in JSON and YAML, are read in bounded memory."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from moorage import ConfigurationError, DescriptionRefused, Service, read_openapi
from moorage.config import openapi_files, yaml_values
from moorage.config.syntax import MalformedText
from moorage.config.yaml_values import yaml_value
from tests.support.openapi_samples import description, operation, parameter

if TYPE_CHECKING:
    from pathlib import Path

PARAMETERS = [parameter("id", "path")]
SHOP = description({"/orders": {"get": operation("list")}})


def service_of(file: Path, content: str | bytes) -> Service:
    """Write an OpenAPI file with this content, and return its service."""
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Service.from_openapi(file)


@pytest.mark.parametrize("name", ["shop.json", "shop.yaml", "shop.YML", "shop"])
def test_file_is_read_by_its_ending(name: str, tmp_path: Path) -> None:
    """An OpenAPI file named .yaml or .yml is read as YAML, and any other file as JSON."""
    content = json.dumps(SHOP)
    if "y" in name.lower():
        content = yaml.safe_dump(SHOP)
    service = service_of(tmp_path / name, content)
    assert service == Service.from_openapi(SHOP) == Service.from_openapi(str(tmp_path / name))


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.json", "{", "is not valid JSON"),
        ("a.json", '{"a": 1, "a": 2}', "appears twice"),
        ("a.json", '{"a": NaN}', "NaN is not a JSON number. Write a number"),
        ("a.json", b"\xff", "not encoded in UTF-8"),
        ("a.json", "[" * 500_000, "nested too deeply"),
        ("a.yaml", "[" * 500_000, "more than 200 levels"),
        ("a.yaml", "{" * 500_000, "more than 200 levels|not a string"),
        ("a.yaml", "a: 1\na: 2", "appears twice"),
        ("a.yaml", "a: [", "is not valid YAML: the syntax is invalid"),
        ("a.yaml", "a: 1\n---\nb: 2", "2 documents"),
        ("a.yaml", "", "0 documents"),
        ("a.yaml", "a: !!python/object:os.system 1", "is a tag"),
        ("a.yaml", "a: !x {}", "is a tag"),
        ("a.yaml", "a: ! 1", "is a tag"),
        ("a.yaml", "a: *b", r"\*b refers to no value"),
        ("a.yaml", "a: &b [*b]", r"\*b refers to no value"),
        ("a.yaml", "a: &b {x: 1}\nc:\n  <<: *b", "merges"),
        ("a.yaml", "[a]: 1", "key is not a string"),
        ("a.yaml", "a: &b c\n*b : 1", "key is not a string"),
        ("a.yaml", "a: " + "9" * 5_000, "number is too long"),
        ("a.yaml", "\x01", "the syntax is invalid"),
    ],
)
def test_openapi_file_that_cannot_be_parsed_is_refused_with_reason(
    name: str, content: str | bytes, message: str, tmp_path: Path
) -> None:
    """An OpenAPI file that cannot be parsed is refused with the reason."""
    with pytest.raises(ConfigurationError, match=message) as excinfo:
        service_of(tmp_path / name, content)
    assert "description" == excinfo.value.path


def test_files_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An OpenAPI file that is missing, unreadable or too large is refused."""
    for path in (tmp_path / "none.json", "a\0b"):
        with pytest.raises(ConfigurationError, match=r"cannot be read|no file name may contain"):
            read_openapi(path)
    monkeypatch.setattr(openapi_files, "_MAX_BYTES", 10)
    with pytest.raises(ConfigurationError, match="more than 10 bytes"):
        service_of(tmp_path / "a.json", json.dumps(SHOP))
    with pytest.raises(ConfigurationError, match="more than 10 bytes"):
        read_openapi("/dev/zero")  # a file without an end, whose size is zero


def test_yaml_without_pyyaml_names_the_extra_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without PyYAML, the error for an OpenAPI file in YAML names the pip extra to install."""
    monkeypatch.delitem(sys.modules, "moorage.config.yaml_values")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigurationError, match=r"\[yaml\]"):
        service_of(tmp_path / "a.yaml", "{}")


def test_yaml_aliases_with_millions_of_values_are_refused(tmp_path: Path) -> None:
    """YAML aliases that expand to more than five million values are refused at once."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(ConfigurationError, match="expands to more than 5000000 values"):
        service_of(tmp_path / "a.yaml", "\n".join(lines))


def test_yaml_alias_stands_for_the_value_of_its_anchor(tmp_path: Path) -> None:
    """In an OpenAPI file, a YAML alias stands for the value of its anchor."""
    text = (
        yaml.safe_dump(description()).replace("paths: {}", "")
        + "paths:\n  /a: &a {get: {responses: {200: {description: no}}}}\n  /b: *a\n"
    )
    service = service_of(tmp_path / "a.yaml", text)
    assert ["GET /a", "GET /b"] == [endpoint.name for endpoint in service.endpoints]


@pytest.mark.parametrize(
    "text, value",
    [
        (
            "[no, yes, on, 2026-01-01, 1_000, 0o7, 1:30]",
            [*["no", "yes", "on", "2026-01-01", "1_000", "0o7", "1:30"]],
        ),
        ("[true, False, null, ~, -1, 1.5, .5, 1e3]", [True, False, None, None, -1, 1.5, 0.5, 1e3]),
        ("['1', \"true\"]", ["1", "true"]),
        ("{200: a, true: b, '': c}", {"200": "a", "true": "b", "": "c"}),
        ("- &a {b: }\n- *a", [{"b": None}, {"b": None}]),
        ("&a text", "text"),
    ],
)
@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.CSafeLoader])
def test_plain_words_are_those_of_json(
    text: str, value: object, loader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unquoted YAML values are strings, except true, false, null and decimal numbers.

    Keys are strings.
    """
    monkeypatch.setattr(yaml_values, "_LOADER", loader)
    assert value == yaml_value(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text("abc: -#\n'é", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("ab: ", max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_json_has_the_same_value_when_read_as_yaml(value: object) -> None:
    """A JSON string has the same value when it is read as YAML."""
    assert value == yaml_value(json.dumps(value))


@given(st.text(st.sampled_from("ab:-[]{}&*!?|>#'\"\n ,%@0\t"), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """A YAML string either gives a value that JSON can express, or is refused as malformed."""
    with contextlib.suppress(MalformedText):
        json.dumps(yaml_value(text))


@pytest.mark.untraced
def test_openapi_file_of_30_mb_is_read(tmp_path: Path) -> None:
    """An OpenAPI file of 30 MB with huge enumerations and many operations is read."""
    enum = [f"value-{number}" for number in range(1_000_000)]
    paths = {
        f"/p{n}/{{id}}": {"get": operation(f"o{n}", parameters=PARAMETERS)} for n in range(9_000)
    }
    tree = description(
        paths, components={"schemas": {"Huge": {"enum": enum}, "Text": "x" * 12_000_000}}
    )
    content = json.dumps(tree)
    assert len(content) > 29_000_000
    service = service_of(tmp_path / "large.json", content)
    assert 9_000 == len(service.endpoints)


@pytest.mark.untraced
def test_duplicate_operation_ids_are_all_named() -> None:
    """If ten thousand OpenAPI operations have the same id, each one is reported."""
    tree = description({f"/p{number}": {"get": operation("same")} for number in range(10_000)})
    with pytest.raises(DescriptionRefused) as excinfo:
        Service.from_openapi(tree)
    assert 10_000 == len(excinfo.value.problems)
