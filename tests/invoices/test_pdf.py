"""Invoices in PDF files: embedding, reading, and refusing damaged and hostile files."""

from __future__ import annotations

import re
import zlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from moorage import InvalidData
from moorage.invoices import (
    XRECHNUNG,
    embed_invoice,
    read_invoice,
    read_pdf_invoice,
    write_invoice,
)
from moorage.invoices.pdf_files import PdfFile, PdfStream
from moorage.invoices.pdf_objects import PdfName, PdfNumber, PdfReference, Reader, write_value
from tests.invoices.pdfs import XMP, packed_pdf, stream, table_pdf, usual_objects
from tests.invoices.samples import small_invoice

AT = datetime(2026, 11, 26, 9, 30, tzinfo=timezone(timedelta(hours=1)))
CII = write_invoice(small_invoice(), syntax="cii")
LEVELS = {
    "MINIMUM": ("urn:factur-x.eu:1p0:minimum", "Data"),
    "BASIC WL": ("urn:factur-x.eu:1p0:basicwl", "Data"),
    "BASIC": ("urn:cen.eu:en16931:2017#compliant#urn:factur-x.eu:1p0:basic", "Alternative"),
    "EN 16931": ("urn:cen.eu:en16931:2017", "Alternative"),
    "EXTENDED": (
        "urn:cen.eu:en16931:2017#conformant#urn:factur-x.eu:1p0:extended",
        "Alternative",
    ),
}
SHAPES = [
    table_pdf(usual_objects()),
    packed_pdf(usual_objects()),
    *(packed_pdf(usual_objects(), kind=kind) for kind in range(5)),
]


def embed_in(pdf: bytes, invoice: Any = CII, **options: Any) -> bytes:
    """Return a PDF with an invoice embedded at the time of the tests."""
    return embed_invoice(pdf, invoice, modified_at=AT, **options)


def metadata_of(pdf: bytes) -> str:
    """Return the metadata of a PDF."""
    file = PdfFile(pdf)
    content = file.content(file.fields(file.trailer["Root"])["Metadata"])
    assert content is not None
    return content.decode()


@pytest.mark.parametrize("pdf", SHAPES, ids=range(len(SHAPES)))
def test_embedded_invoice_is_read_again(pdf: bytes) -> None:
    """An invoice is embedded in a PDF with a cross-reference table or stream, and read back."""
    embedded_pdf = embed_in(pdf, small_invoice())
    pdf_invoice = read_pdf_invoice(embedded_pdf)

    assert embedded_pdf.startswith(pdf)
    assert pdf_invoice.document == CII
    assert (pdf_invoice.name, pdf_invoice.relationship) == ("factur-x.xml", "Alternative")
    assert read_invoice(pdf_invoice.document).number == "2041"
    assert PdfFile(embedded_pdf).is_table is PdfFile(pdf).is_table
    assert embed_in(pdf, small_invoice()) == embedded_pdf


def test_replaced_catalog_keeps_its_generation() -> None:
    """A catalog of a later generation is replaced under the same generation."""
    pdf = table_pdf(usual_objects())
    first_row = b" 65535 f \n%010d 00000 n" % pdf.index(b"1 0 obj")
    later_pdf = (
        pdf.replace(b"\n1 0 obj", b"\n1 3 obj")
        .replace(b"/Root 1 0 R", b"/Root 1 3 R")
        .replace(first_row, first_row.replace(b"00000 n", b"00003 n"))
    )
    embedded_pdf = embed_in(later_pdf)

    addition = embedded_pdf[len(later_pdf) :]
    assert b"\n1 3 obj" in b"\n" + addition
    assert re.search(rb"1 1\n[0-9]{10} 00003 n", addition)
    assert b"/Root 1 3 R" in addition
    assert CII == read_pdf_invoice(embedded_pdf).document


def test_catalog_and_file_are_described() -> None:
    """The catalog, the file specification and the embedded file have the entries of PDF/A-3."""
    embedded_pdf = PdfFile(embed_in(table_pdf(usual_objects("/Lang (de)"), "/Info 3 0 R")))
    root = embedded_pdf.fields(embedded_pdf.trailer["Root"])
    (specification,) = embedded_pdf.items(root["AF"])
    fields = embedded_pdf.fields(specification)
    file = embedded_pdf.resolve(fields["EF"]["F"])

    assert root["Lang"] == b"de"
    assert embedded_pdf.fields(root["Names"])["EmbeddedFiles"] == {
        "Names": [b"factur-x.xml", specification]
    }
    assert fields["UF"] == b"factur-x.xml"
    assert fields["Type"] == "Filespec"
    assert isinstance(file, PdfStream)
    assert file.fields["Subtype"] == "text/xml"
    assert file.fields["Params"] == {
        "Size": PdfNumber(len(CII)),
        "ModDate": b"D:20261126093000+01'00'",
    }
    assert embedded_pdf.trailer["Info"] == PdfReference(3)
    assert len(embedded_pdf.trailer["ID"]) == 2


@pytest.mark.parametrize("level", LEVELS)
def test_level_is_that_of_the_document(level: str) -> None:
    """The invoice's specification identifier decides conformance level and relationship."""
    identifier, relationship = LEVELS[level]
    document = CII.replace(b">urn:cen.eu:en16931:2017<", f">{identifier}<".encode())
    embedded_pdf = embed_in(SHAPES[0], document)

    assert read_pdf_invoice(embedded_pdf).relationship == relationship
    assert f"<fx:ConformanceLevel>{level}</fx:ConformanceLevel>" in metadata_of(embedded_pdf)
    assert "<fx:DocumentFileName>factur-x.xml</fx:DocumentFileName>" in metadata_of(embedded_pdf)


@pytest.mark.parametrize("part", ["1", "2", "3"])
@pytest.mark.parametrize("form", ["<pdfaid:part>{}</pdfaid:part>", 'pdfaid:part="{}"'])
def test_pdfa_of_any_part_becomes_pdfa_3(part: str, form: str) -> None:
    """A PDF/A of part 1, 2 or 3 becomes PDF/A-3, and keeps its conformance."""
    element = "<pdfaid:part>2</pdfaid:part>"
    if form.startswith("<"):
        xmp = XMP.replace(element, form.format(part))
    else:
        namespace = '"http://www.aiim.org/pdfa/ns/id/"'
        xmp = XMP.replace(element, "").replace(namespace, f"{namespace} {form.format(part)}")
    text = metadata_of(embed_in(table_pdf(usual_objects(xmp=xmp))))

    assert form.format("3") in text
    assert "<pdfaid:conformance>B</pdfaid:conformance>" in text


def test_existing_schemas_and_files_are_kept() -> None:
    """The metadata schemas and attached files of the PDF are kept, ordered by name."""
    bag = (
        '<rdf:Description xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/">'
        "<pdfaExtension:schemas><rdf:Bag><rdf:li>other</rdf:li></rdf:Bag>"
        "</pdfaExtension:schemas></rdf:Description></rdf:RDF>"
    )
    xmp = XMP.replace("</rdf:RDF>", bag)
    names = (
        "/Names << /Dests 2 0 R /EmbeddedFiles << /Kids [<< /Names [(a) 5 0 R (z) 5 0 R 1 5 0 R]"
        " >>] >> >> /AF [5 0 R]"
    )
    file = b"<< /Type /Filespec /F (a.txt) /UF <FEFF0061> >>"
    embedded_pdf = PdfFile(embed_in(table_pdf([*usual_objects(names, xmp), file])))
    root = embedded_pdf.fields(embedded_pdf.trailer["Root"])
    tree = embedded_pdf.fields(root["Names"])["EmbeddedFiles"]["Names"]

    assert tree[::2] == [b"a", b"factur-x.xml", b"z"]
    assert embedded_pdf.items(root["AF"])[0] == PdfReference(5)
    assert embedded_pdf.fields(root["Names"])["Dests"] == PdfReference(2)
    assert metadata_of(embedded_pdf.data).count("<pdfaExtension:schemas>") == 1


def test_pdf_without_pdfa_needs_the_permission_of_the_caller() -> None:
    """A PDF that is not PDF/A is refused, unless allowed; the result does not claim PDF/A."""
    plain_pdf = table_pdf([b"<< /Type /Catalog /Pages 2 0 R >>", *usual_objects()[1:]])
    with pytest.raises(InvalidData, match="does not claim to be PDF/A") as excinfo:
        embed_in(plain_pdf)
    assert excinfo.value.field == "pdf"

    embedded_pdf = embed_in(plain_pdf, accept_plain=True)
    assert read_pdf_invoice(embedded_pdf).document == CII
    assert "pdfaid" not in metadata_of(embedded_pdf)


@pytest.mark.parametrize(
    "pdf, problem",
    [
        (table_pdf(usual_objects(xmp=XMP.replace(">2<", ">4<"))), "PDF/A-4"),
        (table_pdf(usual_objects(xmp=XMP[:-30])), "metadata"),
        (table_pdf(usual_objects(xmp="<a/>")), "metadata"),
        (table_pdf(usual_objects(xmp=XMP.replace("pdfa/ns/id/", "ä"))), None),
        (table_pdf(usual_objects(), "/Encrypt 2 0 R"), "encrypted"),
        (table_pdf(usual_objects()).replace(b"/Root 1 0 R", b"/Root 9 0 R"), "no catalog"),
        (
            table_pdf(
                usual_objects(
                    xmp=f"{XMP}<!-- urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0# -->"
                )
            ),
            "already",
        ),
        (embed_in(SHAPES[0]), "already"),
    ],
    ids=range(8),
)
def test_pdf_that_cannot_become_pdfa_3_is_refused(pdf: bytes, problem: str | None) -> None:
    """A PDF that cannot become a PDF/A-3 with one invoice is refused."""
    if problem is None:
        assert read_pdf_invoice(embed_in(pdf)).document == CII
        return
    with pytest.raises(InvalidData, match=problem) as excinfo:
        embed_in(pdf)
    assert excinfo.value.field == "pdf"


@pytest.mark.parametrize(
    "invoice, options, field",
    [
        (write_invoice(small_invoice()), {}, "invoice"),
        (CII.replace(b">urn:cen.eu:en16931:2017<", b">urn:other<"), {}, "invoice"),
        (b"<a>", {}, "body"),
        ("<a/>", {}, "body"),
        (small_invoice(number=None), {}, "number"),
        (small_invoice(), {"profile": XRECHNUNG}, "payment_terms"),
        (CII, {"modified_at": datetime(2026, 1, 1)}, "modified_at"),  # noqa: DTZ001 - is refused
        (CII, {"modified_at": "2026"}, "modified_at"),
    ],
)
def test_invoice_that_cannot_be_embedded_is_refused(
    invoice: Any, options: dict[str, Any], field: str
) -> None:
    """An invoice that is invalid, in another syntax or without a conformance level is refused."""
    with pytest.raises(InvalidData) as excinfo:
        embed_invoice(SHAPES[0], invoice, **dict[str, Any](modified_at=AT) | options)
    assert field in {excinfo.value.field, "payment_terms"}


def test_name_in_utf_8_is_read() -> None:
    """A file name that is written in UTF-8, as PDF 2.0 allows, is read."""
    specification = b"<< /F (\xef\xbb\xbffactur-x.xml) /EF << /F 6 0 R >> >>"
    pdf = table_pdf([*usual_objects("/AF [5 0 R]"), specification, stream(b"<a/>")])

    assert read_pdf_invoice(pdf).name == "factur-x.xml"


def test_metadata_in_utf_16_is_refused() -> None:
    """Metadata that is well-formed but not in UTF-8 is refused."""
    objects = [*usual_objects()[:3], stream(XMP.encode("utf-16"), "/Type /Metadata")]
    with pytest.raises(InvalidData, match="metadata of the PDF cannot be read"):
        embed_in(table_pdf(objects))


@pytest.mark.parametrize("name", ["ZUGFeRD-invoice.xml", "xrechnung.xml", "FACTUR-X.XML"])
def test_names_of_other_standards_are_read(name: str) -> None:
    """`pdf_invoice` finds invoices by the file names that standards use, also among other files."""
    specification = f"<< /Type /Filespec /F ({name}) /EF << /F 6 0 R >> >>".encode()
    pdf = table_pdf([*usual_objects("/AF [5 0 R]"), specification, stream(b"<a/>")])
    pdf_invoice = read_pdf_invoice(pdf)

    assert (pdf_invoice.name, pdf_invoice.document, pdf_invoice.relationship) == (
        name,
        b"<a/>",
        None,
    )


def section(fields: str, rows: bytes = b"") -> bytes:
    """Return a PDF that consists of one cross-reference stream with these fields."""
    return b"%PDF-1.7\n1 0 obj\n" + stream(rows, fields) + b"\nendobj\nstartxref\n9\n%%EOF"


def pdf_with_trailer(trailer: bytes, before: bytes = b"") -> bytes:
    """Return a PDF that consists of a cross-reference table and a trailer."""
    return b"%PDF-1.7\nxref\n" + before + b"trailer " + trailer + b"\nstartxref\n9\n%%EOF"


_XREF = "/Type /XRef /Size 2 /W [1 2 1]"
_USUAL = table_pdf(usual_objects())
DAMAGED = [
    b"",
    b"%PDF-1.7",
    b"no PDF",
    _USUAL[:-20],
    _USUAL.replace(b"startxref\n", b"startxref\n9"),
    _USUAL.replace(b"/Length", b"/Len"),
    _USUAL.replace(b"endstream", b"endstreem"),
    _USUAL.replace(b"4 0 obj", b"7 0 obj"),
    _USUAL.replace(b"0 5\n", b"0 9\n"),
    _USUAL.replace(b" 00000 n", b" 0x000 n"),
    pdf_with_trailer(b"(a"),
    pdf_with_trailer(b"<< /A"),
    pdf_with_trailer(b"<< 1 2 >>"),
    pdf_with_trailer(b"[1]"),
    pdf_with_trailer(b"<< /Prev 9 >>"),
    pdf_with_trailer(b"<< /Prev 999999 >>"),
    pdf_with_trailer(b"[" * 50 + b"]" * 50),
    pdf_with_trailer(b"<< /Root >>"),
    pdf_with_trailer(b"<< >>", b"0 600000\n"),
    pdf_with_trailer(b"<< >>", b"a 1\n"),
    section("/Type /Other"),
    section("/Type /XRef /W [1 2]"),
    section("/Type /XRef /W [0 0 0]"),
    section("/Type /XRef /W [1 2 1] /Size (a)"),
    section(_XREF),
    section(f"{_XREF} /Filter /LZWDecode"),
    section(f"{_XREF} /Filter /FlateDecode", b"no zlib"),
    section(f"{_XREF} /Filter /FlateDecode", zlib.compress(b"1" * 99)[:-4]),
    section(f"{_XREF} /Filter /FlateDecode", zlib.compress(bytes(25_000_000))),
    *(
        section(
            f"{_XREF} /Filter /FlateDecode /DecodeParms << /Predictor {kind} /Columns {width} >>",
            zlib.compress(content),
        )
        for kind, width, content in (
            (2, 4, bytes(5)),
            (12, 0, bytes(5)),
            (12, 99, bytes(5)),
            (12, 4, b"\x05" + bytes(4)),
            (12, 4, bytes(9_000_000)),
        )
    ),
    section(
        f"{_XREF} /Filter /FlateDecode /DecodeParms << /Predictor 12 /Columns 4 /Colors 3 >>",
        zlib.compress(bytes(5)),
    ),
    packed_pdf(usual_objects(), fields="/N 0"),
    packed_pdf(usual_objects(), fields="/First (a)"),
    packed_pdf(usual_objects()).replace(b"5 0 obj\n<<", b"5 0 obj\n7%"),
    packed_pdf([b"<< /Type /Catalog /Metadata 1 0 R >>"]).replace(b"\x02\x00", b"\x03\x00"),
    section(f"{_XREF} /Root 1 0 R", b"\x02\x00\x01\x00" * 2),
    packed_pdf(usual_objects())
    .replace(b"/Root 1 0 R", b"/Root 2 0 R", 1)
    .replace(b"/N 3", b"/N 1"),
]


@pytest.mark.parametrize("pdf", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_pdf_is_refused(pdf: bytes) -> None:
    """A damaged or hostile PDF raises a typed error that names the PDF."""
    for call in (lambda: read_pdf_invoice(pdf), lambda: embed_in(pdf)):
        with pytest.raises(InvalidData) as excinfo:
            call()
        assert excinfo.value.field == "pdf"


@pytest.mark.parametrize(
    "value",
    [
        b"<< /UF (" + b"a" * 1_000_000 + b") >>",
        b"<< /UF <" + b"61" * 500_000 + b"> >>",
        b"<< /UF" + b" " * 1_000_000 + b"(a) >>",
        stream(b"a" * 8_000_000),
    ],
    ids=["text", "hex", "space", "stream"],
)
def test_long_object_is_not_read_over_and_over(value: bytes) -> None:
    """A large object that many embedded files share is unpacked only a few times."""
    names = " ".join("(a) 5 0 R" for _ in range(200))
    fields = f"/Names << /EmbeddedFiles << /Names [{names}] >> >>"
    with pytest.raises(InvalidData, match="too many values"):
        read_pdf_invoice(table_pdf([*usual_objects(fields), value]))


def test_bytes_with_a_predictor_are_bounded() -> None:
    """A compressed cross-reference stream that would take long to unpack is refused."""
    rows = zlib.compress((b"\x04" + b"\x01" * 4) * 1_000_000)
    fields = f"{_XREF} /Filter /FlateDecode /DecodeParms << /Predictor 15 /Columns 4 >>"
    with pytest.raises(InvalidData, match="predictor"):
        read_pdf_invoice(section(f"{fields} /Root 1 0 R", rows))


def test_inflated_bytes_of_all_streams_are_bounded() -> None:
    """After streams that unpack to as many bytes as allowed, each further stream is refused."""
    packed = [zlib.compress(bytes(24 * 1024 * 1024)), zlib.compress(b"x")]
    pdf = PdfFile(table_pdf([stream(content, "/Filter /FlateDecode") for content in packed]))

    assert 24 * 1024 * 1024 == len(pdf.content(PdfReference(1)) or b"")
    with pytest.raises(InvalidData, match="a stream is too long"):
        pdf.content(PdfReference(2))


def test_pdf_that_is_too_large_is_refused_unread() -> None:
    """A PDF that is too large is refused before it is read."""
    with pytest.raises(InvalidData, match="67108864 at most"):
        read_pdf_invoice(bytes(64 * 1024 * 1024 + 1))
    wrong_type: Any = "%PDF-1.7"
    with pytest.raises(InvalidData, match="not str"):
        read_pdf_invoice(wrong_type)


@pytest.mark.parametrize(
    "fields, objects",
    [
        ("", []),
        ("/AF [5 0 R]", [b"<< /F (a.txt) >>"]),
        ("/AF [5 0 R 7 0 R (a)]", [b"(a)"]),
        ("/AF 5 0 R", [b"<< >>"]),
        ("/AF [5 0 R]", [b"<< /F (factur-x.xml) >>"]),
        ("/AF [5 0 R]", [b"<< /F (factur-x.xml) /EF << /F 3 0 R >> >>"]),
        ("/Names << /EmbeddedFiles 5 0 R >>", [b"<< /Kids [5 0 R] >>"]),
        (
            "/AF [5 0 R]",
            [b"<< /F 6 0 R >>", stream(b"a", "/Type /X").replace(b"/Length 1", b"/Length 6 0 R")],
        ),
    ],
    ids=range(8),
)
def test_pdf_without_an_invoice_is_refused(fields: str, objects: list[bytes]) -> None:
    """A PDF without an invoice, or whose invoice is missing, is refused."""
    with pytest.raises(InvalidData) as excinfo:
        read_pdf_invoice(table_pdf([*usual_objects(fields), *objects]))
    assert excinfo.value.field == "pdf"


@pytest.mark.parametrize(
    "written, value",
    [
        (b"null", None),
        (b"true", True),
        (b"% a\n false", False),
        (b"-1.50", PdfNumber("-1.50")),
        (b".5", PdfNumber(".5")),
        (b"12 0 R", PdfReference(12)),
        (b"/A#20B", PdfName("A B")),
        (b"/", PdfName("")),
        (b"<414>", b"A@"),
        (rb"(a\(b\)(c)\n\101\8\\)", b"a(b)(c)\nA8\\"),
        (b"(a\\\r\nb)", b"ab"),
        (b"[1[/a]<</b/c>>]", [PdfNumber("1"), [PdfName("a")], {"b": PdfName("c")}]),
    ],
)
def test_pdf_values_are_read_and_written(written: bytes, value: Any) -> None:
    """Each kind of PDF value is read, and a written value is read back unchanged."""
    assert Reader(written).value() == value
    assert Reader(write_value(value)).value() == value


@pytest.mark.parametrize("written", [b"nothing", b">>", b"<4G>", b"", b"(\\"])
def test_bytes_that_are_not_a_pdf_value_are_refused(written: bytes) -> None:
    """Bytes that are not a PDF value are refused."""
    with pytest.raises(InvalidData, match="damaged"):
        Reader(written).value()


def test_number_of_values_is_bounded() -> None:
    """A file with too many values, or with too many brackets in a text, is refused."""
    for text in (b"[1 2 3 4 5]", b"((((((((((((((((", b"[[[[[[[[[[[[[[["):
        with pytest.raises(InvalidData, match="too many values"):
            Reader(text, budget=[5]).value()


def test_moment_in_utc_is_written() -> None:
    """The written time of the PDF's last change includes its time-zone offset."""
    embedded_pdf = PdfFile(
        embed_invoice(SHAPES[0], CII, modified_at=datetime(2026, 1, 2, tzinfo=UTC))
    )
    (specification,) = embedded_pdf.items(embedded_pdf.fields(embedded_pdf.trailer["Root"])["AF"])
    file = embedded_pdf.resolve(embedded_pdf.fields(specification)["EF"]["F"])

    assert isinstance(file, PdfStream)
    assert file.fields["Params"]["ModDate"] == b"D:20260102000000+00'00'"
