"""Small PDF files for tests, with a cross-reference table or with object streams."""

from __future__ import annotations

import zlib
from typing import Final

XMP: Final = (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description'
    ' rdf:about="" xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/"><pdfaid:part>2</pdfaid:part>'
    "<pdfaid:conformance>B</pdfaid:conformance></rdf:Description></rdf:RDF></x:xmpmeta>"
    '<?xpacket end="w"?>'
)
PAGES: Final = (
    b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595.2 842] >>",
)


def stream(content: bytes, fields: str = "") -> bytes:
    """Return a PDF stream with this content and these dictionary entries."""
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (
        fields.encode(),
        len(content),
        content,
    )


def catalog(fields: str = "") -> bytes:
    """Return a PDF catalog with metadata and these further entries."""
    return f"<< /Type /Catalog /Pages 2 0 R /Metadata 4 0 R {fields} >>".encode()


def usual_objects(fields: str = "", xmp: str = XMP) -> list[bytes]:
    """Return the objects of a PDF with one page, the catalog first."""
    return [catalog(fields), *PAGES, stream(xmp.encode(), "/Type /Metadata /Subtype /XML")]


def table_pdf(objects: list[bytes], trailer: str = "") -> bytes:
    """Return a PDF of these objects, numbered from 1, with a cross-reference table."""
    body, places = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", []
    for number, value in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, value)
    rows = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    end = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n"
    return body + head + rows + end.encode() + b"%d\n%%%%EOF\n" % len(body)


def packed_pdf(objects: list[bytes], *, kind: int | None = None, fields: str = "") -> bytes:
    """Return a PDF with an object stream and a cross-reference stream.

    Args:
        objects: the objects; streams stay outside of the stream of objects.
        kind: the PNG filter of the rows of the section; None for none.
        fields: further fields of the stream of objects.
    """
    body, places = b"%PDF-1.7\n", {}
    packed_objects = [
        (n, value) for n, value in enumerate(objects, 1) if not value.endswith(b"stream")
    ]
    holder = len(objects) + 1
    for number, value in enumerate(objects, 1):
        if value.endswith(b"stream"):
            places[number] = (1, len(body), 0)
            body += b"%d 0 obj\n%s\nendobj\n" % (number, value)
    content, offsets = b"", []
    for index, (number, value) in enumerate(packed_objects):
        offsets.append(b"%d %d" % (number, len(content)))
        places[number] = (2, holder, index)
        content += value + b" "
    head = b" ".join(offsets) + b"\n"
    places[holder] = (1, len(body), 0)
    names = (
        f"/Type /ObjStm /N {len(packed_objects)} /First {len(head)} /Filter /FlateDecode {fields}"
    )
    body += b"%d 0 obj\n%s\nendobj\n" % (holder, stream(zlib.compress(head + content), names))
    places[0], places[holder + 1] = (0, 0, 255), (1, len(body), 0)
    rows = [
        bytes([a]) + b.to_bytes(3, "big") + bytes([c]) for _, (a, b, c) in sorted(places.items())
    ]
    parameters = ""
    if kind is not None:
        rows = filter_rows(rows, kind)
        parameters = "/DecodeParms << /Predictor 15 /Columns 5 >>"
    section = f"/Type /XRef /Size {holder + 2} /Root 1 0 R /W [1 3 1] /Filter [/FlateDecode]"
    value = stream(zlib.compress(b"".join(rows)), f"{section} {parameters}")
    end = b"\nendobj\nstartxref\n%d\n%%%%EOF" % len(body)
    return body + b"%d 0 obj\n%s" % (holder + 1, value) + end


def filter_rows(rows: list[bytes], kind: int) -> list[bytes]:
    """Return image rows encoded by a PNG filter, each preceded by the filter's number."""
    filtered_rows, previous_row = [], bytes(len(rows[0]))
    for row in rows:
        left_byte, corner = bytes(1) + row[:-1], bytes(1) + previous_row[:-1]
        guesses = {
            0: bytes(len(row)),
            1: left_byte,
            2: previous_row,
            3: bytes((a + b) // 2 for a, b in zip(left_byte, previous_row, strict=True)),
            4: bytes(map(paeth, left_byte, previous_row, corner)),
        }
        deltas = zip(row, guesses[kind], strict=True)
        filtered_rows.append(bytes([kind, *((byte - guess) & 0xFF for byte, guess in deltas)]))
        previous_row = row
    return filtered_rows


def paeth(left: int, up: int, corner: int) -> int:
    """Return whichever of left, up and corner is nearest to left + up - corner, as in PNG."""
    guess = left + up - corner
    if abs(guess - left) <= abs(guess - up) and abs(guess - left) <= abs(guess - corner):
        return left
    return up if abs(guess - up) <= abs(guess - corner) else corner
