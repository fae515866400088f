"""Changes in a vendor's API description are reported with the lines of code that they affect."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

import moorage
from moorage.domain.openapi.drift import Change, ChangeKind
from moorage.errors import ConfigurationError
from moorage.grading.drift import VendorFacts, described_hosts, facts_of, vendor_drift, vendors_at
from moorage.grading.sources import modules_of, texts_of
from moorage.wiring.installed_vendors import vendor_class
from tests.support.command import command

Json = Any

BATCHES_PATH = "/xms/v1/{plan}/batches"
OLD: Json = {
    "openapi": "3.0.3",
    "servers": [{"url": "https://us.sms.api.sinch.com"}],
    "paths": {
        BATCHES_PATH: {
            "post": {
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {
                                "required": ["to"],
                                "properties": {
                                    "to": {"type": "array", "items": {"type": "string"}},
                                    "body": {"type": "string"},
                                    "client_reference": {"type": "string"},
                                    "campaign_id": {"type": "string"},
                                },
                            }
                        }
                    }
                },
                "responses": {},
            }
        },
        f"{BATCHES_PATH}/{{batch}}/delivery_report": {
            "get": {
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {
                                "schema": {
                                    "properties": {
                                        "batch_id": {"type": "string"},
                                        "statuses": {
                                            "type": "array",
                                            "items": {
                                                "properties": {
                                                    "status": {"enum": ["Queued", "Expired"]}
                                                }
                                            },
                                        },
                                    }
                                }
                            }
                        }
                    }
                }
            }
        },
    },
}
"""An excerpt in the form of Sinch's description."""


@pytest.fixture(scope="module", name="facts")
def _facts() -> VendorFacts:
    return facts_of("sinch")


def write_description(folder: Path, name: str, description: object) -> str:
    """Write a description to a file, and return its path."""
    path = folder / name
    path.write_text(json.dumps(description), "utf-8")
    return str(path)


def source_line(place: str) -> str:
    """Return the line of code at a location such as moorage/vendors/sms/sinch.py:7."""
    path, _, number = place.rpartition(":")
    root = Path(moorage.__file__).parent.parent
    return (root / path).read_text("utf-8").splitlines()[int(number) - 1]


def test_change_is_shown_with_its_line(tmp_path: Path) -> None:
    """A removed field and a new enum value are reported with their lines; the exit code is 1."""
    new_description = copy.deepcopy(OLD)
    create, report = (
        new_description["paths"][BATCHES_PATH]["post"],
        [*new_description["paths"].values()][1]["get"],
    )
    fields = create["requestBody"]["content"]["application/json"]["schema"]["properties"]
    del fields["client_reference"], fields["campaign_id"]
    answer = report["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    answer["statuses"]["items"]["properties"]["status"]["enum"] = ["Queued", "Expired", "Held"]
    files = [
        write_description(tmp_path, "old.json", OLD),
        write_description(tmp_path, "new.json", new_description),
    ]
    result = command("vendors", "drift", *files, "--json")
    people = command("vendors", "drift", *files, "--vendor", "sinch")
    changes = result.result["vendors"][0]["changes"]

    assert (1, 1) == (result.code, people.code)
    shown_changes = {(change["kind"], change["field"], change["breaks"]) for change in changes}
    removal = ("field removed", "client_reference", True)
    assert {removal, ("words added", "statuses[].status", False)} == shown_changes
    assert '"client_reference"' in source_line(changes[0]["fact"]) + source_line(changes[1]["fact"])
    assert '"status"' in source_line(changes[0]["fact"]) + source_line(changes[1]["fact"])
    assert "2 changes affect moorage" in people.out


def test_change_that_breaks_nothing_succeeds(tmp_path: Path) -> None:
    """Equal descriptions have no changes, and the exit code is 0."""
    file = write_description(tmp_path, "same.json", OLD)
    result = command("vendors", "drift", file, file, "--vendor", "sinch", "--json")

    assert 0 == result.code
    assert [] == result.result["vendors"][0]["changes"]
    assert 2 == len(result.result["vendors"][0]["compared"])


def test_removed_operation_is_shown_with_the_line_of_its_path(facts: VendorFacts) -> None:
    """A removed operation is reported at its path's line, or else at the module's first line."""
    new_description = {**OLD, "paths": {BATCHES_PATH: OLD["paths"][BATCHES_PATH]}}
    change = vendor_drift(facts, "sinch", OLD, new_description).changes[0]
    unknown = Change(kind=ChangeKind.OPERATION_REMOVED, operation="GET /a", sentence="It is gone.")

    assert "delivery_report" in source_line(str(facts.line_of(change)))
    assert facts.start == facts.line_of(unknown)


def test_removed_enum_value_is_reported_at_line_of_table_that_contains_it(
    facts: VendorFacts,
) -> None:
    """A removed enum value is reported at the line of the table that contains it."""
    change = Change(
        kind=ChangeKind.WORDS_REMOVED, operation="GET /a", sentence="…", words=("Expired",)
    )

    assert '"Expired"' in source_line(str(facts.line_of(change)))


def test_description_of_somebody_else_is_refused(facts: VendorFacts) -> None:
    """A description is refused if it has none of the vendor's operations or an unknown host."""
    with pytest.raises(ConfigurationError, match="--vendor"):
        vendor_drift(facts, "sinch", {"paths": {"/a": {}}}, {"paths": {}})
    with pytest.raises(ConfigurationError, match="--vendor"):
        vendors_at({"servers": [{"url": "https://nobody.example"}]})


@pytest.mark.untraced
def test_vendor_is_chosen_by_its_host() -> None:
    """The host in an API description determines the vendor, in OpenAPI 2 and 3."""
    assert ("sinch",) == vendors_at(OLD)
    assert ("twilio",) == vendors_at({"host": "api.twilio.com"})
    assert frozenset() == described_hosts([])


def test_invalid_urls_of_servers_are_ignored() -> None:
    """A server whose URL is invalid has no host, and the other servers keep theirs."""
    urls = ["http://[::1", "https://us.sms.api.sinch.com"]
    description = {"servers": [*({"url": url} for url in urls), {"url": 7}, 8]}

    assert {"us.sms.api.sinch.com"} == described_hosts(description)


def test_names_in_forms_and_bodies_are_recorded() -> None:
    """Fields that a vendor sends in forms and bodies are recorded, nested ones as dotted paths."""
    stripe, adyen = facts_of("stripe").usage, facts_of("adyen").usage
    intents, payments = ("POST", "/v1/payment_intents"), ("POST", "/v72/payments")

    assert {"amount", "currency", "metadata.reference", "expand"} <= stripe.sent[intents]
    assert {"amount.value", "merchantAccount"} <= adyen.sent[payments]


def test_requests_without_a_body_are_recorded() -> None:
    """A request that declares JSON and has no body is recorded without fields."""
    usage = facts_of("gls").usage
    [fields] = [fields for (_, path), fields in usage.sent.items() if "/cancel/" in path]

    assert not fields


def test_docstrings_and_sentences_are_no_facts() -> None:
    """Names in a vendor's code are collected, but not docstrings, error messages or sentences."""
    texts = texts_of(modules_of(vendor_class("sinch")))

    assert {"body.message", "message", "Aborted", "statuses"} <= texts.keys()
    assert "field" not in texts  # only in an error
    assert not [text for text in texts if "one recipient" in text or "dashboard" in text]
