"""Storecove's names for the schemes of electronic addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.vendor_sdk import InvalidData

if TYPE_CHECKING:
    from moorage.contracts.einvoices import ElectronicAddress

_VAT: Final = (
    "9910 HU, 9914 AT, 9920 ES, 9922 AD, 9923 AL, 9924 BA, 9925 BE, 9926 BG, 9927 CH, 9928 CY,"
    " 9929 CZ, 9930 DE, 9931 EE, 9932 GB, 9933 GR, 9934 HR, 9935 IE, 9936 LI, 9937 LT, 9938 LU,"
    " 9939 LV, 9940 MC, 9941 ME, 9942 MK, 9943 MT, 9944 NL, 9945 PL, 9946 PT, 9947 RO, 9948 RS,"
    " 9949 SI, 9950 SK, 9951 SM, 9952 TR, 9953 VA, 9955 SE, 9957 FR"
)
_OTHER: Final = {
    "0002": "FR:SIRENE",
    "0007": "SE:ORGNR",
    "0009": "FR:SIRET",
    "0037": "FI:OVT",
    "0060": "DUNS",
    "0088": "GLN",
    "0106": "NL:KVK",
    "0151": "AU:ABN",
    "0183": "CH:UIDB",
    "0184": "DK:DIGST",
    "0190": "NL:OINO",
    "0191": "EE:CC",
    "0192": "NO:ORG",
    "0195": "SG:UEN",
    "0196": "IS:KTNR",
    "0200": "LT:LEC",
    "0201": "IT:CUUO",
    "0204": "DE:LWID",
    "0208": "BE:EN",
    "9915": "AT:GOV",
}
SCHEMES: Final = {
    **_OTHER,
    **{code: f"{country}:VAT" for code, country in map(str.split, _VAT.split(", "))},
}
"""Storecove's name of each scheme, by its code in the list of electronic address schemes."""


def scheme_of(address: ElectronicAddress, field: str) -> str:
    """Storecove's name for the scheme of an address.

    Raises:
        InvalidData: moorage knows no name for this scheme.
    """
    name = SCHEMES.get(address.scheme)
    if name is not None:
        return name
    raise InvalidData(
        f"moorage does not know Storecove's name for the scheme {address.scheme}.",
        field=field,
        remedy="Use another address of the recipient, such as its VAT number, or another vendor.",
    )
