"""Positions between the records of a polled HTTP endpoint, from which polling continues.

Laws:

1. A position of a later record is a greater text.
2. A source that continues after the position of a record delivers every record that the endpoint
   now lists and that was not delivered before, as far as the endpoint's overlap reaches.
3. It does not deliver a record again that the position remembers.
4. Pages that lead in a circle end with an error. A position remembers one page, and a later page
   when the number of pages has doubled, so each circle leads back to the remembered page at last.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moorage.domain.messages.message import JSON
from moorage.domain.pipelines.polled_endpoint import record_payload, since_of, text_digest
from moorage.domain.pipelines.records import SourceRecord
from moorage.domain.values.json_text import is_object
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.pipelines.polled_endpoint import PolledEndpoint, PolledItem, PolledPage
    from moorage.domain.pipelines.records import Offset

_NO_DIGESTS: Final[dict[str, int]] = {}


class PolledPosition(NamedTuple):
    """A position between two records of a polled endpoint.

    Attributes:
        delivered: the number of records that were delivered.
        page: the cursor or the URL of the page that is read; None for the first page.
        newest: the newest known time in microseconds since 1970; None without records or times.
        base: the newest known time when the first page was asked for.
        remembered: the times of records that are recognised, by their digests.
        pages: the number of pages before this one.
        known_page: the digest of an earlier page, which must not come again; None at the beginning.
    """

    delivered: int = 0
    page: str | None = None
    newest: int | None = None
    base: int | None = None
    remembered: Mapping[str, int] = _NO_DIGESTS
    pages: int = 0
    known_page: str | None = None

    def text(self, endpoint: PolledEndpoint) -> str:
        """Return the position as a string; later positions have greater strings."""
        if endpoint.since is None:
            fields: dict[str, Any] = {"page": self.page, "known": [*self.remembered]}
            if self.known_page is not None:
                fields |= {"pages": self.pages, "mark": self.known_page}
        else:
            # The records come in time order, so the next worker begins with the newest one.
            fields = {"newest": self.newest, "known": dict(self.remembered)}
        return f"{self.delivered:015}/{json.dumps(fields, separators=(',', ':'))}"


def read_position(endpoint: PolledEndpoint, offset: Offset | None) -> PolledPosition:
    """Parse a position from a string; None stands for the beginning.

    Raises:
        InvalidData: the string is not a position of such an endpoint.
    """
    if offset is None:
        return PolledPosition()
    count, _, text = str(offset).partition("/")
    try:
        fields: object = json.loads(text)
        if is_object(fields):
            if endpoint.since is None:
                remembered_digests = dict.fromkeys(fields["known"], 0)
                return PolledPosition(
                    int(count),
                    fields["page"],
                    remembered=remembered_digests,
                    pages=int(fields.get("pages", 0)),
                    known_page=fields.get("mark"),
                )
            newest_time = fields["newest"]
            return PolledPosition(int(count), None, newest_time, newest_time, dict(fields["known"]))
    except (ValueError, KeyError, TypeError):
        pass
    raise InvalidData(
        "The stored position does not belong to this endpoint.",
        field="position",
        remedy="Use a name that no other source has had. If you change from pages to times or"
        " back, rename the source too.",
    )


def advance_position(
    endpoint: PolledEndpoint, position: PolledPosition, page: PolledPage
) -> tuple[list[SourceRecord], PolledPosition]:
    """Return the new records of a page, and the position after the page was processed.

    Raises:
        ConfigurationError: the records are not in the order of their times, or are too many to
            remember, or the pages form a cycle.
    """
    if endpoint.since is None:
        return _advance_by_pages(endpoint, position, page)
    return _advance_by_time(endpoint, position, page)


def _advance_by_pages(
    endpoint: PolledEndpoint, position: PolledPosition, page: PolledPage
) -> tuple[list[SourceRecord], PolledPosition]:
    page_items = {item.digest: item for item in page.items}
    _check_memory(endpoint, len(page_items))
    new_items = [item for digest, item in page_items.items() if digest not in position.remembered]
    remembered_digests = {digest: 0 for digest in position.remembered if digest in page_items}
    positions = [position._replace(remembered=remembered_digests)]
    for count, item in enumerate(new_items, position.delivered + 1):
        remembered_digests = {**remembered_digests, item.digest: 0}
        positions.append(position._replace(delivered=count, remembered=remembered_digests))
    if page.next is not None and page.next != position.page:
        positions[-1] = _next_page(endpoint, positions[-1], page.next)
    records = [
        _source_record(endpoint, item, next_position)
        for item, next_position in zip(new_items, positions[1:], strict=True)
    ]
    return records, positions[-1]


def _next_page(endpoint: PolledEndpoint, position: PolledPosition, page: str) -> PolledPosition:
    """Return the position at the beginning of the next page."""
    digest = text_digest(page)
    if digest == position.known_page:
        raise ConfigurationError(
            f"The pages of the endpoint {endpoint.path[:80]} of {endpoint.service} form a"
            " circle, so the same records would be delivered again and again.",
            path="next_page",
            remedy="Set next_page to a field that is empty on the last page, or remove next_page.",
        )
    pages = position.pages + 1
    is_power_of_two = pages & (pages - 1) == 0
    known_digest = digest if is_power_of_two else position.known_page
    return PolledPosition(position.delivered, page, pages=pages, known_page=known_digest)


def _advance_by_time(
    endpoint: PolledEndpoint, position: PolledPosition, page: PolledPage
) -> tuple[list[SourceRecord], PolledPosition]:
    first_time = since_of(endpoint, position.base)
    records: list[SourceRecord] = []
    for item in page.items:
        if first_time is not None and item.time < first_time:
            continue
        start_time = since_of(endpoint, position.newest)
        if start_time is not None and item.time < start_time:
            raise _order_error(endpoint)
        if item.digest in position.remembered:
            continue
        newest_time = max(item.time, position.newest or 0)
        lower_bound = since_of(endpoint, newest_time) or 0
        remembered_digests = {
            digest: time for digest, time in position.remembered.items() if time >= lower_bound
        }
        remembered_digests[item.digest] = item.time
        _check_memory(endpoint, len(remembered_digests))
        position = position._replace(
            delivered=position.delivered + 1, newest=newest_time, remembered=remembered_digests
        )
        records.append(_source_record(endpoint, item, position))
    if page.next is None or page.next == position.page:
        return records, position._replace(page=None, base=position.newest)
    return records, position._replace(page=page.next)


def _source_record(
    endpoint: PolledEndpoint, item: PolledItem, position: PolledPosition
) -> SourceRecord:
    return SourceRecord(
        record_payload(item),
        key=item.key,
        id=item.id,
        content_type=JSON,
        offset=position.text(endpoint),
    )


def _check_memory(endpoint: PolledEndpoint, number: int) -> None:
    if number > endpoint.remember:
        raise ConfigurationError(
            f"The endpoint {endpoint.path[:80]} of {endpoint.service} returns more than"
            f" {endpoint.remember:,} records at once. The source cannot remember so many to"
            " recognise repeats.",
            path="remember",
            remedy="Lower overlap, request smaller pages in query, or raise remember.",
        )


def _order_error(endpoint: PolledEndpoint) -> ConfigurationError:
    return ConfigurationError(
        f"The endpoint {endpoint.path[:80]} of {endpoint.service} does not sort its records by"
        f" {endpoint.time}, so some would be skipped.",
        path="query",
        remedy="Request the oldest records first in query, or raise overlap.",
    )
