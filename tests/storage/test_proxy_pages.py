"""An HTML page of a proxy or captive portal is not read as a storage vendor's response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage.domain.http.requests import Response
from moorage.errors import VendorFailed
from tests.storage.azure_harness import azure, over_azure
from tests.storage.gcs_harnesses import bucket, over_gcs
from tests.storage.harnesses import PART, bytes_of, over_s3, sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.operations.storage import Storage

PAGE = Response(200, {"Content-Type": "text/html"}, b"<html>Sign in to this network.</html>")
STORED = bytes_of(PART + 1)
USES: dict[str, Callable[[Storage], object]] = {
    "upload": lambda files: files.upload("b", b"x"),
    "upload in parts": lambda files: files.upload("b", STORED, part_size=PART, at_once=1),
    "download": lambda files: files.download("a"),
    "head": lambda files: files.head("a"),
    "delete": lambda files: files.delete("a"),
    "copy": lambda files: files.copy("a", "b"),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("vendor", [(sandbox, over_s3), (azure, over_azure), (bucket, over_gcs)])
def test_html_page_of_a_proxy_is_an_error(
    vendor: tuple[Callable[..., Any], Callable[..., Any]], use: Callable[[Storage], object]
) -> None:
    """An HTML page with status 200 raises an error, and changes nothing."""
    make, open_hub = vendor
    with make() as storage_sandbox, open_hub(storage_sandbox) as hub:
        files = hub.storage()
        files.upload("a", b"stored")
        storage_sandbox.fail(PAGE)
        with pytest.raises(VendorFailed):
            use(files)
        assert ["a"] == [item.key for item in files.glob("*")]
