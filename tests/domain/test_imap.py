"""IMAP's commands and replies, as pure functions of bytes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.connectors.imap_failures import imap_error
from moorage.domain.connectors.imap_values import has_flag, moment, plain_messages, sent_by
from moorage.domain.connectors.imap_wire import (
    ImapReply,
    ReplyBuffer,
    command_chunks,
    mailbox_bytes,
    read_reply,
    uid_set,
)
from moorage.errors import InvalidData, VendorRejected
from tests.support.examples import examples


def replies_of(data: bytes, largest: int = 1_000, step: int = 1_000) -> list[ImapReply]:
    """Return the IMAP replies parsed from bytes that arrive in pieces."""
    buffer = ReplyBuffer(largest)
    replies: list[ImapReply] = []
    for start in range(0, len(data), step):
        buffer.add(data[start : start + step])
        while (parts := buffer.next()) is not None:
            replies.append(read_reply(parts))
    return replies


@pytest.mark.parametrize("step", [1, 7, 1_000])
def test_imap_replies_are_read_in_pieces_of_any_size(step: int) -> None:
    """IMAP replies are read in pieces of any size, with literals, quoted strings and lists."""
    data = (
        b'* 1 FETCH (UID 7 BODY[] {6}\r\na)\r\n"b X "q\\"\\\\" Y NIL)\r\n'
        b"* OK [UIDVALIDITY 3] fine (or not\r\n+ go on\r\nm1 NO [LIMIT] no\r\nm2 ok\r\n"
    )

    fields = [b"UID", b"7", b"BODY[]", b'a)\r\n"b', b"X", b'q"\\', b"Y", None]
    assert [
        ImapReply("*", items=(b"1", b"FETCH", fields)),
        ImapReply("*", "OK", "UIDVALIDITY 3"),
        ImapReply("+"),
        ImapReply("m1", "NO", "LIMIT"),
        ImapReply("m2", "OK"),
    ] == replies_of(data, step=step)


def test_flag_is_searched_for_by_its_own_word() -> None:
    """A flag becomes the word of its search condition, and a keyword its argument."""
    condition = has_flag("\\seen") & has_flag("$Junk") & sent_by("ada")

    assert ("SEEN", "KEYWORD", "$Junk", "FROM", b"ada") == condition.words


@pytest.mark.parametrize("flag", ["\\Not", "\\Or", "\\All", "\\1:5", "\\*", "*", "\\Important"])
def test_flag_cannot_become_another_condition(flag: str) -> None:
    """A name that is another word of IMAP's search, or a range of messages, is refused."""
    with pytest.raises(InvalidData, match="flag"):
        has_flag(flag)


@examples(300)
@given(st.binary(max_size=80) | st.text('*+ ()"{}\r\nOK[]1\\', max_size=60).map(str.encode))
def test_malformed_bytes_raise_value_error(data: bytes) -> None:
    """Bytes that are not an IMAP reply raise ValueError and nothing else."""
    try:
        replies_of(data + b"\r\n")
    except ValueError:
        return


def test_imap_commands_send_str_as_atoms() -> None:
    """IMAP commands send str as atoms, and bytes as quoted strings or literals."""
    assert [b'm1 LOGIN "a\\"b" {2}\r\n', b"\r\n X\r\n"] == command_chunks(
        "m1", ["LOGIN", b'a"b', b"\r\n", "X"]
    )


@pytest.mark.parametrize(
    "name, expected",
    [("INBOX", b"INBOX"), ("Entwürfe", b"Entw&APw-rfe"), ("A&B", b"A&-B"), ("台北", b"&U,BTFw-")],
)
def test_mailbox_names_are_written_in_modified_utf_7(name: str, expected: bytes) -> None:
    """IMAP mailbox names are written in modified UTF-7."""
    assert expected == mailbox_bytes(name)


def test_neighbouring_uids_become_a_range() -> None:
    """Consecutive UIDs are written as one range in an IMAP command."""
    assert "1:3,5,7:8" == uid_set([8, 1, 2, 3, 5, 7, 1])


@pytest.mark.parametrize(
    "text, expected",
    [
        (" 7-Jan-2026 02:44:25 -0130", datetime(2026, 1, 7, 4, 14, 25, tzinfo=UTC)),
        ("07-Jan-2026 02:44:25 +0200", datetime(2026, 1, 7, 0, 44, 25, tzinfo=UTC)),
        ("31-Feb-2026 02:44:25 +0200", None),
        ("7-Mai-2026 02:44:25 +0200", None),
        ("7-Jan-2026 02:44:25 +9999", None),
        ("", None),
    ],
)
def test_imap_message_arrival_time_is_read_with_its_time_zone(
    text: str, expected: datetime | None
) -> None:
    """An IMAP message's arrival time is read with its time zone; a malformed one is None."""
    assert expected == moment(text)


def test_empty_list_of_messages_as_json() -> None:
    """An empty list of IMAP messages becomes an empty JSON list."""
    assert [] == plain_messages(())


def test_refusal_with_an_unknown_code() -> None:
    """The error for an IMAP error response has the server's code, but not the server's text."""
    error = imap_error(ImapReply("m1", "NO", "ODD 7"))

    assert isinstance(error, VendorRejected)
    assert "ODD" == error.vendor_code
