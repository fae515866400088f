"""The list of reference pages: the path of each, and the names that it documents."""

from typing import Final

from tools.reference_pages.adapters import ADAPTERS
from tools.reference_pages.calls import CALLS
from tools.reference_pages.contracts import CONTRACT_PAGES
from tools.reference_pages.page import Page as Page
from tools.reference_pages.page import members_of as members_of

PAGES: Final = (*CALLS, *CONTRACT_PAGES, *ADAPTERS)
