"""The facts that the tool `tools.fact_mutants` changes, and how it changes them."""

from __future__ import annotations

import sys
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING

import attrs
import pytest

from tools.fact_mutants import Tables, oracle_of
from tools.facts import facts_in
from tools.patched_modules import patch_modules

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = '''
"""A vendor."""

PAGE: Final = 100
WAIT: Final = 30.0
CODES: Final = "too_long\\ntoo_short"
TABLE: Final = {**words(sdk.InvalidRequest, CODES), "done": State.DONE, 404: VendorRejected}
REMEDY: Final = "Send a shorter text."
documentation: Final = "https://vendor.example/docs"

class Sparks(Vendor):
    name = "sparks"
    capabilities = members_of(Capability, "look_up list")
    token: str = field(repr=False, validator=matches("[0-9]+", problem="It is no number."))

    async def send(self, wire):
        """Send."""
        required(answer.text("id"), "an id")
        if answer.status > 499:
            raise VendorFailed("Sparks failed.", field="id")
        check_zip(wire.zip, "sender")
        check_currency("SparksPay", wire.currency)
        read_zip(answer, "postalCode")
        needed(text("createdAt"), "time")
        refusal(kind, "SparksPay", response)
        wire.url.rstrip("#")
        quote(wire.id, safe=":")
        wire.ref("position", order=wire.ref(answer.text("orderId")))
        Service("files", timeout=9.0)
        return Request.post(f"/v1/{self.token}/send", json={"dry": False, "by": "Sparks"})

def check_zip(code, field):
    if code is None:
        raise InvalidData("The address has no ZIP code.", field=field)

def check_currency(vendor, currency):
    if currency is None:
        raise InvalidData(f"{vendor} needs a currency.", field="currency")

def read_zip(answer, field):
    return answer.text(field)
'''


@pytest.mark.skipif(
    sys.version_info < (3, 12),
    reason="an older Python does not tell where a part of an f-string is",
)
def test_fact_mutants_change_each_fact_once() -> None:
    """The tool changes each word, number, path or name of a vendor once, but no text for people."""
    facts = [(fact.kind, fact.was, fact.becomes) for fact in facts_in("sparks.py", SOURCE)]

    assert len(facts) == len(set(facts))
    assert {
        ("number", "100", "101"),
        ("number", "30.0", "60.0"),
        ("word", "too_long\\ntoo_short", "too_long\\ntoo_shortx"),
        ("meaning", "sdk.InvalidRequest", '__import__("moorage").VendorFailed'),
        ("text", '"done"', "'donex'"),
        (
            "meaning",
            "State.DONE",
            "(next(one for one in type(State.DONE) if one is not State.DONE))",
        ),
        ("number", "404", "405"),
        ("meaning", "VendorRejected", '__import__("moorage").VendorFailed'),
        ("word", "look_up", ""),
        ("word", "list", ""),
        ("text", '"[0-9]+"', "'[0-9]+x'"),
        ("number", "499", "500"),
        ("text", '"postalCode"', "'postalCodex'"),
        ("text", '"createdAt"', "'createdAtx'"),
        ("text", '"#"', "'x'"),
        ("text", '":"', "''"),
        ("text", '"orderId"', "'orderIdx'"),
        ("number", "9.0", "18.0"),
        ("text", "/v1/", "/v1/x"),
        ("text", "/send", "/sendx"),
        ("text", '"dry"', "'dryx'"),
        ("boolean", "False", "True"),
        ("text", '"by"', "'byx'"),
    } == set(facts)


def _module(name: str, source: str) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(attrs=attrs, partial=partial)
    exec(source, vars(module))  # noqa: S102 - the source is below
    return module


def test_loaded_modules_have_the_values_of_a_changed_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Changed tables, functions, closures, classes and imports take effect in loaded modules."""
    source = """
URL = "/v1"
TABLE = {"a": (1, 2)}
def row(path):
    return lambda fields: fields[path]
ROW = row("id")
READ = partial(row, "id")
@attrs.frozen
class Vendor:
    limit = 10
    url: str = "/v1"
    def call(self):
        return URL, TABLE["a"]
"""
    old = _module("patched_module", source)
    user = _module("patched_user", "")
    vars(user).update(PATH=old.URL)
    monkeypatch.setitem(sys.modules, "patched_module", old)
    monkeypatch.setitem(sys.modules, "patched_user", user)
    table, row, vendor = old.TABLE, old.ROW, old.Vendor()
    changed = source.replace("/v1", "/v2").replace("(1, 2)", "(1, 3)").replace("10", "11")
    new = _module("patched_module", changed.replace('"id"', '"ref"'))

    patch_modules({"patched_module": new}, {("patched_module", "URL"): [("patched_user", "PATH")]})

    assert {"a": (1, 3)} == table
    assert "/v2" == old.URL == user.PATH
    assert "ref" == row({"ref": "ref"}) == old.READ()({"ref": "ref"})
    assert ("/v2", (1, 3)) == vendor.call()
    assert (11, "/v2") == (vendor.limit, type(vendor)().url)


def test_functions_that_use_a_table_are_found(tmp_path: Path) -> None:
    """A function that uses a table made from another table counts as a user of both."""
    path = str(tmp_path / "sparks.py")
    source = "A = 1\nB = {2: A}\ndef read():\n    return B\ndef other():\n    return 3\n"
    (tmp_path / "sparks.py").write_text(source, "utf-8")
    tables = Tables([path])
    (fact,) = [fact for fact in facts_in(path, source) if fact.line == 1]

    assert "A" == tables.name_of(fact)
    assert [(path, 3), (path, 4)] == tables.lines_using("A")


@pytest.mark.parametrize(
    "test, oracle",
    [
        ("tests/vendors/test_official_descriptions.py::test_vendor[ups]", "description"),
        ("tests/vendors/test_sms_vendors.py::test_sms_vendor_conforms[check]", "kit"),
        ("tests/vendors/test_recorded_rates.py::test_rates", "recordings"),
        ("tests/vendors/test_ups.py::test_rates", "tests"),
    ],
)
def test_results_show_which_kind_of_test_noticed_the_changed_fact(test: str, oracle: str) -> None:
    """The results show whether description, kit, recordings or tests noticed a changed fact."""
    assert oracle == oracle_of(test)
