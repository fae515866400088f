"""LDAP's messages, values and errors, tested without a server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.connectors import ldap_wire
from moorage.domain.connectors.ldap_failures import ldap_error
from moorage.domain.connectors.ldap_values import (
    LdapEntry,
    LdapSearchResult,
    attribute_name,
    entry_name,
    equals,
    escaped_value,
    filter_of,
    member_of_chain,
    pack_result,
    plain_result,
    unpack_result,
    value_bytes,
)
from moorage.domain.connectors.ldap_wire import BerReader, LdapResult, tlv
from moorage.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    ConnectionFailed,
    ConnectorError,
    InvalidData,
    InvalidRequest,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from tests.support.examples import examples


def test_search_is_encoded_as_in_rfc_4511() -> None:
    """A search request is encoded byte for byte as in RFC 4511."""
    operation = ldap_wire.search("dc=x", ldap_wire.SUBTREE, equals("uid", "a").encoded, ["cn"])

    assert (
        "30 2a 02 01 01 63 25 04 04 64633d78 0a 01 02 0a 01 00 02 01 00 02 01 00 01 01 00"
        " a3 08 04 03 756964 04 01 61 30 04 04 02 636e".replace(" ", "")
        == ldap_wire.message(1, operation).hex()
    )


def test_member_of_chain_names_the_rule() -> None:
    """`member_of_chain` uses Active Directory's matching rule for nested groups."""
    encoded = member_of_chain("memberOf", "cn=g").encoded

    assert b"1.2.840.113556.1.4.1941" in encoded
    assert filter_of({"member_of_chain": {"memberOf": "cn=g"}}).encoded == encoded


@given(st.integers(0, 2**31 - 1), st.binary(max_size=300))
def test_written_message_is_read_again(number: int, content: bytes) -> None:
    """A written LDAP message of any size is read back; its first bytes determine its size."""
    message_bytes = ldap_wire.message(number, tlv(0x64, content), ldap_wire.page_control(7, b"c"))
    response = ldap_wire.read_message(message_bytes)

    assert (number, 0x64, content) == (response.id, response.kind, response.content)
    assert len(message_bytes) == ldap_wire.message_size(message_bytes, 10_000)


@examples(300)
@given(st.binary(max_size=80))
def test_malformed_bytes_raise_value_error(data: bytes) -> None:
    """Bytes that are not an LDAP message raise ValueError and nothing else."""
    for read in (
        lambda: ldap_wire.message_size(data, 1_000),
        lambda: ldap_wire.read_result(ldap_wire.read_message(data)),
        lambda: ldap_wire.read_entry(data),
        lambda: ldap_wire.read_references(data),
    ):
        try:
            read()
        except ValueError:
            continue


def test_size_of_ldap_message_is_none_until_its_length_field_has_arrived() -> None:
    """The size of an LDAP message is None until its length field has arrived."""
    sizes = [ldap_wire.message_size(data, 100) for data in (b"", b"\x30", b"\x30\x82\x00")]

    assert [None, None, None] == sizes


def test_result_with_referrals_and_a_cookie() -> None:
    """Referrals and the paging cookie of an LDAP result are read; other controls are ignored."""
    referrals = tlv(0xA3, tlv(4, b"ldap://a"), tlv(4, b"ldap://b"))
    content = tlv(0x0A, b"\x0a") + tlv(4, b"") + tlv(4, b"words") + referrals
    other = tlv(0x30, tlv(4, b"1.2.3"), tlv(1, b"\xff"))
    empty = tlv(0x30, tlv(4, b"1.2.840.113556.1.4.319"))
    pages = tlv(
        0x30,
        tlv(4, b"1.2.840.113556.1.4.319"),
        tlv(1, b"\xff"),
        tlv(4, tlv(0x30, tlv(2, b"\0"), tlv(4, b"next"))),
    )

    results = [
        ldap_wire.read_result(ldap_wire.LdapResponse(1, 0x65, content, controls))
        for controls in (other + pages, other, empty)
    ]

    expected = LdapResult(10, "words", ("ldap://a", "ldap://b"), b"next")
    assert [expected, expected._replace(cookie=b""), expected._replace(cookie=b"")] == results


def test_reader_has_no_tag_at_its_end() -> None:
    """At the end of its bytes, an LDAP reader returns no tag."""
    assert (-1, False) == (BerReader(b"").next_tag(), BerReader(b"").more())


@pytest.mark.parametrize(
    "value, expected",
    [
        ("ada", "ada"),
        ("Smith, J", "Smith\\, J"),
        (" #x ", "\\ #x\\ "),
        ("#x", "\\#x"),
        ("a\0b", "a\\00b"),
        ('"+,;<>\\=', '\\"\\+\\,\\;\\<\\>\\\\\\='),
    ],
)
def test_characters_with_meaning_in_ldap_names_are_escaped(value: str, expected: str) -> None:
    """Characters with a meaning in LDAP names are escaped."""
    assert expected == escaped_value(value)
    assert f"uid={expected},dc=x" == entry_name("uid", value, "dc=x")


@pytest.mark.parametrize("name", ["", "a b", "uid)(x", "1.", "ü", 7, "cn;"])
def test_malformed_attribute_names_are_refused(name: object) -> None:
    """An LDAP attribute's name must be a well-formed name or OID."""
    with pytest.raises(InvalidData, match="not the name"):
        attribute_name(name)


def test_empty_names_and_values_of_wrong_types_are_refused() -> None:
    """Empty names are refused, and so are attribute values that are neither str nor bytes."""
    with pytest.raises(InvalidData, match="empty"):
        escaped_value("")
    for value in ("\ud800", 7, None):
        with pytest.raises(InvalidData, match="cannot be sent"):
            value_bytes("cn", value)


def test_attribute_names_ignore_case_and_partial_values_are_refused() -> None:
    """Attribute names ignore case; reading a partial value range, or binary as text, is refused."""
    entry = LdapEntry(
        "cn=g",
        {
            "member": (),
            "member;range=0-1": (b"a", b"b"),
            "memberOf;range=0-0": (b"a",),
            "userPassword": (b"hunter2",),
            "photo": (b"\xff",),
            "mail": (),
        },
    )

    assert ((b"hunter2",), (), None) == (
        entry.values("USERPASSWORD"),
        entry.values("mail"),
        entry.text("none"),
    )
    for name in ("member", "memberof"):
        with pytest.raises(InvalidData, match="part of the values"):
            entry.values(name)
    with pytest.raises(InvalidData, match="not a string"):
        entry.text("photo")
    assert "hunter2" not in repr(entry)


def test_search_result_can_be_packed_and_shown_as_json() -> None:
    """A search result can be packed and unpacked; its JSON contains non-text bytes in hex."""
    result = LdapSearchResult((LdapEntry("cn=a", {"cn": (b"a", b"\xff")}),), ("ldap://b",))

    assert result == unpack_result(pack_result(result))
    assert {
        "entries": [{"name": "cn=a", "attributes": {"cn": ["a", {"hex": "ff"}]}}],
        "references": ["ldap://b"],
    } == plain_result(result)


CODES: dict[int, tuple[type[ConnectorError], bool]] = {
    1: (VendorFailed, False),
    3: (AttemptTimeout, False),
    4: (VendorRejected, False),
    10: (VendorRejected, False),
    11: (VendorRejected, False),
    12: (UnsupportedByVendor, False),
    13: (AuthenticationFailed, False),
    21: (InvalidRequest, False),
    50: (AuthenticationFailed, False),
    51: (ConnectionFailed, False),
    52: (ConnectionFailed, False),
    80: (ConnectionFailed, True),
    123: (VendorRejected, False),
}


@pytest.mark.parametrize("code", CODES)
def test_result_codes_become_errors(code: int) -> None:
    """Each LDAP result code has its error; only after code 80 a change may have been made."""
    kind, is_open = CODES[code]
    error = ldap_error(LdapResult(code, "secret words"), has_effect=True)

    assert type(error) is kind
    assert is_open is error.may_have_been_processed
    assert "secret" not in repr(error)
    assert error.remedy


def test_failed_read_changed_nothing() -> None:
    """A search that fails with LDAP code 80 has certainly changed nothing."""
    assert type(ldap_error(LdapResult(80), has_effect=False)) is VendorFailed


def test_reason_of_active_directory_is_kept() -> None:
    """Active Directory's number for a refused password is part of the vendor code."""
    words = (
        "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 533, v1db1"
    )

    error = ldap_error(LdapResult(49, words), has_effect=False)

    assert isinstance(error, AuthenticationFailed)
    assert "49:533" == error.vendor_code
