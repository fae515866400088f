"""A source that polls an HTTP endpoint for new records."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.pipelines.polled_endpoint import (
    PolledEndpoint,
    page_request,
    read_page,
    since_of,
)
from moorage.domain.pipelines.polled_position import PolledPosition, advance_position, read_position
from moorage.errors import ConfigurationError
from moorage.pipelines.functions import is_async, threaded_function

if TYPE_CHECKING:
    from moorage.domain.http.requests import Request
    from moorage.domain.http.response import Response
    from moorage.domain.pipelines.records import Offset, SourceRecord

__all__ = ("HttpPolling", "PolledEndpoint")

_WITHOUT_CONTENT: Final = frozenset({204, 304})
_MOST_PAGES: Final = 1_000
"""The maximum number of pages without a new record, besides those whose records are remembered."""

_VALIDATORS: Final = {"If-None-Match": "etag", "If-Modified-Since": "last-modified"}


class HttpPolling:
    """An HTTP endpoint's records, which are fetched by polling.

    The method `after` is the `fetch` of a `PollingSource`. An unchanged answer is not sent again if
    the service supports ETag or Last-Modified. ETag and Last-Modified do not show whether links in
    headers have changed, so an endpoint with `link_header` always sends the whole answer.

    Args:
        manager: sends the requests under the protections of the service. A synchronous manager
            works in a thread.
        endpoint: the endpoint.
    """

    def __init__(self, manager: Any, endpoint: PolledEndpoint) -> None:
        call = partial(manager.call, endpoint.service)
        self._call: Any = call if is_async(call) else threaded_function(call)
        self._endpoint = endpoint
        self._offset: Offset | None = None
        self._position = PolledPosition()
        self._request: Request | None = None
        self._validators: dict[str, str] = {}

    async def after(self, offset: Offset | None, /) -> list[SourceRecord]:
        """Return the next records after a position, in the endpoint's order.

        Raises:
            InvalidData: the position does not belong to this endpoint.
            ConfigurationError: the endpoint lists its records in the wrong order, or too many, or
                pages without an end.
            VendorFailed: the answer does not have the format that the endpoint's options describe.
            ConnectorError: the call failed.
        """
        if offset != self._offset:
            position = read_position(self._endpoint, offset)
            self._offset, self._position, self._request = offset, position, None
        limit = self._endpoint.remember + _MOST_PAGES
        for _ in range(limit):
            old_position = self._position
            records, is_empty = await self._fetch_page()
            if records:
                self._offset = records[-1].offset
            if records or is_empty or self._position.page in {None, old_position.page}:
                return records
        raise ConfigurationError(
            f"The endpoint {self._endpoint.path[:80]} of {self._endpoint.service} returned"
            f" more than {limit:,} pages without a new record.",
            path="next_page",
            remedy="Check that the endpoint has a last page, and that it respects the"
            " parameter that `since` names.",
        )

    async def _fetch_page(self) -> tuple[list[SourceRecord], bool]:
        """Fetch a page; return its new records, and whether the page itself was empty."""
        endpoint, position = self._endpoint, self._position
        start_time = since_of(endpoint, position.base)
        request = page_request(endpoint, position.page, start_time)
        validators = self._validators if request == self._request else {}
        response = await self._call(request.with_headers(validators))
        if response.status in _WITHOUT_CONTENT:
            return [], True
        page = read_page(endpoint, response)
        records, self._position = advance_position(endpoint, position, page)
        self._request = request
        self._validators = {} if endpoint.link_header else _validators(response)
        return records, not page.items


def _validators(response: Response) -> dict[str, str]:
    """Return the conditional headers, such as If-None-Match, for the next request."""
    values = {name: response.header(header) for name, header in _VALIDATORS.items()}
    return {name: value for name, value in values.items() if value is not None}
