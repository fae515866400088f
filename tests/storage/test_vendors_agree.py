"""All storage vendors give the same result in each scenario of this file."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import pytest

from moorage.contracts.routes import Account
from moorage.contracts.storage import ByteRange, Checksum, PutOptions
from moorage.errors import (
    ConnectorError,
    FileNotFound,
    InvalidData,
    InvalidRequest,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing import name_of
from tests.storage.azure_harness import azure, over_azure
from tests.storage.gcs_harnesses import bucket, over_gcs
from tests.storage.harnesses import folder, over_s3, sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moorage.contracts.storage import ObjectInfo
    from moorage.operations.storage import Storage

PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "storage.md"
VENDORS: Final = ("s3", "azure_blob", "gcs", "local_files")
CONTENT: Final = b"bytes"
LONG: Final = CONTENT * 200_000
DEFAULT_TYPE: Final = "application/octet-stream"
OPTIONS: Final = PutOptions(content_type="a/b", metadata={"x": "1"}, cache_control="no-store")


@attrs.frozen
class Refusal:
    """An error that a scenario is expected to raise.

    Attributes:
        kind: the exact type of the error.
        status: its status; None if it is the vendor's own.
    """

    kind: type[ConnectorError]
    status: int | None = None


@contextmanager
def empty_storage(vendor: str, root: Path) -> Generator[Storage]:
    """Yield a vendor's empty storage; `root` is the folder of local files."""
    with ExitStack() as stack:
        match vendor:
            case "s3":
                hub = stack.enter_context(over_s3(stack.enter_context(sandbox())))
            case "azure_blob":
                hub = stack.enter_context(over_azure(stack.enter_context(azure())))
            case "gcs":
                hub = stack.enter_context(over_gcs(stack.enter_context(bucket())))
            case _:
                hub = stack.enter_context(Hub([Account("files", folder(root))]))
        yield hub.storage()


def _properties(info: ObjectInfo) -> tuple[object, ...]:
    return (
        info.key,
        info.size,
        info.content_type,
        info.content_encoding,
        info.cache_control,
        dict(info.metadata),
        bool(info.etag),
    )


# --- properties -------------------------------------------------------------


def upload_without_type(files: Storage) -> object:
    """Return the content types reported for an object that was uploaded without one."""
    uploaded = files.upload("a.pdf", CONTENT)
    download = files.download("a.pdf")
    download.read_all()
    return uploaded.content_type, files.head("a.pdf").content_type, download.info.content_type


def upload_of_parts_without_type(files: Storage) -> object:
    """Return the content type of a multipart object that was uploaded without one."""
    uploaded = files.upload("a", LONG, part_size=262_144)
    return uploaded.content_type, files.head("a").content_type


def copy_with_other_options(files: Storage) -> object:
    """Return the properties of a copy with new options but no content type."""
    files.upload("a", CONTENT, OPTIONS)
    return _properties(files.copy("a", "b", PutOptions(metadata={"y": "2"})))


def amazons_word_for_any_type(files: Storage) -> object:
    """Return the content type reported for an object uploaded as binary/octet-stream."""
    files.upload("a", CONTENT, PutOptions(content_type="binary/octet-stream"))
    return files.head("a").content_type


def type_with_parameters(files: Storage) -> object:
    """Return the content type of an object whose type has capitals and parameters."""
    files.upload("a", CONTENT, PutOptions(content_type="Text/Plain; Charset=UTF-8"))
    return files.head("a").content_type


def upload_with_options(files: Storage) -> object:
    """Return the properties of an object from the result of its upload."""
    return _properties(files.upload("a", CONTENT, OPTIONS))


def upload_of_parts_with_options(files: Storage) -> object:
    """Return the properties of a multipart object from the result of its upload."""
    return _properties(files.upload("a", LONG, OPTIONS, part_size=262_144))


def head_of_an_upload_with_options(files: Storage) -> object:
    """Return the properties of an uploaded object from a later HEAD request."""
    files.upload("a", CONTENT, OPTIONS)
    return _properties(files.head("a"))


def copy_of_an_object(files: Storage) -> object:
    """Return the properties of a copied object."""
    files.upload("a", CONTENT, OPTIONS)
    return _properties(files.copy("a", "b"))


def copy_to_itself(files: Storage) -> object:
    """Copy an object to itself, and return its properties, which should be unchanged."""
    files.upload("a", CONTENT, OPTIONS)
    return _properties(files.copy("a", "a"))


def copy_to_itself_with_options(files: Storage) -> object:
    """Copy an object to itself with new options, and return its properties."""
    files.upload("a", CONTENT, OPTIONS)
    return _properties(files.copy("a", "a", PutOptions(content_type="c/d")))


def identity_is_no_encoding(files: Storage) -> object:
    """Return the content encoding of an object uploaded with the encoding "identity"."""
    files.upload("a", CONTENT, PutOptions(content_encoding="identity"))
    return files.head("a").content_encoding


def metadata_that_looks_encoded(files: Storage) -> object:
    """Store metadata with values that look encoded, are empty or have separators; return it."""
    metadata = {"x": "=?UTF-8?B?YWJj?=", "y": 'a, b; "c" %25', "z": "", "1-a": "ü"}
    files.upload("a", CONTENT, PutOptions(metadata=metadata))
    return dict(files.head("a").metadata)


def unchanged_object(files: Storage) -> object:
    """Download an unchanged object conditionally; return its ETag and bytes."""
    etag = files.upload("a", CONTENT, OPTIONS).etag
    download = files.download("a", if_none_match=etag)
    return download.modified, download.length, download.info.etag == etag, download.read_all()


def unchanged_at_any_etag(files: Storage) -> object:
    """Download an existing object on the condition that none exists; return whether it was sent."""
    files.upload("a", CONTENT)
    return files.download("a", if_none_match="*").modified


# --- keys -------------------------------------------------------------------


def keys_in_both_cases(files: Storage) -> object:
    """Store two objects whose keys differ only in case, and return both."""
    files.upload("A", b"1")
    files.upload("a", b"2")
    return files.download("A").read_all(), [item.key for item in files.list().objects]


def keys_of_both_normal_forms(files: Storage) -> object:
    """Store two objects whose keys differ only in Unicode normalisation, and return both."""
    files.upload("\u00fc", b"1")
    files.upload("u\u0308", b"2")
    return files.download("\u00fc").read_all(), [item.key for item in files.list().objects]


def keys_with_odd_names(files: Storage) -> object:
    """Store objects whose keys look like paths or escapes, and return them."""
    keys = ("#", "%2e", ".hidden", "?", "CON", "a b", "a%2Fb", "a+b", "a.meta", "b:c", "~", "😀")
    for key in keys:
        files.upload(key, key.encode())
    are_separate = all(files.download(key).read_all() == key.encode() for key in keys)
    return are_separate, [item.key for item in files.list().objects] == sorted(keys, key=str.encode)


def key_below_an_object(files: Storage) -> object:
    """Store an object below the key of another object."""
    files.upload("a", b"1")
    files.upload("a/b", b"2")
    return files.download("a").read_all()


def key_with_a_slash_at_its_end(files: Storage) -> object:
    """Store an object whose key ends with a slash."""
    files.upload("a/", b"1")
    return files.exists("a")


def key_with_a_backslash(files: Storage) -> object:
    """Store an object whose key contains a backslash, and look it up with a slash."""
    files.upload("a\\b", b"1")
    return files.exists("a/b")


def key_with_a_dot_at_its_end(files: Storage) -> object:
    """Store an object whose key ends with a dot."""
    files.upload("a.", b"1")
    return files.exists("a")


# --- what is missing --------------------------------------------------------


def head_of_nothing(files: Storage) -> object:
    """Request the properties of a missing object."""
    return files.head("none")


def download_of_nothing(files: Storage) -> object:
    """Download a missing object."""
    return files.download("none")


def conditional_download_of_nothing(files: Storage) -> object:
    """Download a missing object under a condition."""
    return files.download("none", if_match="0123")


def copy_of_nothing(files: Storage) -> object:
    """Copy a missing object."""
    return files.copy("none", "b")


def conditional_copy_of_nothing(files: Storage) -> object:
    """Copy a missing object over another under a condition."""
    etag = files.upload("b", CONTENT).etag
    return files.copy("none", "b", PutOptions(if_match=etag))


def deletion_of_nothing(files: Storage) -> object:
    """Delete a missing object, alone and in a batch."""
    files.delete("none")
    return [result.ok for result in files.delete_many(["none", "none", "more"])]


def replacement_of_nothing(files: Storage) -> object:
    """Replace a missing object on the condition that it exists."""
    return files.upload("none", CONTENT, PutOptions(if_match="0123"))


def replacement_of_nothing_by_parts(files: Storage) -> object:
    """Replace a missing object by a multipart upload, on the condition that it exists."""
    return files.upload("none", LONG, PutOptions(if_match="0123"), part_size=262_144)


# --- conditions and ranges --------------------------------------------------


def second_creation(files: Storage) -> object:
    """Create an object twice, on the condition that it does not exist."""
    files.upload("a", CONTENT)
    return files.upload("a", b"other", PutOptions(if_none_match="*"))


def copy_over_an_object(files: Storage) -> object:
    """Copy over an existing object, on the condition that none exists."""
    files.upload("a", CONTENT)
    files.upload("b", b"other")
    return files.copy("a", "b", PutOptions(if_none_match="*"))


def download_of_another(files: Storage) -> object:
    """Download an object only if it has a given ETag, which it does not have."""
    files.upload("a", CONTENT)
    return files.download("a", if_match="0123")


def download_of_a_changed_one(files: Storage) -> object:
    """Download an object only if it has not changed since a date before its upload."""
    files.upload("a", CONTENT)
    return files.download("a", if_unmodified_since=datetime(2020, 1, 1, tzinfo=UTC))


def range_behind_the_end(files: Storage) -> object:
    """Download a range behind the end of an object."""
    files.upload("a", CONTENT)
    return files.download("a", range=ByteRange(100))


def range_of_an_empty_object(files: Storage) -> object:
    """Download a range of an empty object."""
    files.upload("a", b"")
    return files.download("a", range=ByteRange(-1))


def end_of_an_object(files: Storage) -> object:
    """Download the end of an object; return the range's length and the object's size."""
    files.upload("a", CONTENT)
    download = files.download("a", range=ByteRange(-2))
    return download.info.size, download.length, download.read_all()


def foreign_cursor(files: Storage) -> object:
    """List objects with a cursor that no page has returned."""
    files.upload("a", CONTENT)
    return files.list(cursor="?")


def wrong_checksum(files: Storage) -> object:
    """Upload an object with a wrong checksum."""
    options = PutOptions(checksum=Checksum.of("sha256", b"other"))
    return files.upload("a", CONTENT, options)


# --- uploads in parts -------------------------------------------------------


def upload_resumed_after_its_end(files: Storage) -> object:
    """Resume an upload that is complete."""
    ref = files.start_upload("a").ref
    files.upload("a", CONTENT, resume=ref)
    return files.upload("a", CONTENT, resume=ref)


def upload_resumed_after_its_abort(files: Storage) -> object:
    """Resume an upload that was aborted."""
    ref = files.start_upload("a").ref
    files.abort_upload(ref)
    files.upload("a", CONTENT, resume=ref)
    return files.download("a").read_all()


def upload_aborted_after_its_end(files: Storage) -> object:
    """Abort a complete upload, and check that the object is still there."""
    ref = files.start_upload("a").ref
    files.upload("a", CONTENT, resume=ref)
    files.abort_upload(ref)
    files.abort_upload(ref)
    return files.download("a").read_all()


def upload_of_another_key(files: Storage) -> object:
    """Resume an upload under another key."""
    return files.upload("b", CONTENT, resume=files.start_upload("a").ref)


COPIED_PROPERTIES: Final = ("a", 5, "a/b", None, "no-store", {"x": "1"}, True)
UNMET_CONDITION: Final = Refusal(VendorRejected, 412)
MISSING: Final = Refusal(FileNotFound, 404)
NO_RANGE: Final = Refusal(InvalidRequest, 416)

SCENARIOS: Final[dict[Callable[[Storage], object], object]] = {
    upload_without_type: (DEFAULT_TYPE, DEFAULT_TYPE, DEFAULT_TYPE),
    upload_of_parts_without_type: (DEFAULT_TYPE, DEFAULT_TYPE),
    copy_with_other_options: ("b", 5, DEFAULT_TYPE, None, None, {"y": "2"}, True),
    amazons_word_for_any_type: DEFAULT_TYPE,
    type_with_parameters: "Text/Plain; Charset=UTF-8",
    upload_with_options: COPIED_PROPERTIES,
    upload_of_parts_with_options: ("a", len(LONG), *COPIED_PROPERTIES[2:]),
    head_of_an_upload_with_options: COPIED_PROPERTIES,
    copy_of_an_object: ("b", *COPIED_PROPERTIES[1:]),
    copy_to_itself: COPIED_PROPERTIES,
    copy_to_itself_with_options: ("a", 5, "c/d", None, None, {}, True),
    identity_is_no_encoding: None,
    metadata_that_looks_encoded: {
        "x": "=?UTF-8?B?YWJj?=",
        "y": 'a, b; "c" %25',
        "z": "",
        "1-a": "ü",
    },
    unchanged_object: (False, 0, True, b""),
    unchanged_at_any_etag: False,
    keys_in_both_cases: (b"1", ["A", "a"]),
    keys_of_both_normal_forms: (b"1", ["u\u0308", "\u00fc"]),
    keys_with_odd_names: (True, True),
    key_below_an_object: b"1",
    key_with_a_slash_at_its_end: False,
    key_with_a_backslash: False,
    key_with_a_dot_at_its_end: False,
    head_of_nothing: MISSING,
    download_of_nothing: MISSING,
    conditional_download_of_nothing: MISSING,
    copy_of_nothing: MISSING,
    conditional_copy_of_nothing: MISSING,
    deletion_of_nothing: [True, True, True],
    replacement_of_nothing: UNMET_CONDITION,
    replacement_of_nothing_by_parts: UNMET_CONDITION,
    second_creation: UNMET_CONDITION,
    copy_over_an_object: UNMET_CONDITION,
    download_of_another: UNMET_CONDITION,
    download_of_a_changed_one: UNMET_CONDITION,
    range_behind_the_end: NO_RANGE,
    range_of_an_empty_object: NO_RANGE,
    end_of_an_object: (5, 2, b"es"),
    foreign_cursor: Refusal(InvalidRequest, 400),
    wrong_checksum: Refusal(InvalidData),
    upload_resumed_after_its_end: Refusal(VendorRejected),
    upload_resumed_after_its_abort: Refusal(VendorRejected),
    upload_aborted_after_its_end: CONTENT,
    upload_of_another_key: Refusal(InvalidData),
}
"""Each scenario and its result at every vendor."""

DIFFERENCES: Final[dict[Callable[[Storage], object], dict[str, object]]] = {
    key_below_an_object: {"local_files": Refusal(InvalidRequest)},
    key_with_a_slash_at_its_end: {"local_files": Refusal(InvalidData)},
    key_with_a_backslash: {
        "azure_blob": Refusal(InvalidData),
        "local_files": Refusal(InvalidData),
    },
    key_with_a_dot_at_its_end: {"azure_blob": Refusal(InvalidData)},
    upload_resumed_after_its_abort: {"azure_blob": CONTENT},
}
"""The vendors with another result, each named in the page."""


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=name_of)
def test_result_is_the_same_at_every_vendor(
    scenario: Callable[[Storage], object], vendor: str, tmp_path: Path
) -> None:
    """Scenarios give the same result at every vendor, except for the documented differences."""
    expected = DIFFERENCES.get(scenario, {}).get(vendor, SCENARIOS[scenario])
    with empty_storage(vendor, tmp_path / "files") as files:
        if isinstance(expected, Refusal):
            with pytest.raises(ConnectorError) as excinfo:
                scenario(files)
            assert expected.kind is type(excinfo.value)
            assert expected.status in {None, getattr(excinfo.value, "status", None)}
        else:
            assert expected == scenario(files)


def test_page_has_a_row_for_each_difference() -> None:
    """The page about files lists every scenario whose result differs at some vendor."""
    section = PAGE.read_text("utf-8").partition("## Know the differences")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    vendors_by_row = [
        {vendor for vendor in VENDORS if f"`{vendor}`" in row.split("|")[2]} for row in rows
    ]

    assert [set(vendors) for vendors in DIFFERENCES.values()] == vendors_by_row
