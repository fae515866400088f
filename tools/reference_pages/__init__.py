"""The list of reference pages, with their paths and documented names."""

from typing import Final

from tools.reference_pages.adapters import ADAPTERS
from tools.reference_pages.calls import CALLS
from tools.reference_pages.contracts import CONTRACT_PAGES
from tools.reference_pages.page import Page as Page
from tools.reference_pages.page import members_of as members_of

PAGES: Final = (*CALLS, *CONTRACT_PAGES, *ADAPTERS)
