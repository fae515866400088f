"""A sink that writes records to Parquet files.

Laws:

1. A file of Parquet has its name only when it is complete, and never changes afterwards.
2. Records that were processed before `flush` survive the process. They are in a part, as lines of
   JSON below a line with the schema, until a file of Parquet is made from the part.
3. Every line of a part fits its schema, so that a part can always become a file.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from decimal import Decimal
from importlib import import_module
from io import BytesIO
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.files.rotating_sink import RotatingSink
from moorage.adapters.files.whole_files import sync_folder
from moorage.domain.pipelines.parquet_columns import COMPRESSIONS, checked_columns, decimal_size
from moorage.domain.pipelines.records import DecodedRecord
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.installation import install
from moorage.domain.values.json_text import encode_json, is_object
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError, InvalidData, LocalFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from pathlib import Path
    from typing import BinaryIO

    from moorage.domain.pipelines.records import SinkRecord

_GROUP: Final = 8_000_000
"""The bytes of JSON that become one group of rows."""

_LONGEST_PROBLEM: Final = 200
_QUOTED_VALUE: Final = late_pattern(r"\AThe string '.*' ")
_LONGEST_EXPONENT: Final = 100
"""The largest exponent of a number that is written in full; columns have 38 digits at most."""


@with_careful_constructor
class ParquetSink(RotatingSink):
    """A sink that writes records to Parquet files in a folder.

    The JSON of a record becomes a row. A record that does not fit the columns is refused. Until a
    file is complete, its rows are in a file that ends with ".part"; the next process completes
    files that a process left behind when it died. Only one sink at a time may write files of a
    name.

    Args:
        folder: the folder, which must exist.
        name: the beginning of the names of the files.
        columns: the types of the columns by their names: "string", "int32", "int64", "float64",
            "bool", "timestamp" for ISO 8601 in UTC, or "decimal(10,2)". Other fields of records are
            left out. By default the columns are the fields of the first batch, and a record with
            another field does not fit.
        compression: "zstd", "snappy", "gzip" or "none".
        records: the number of records at which a file is completed.
        size: the bytes of JSON at which a file is completed.
        age: the seconds after which a file is completed, at the next batch or flush.
        clock: returns seconds of a clock that never goes back.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        name: str,
        *,
        columns: Mapping[str, str] | None = None,
        compression: str = "zstd",
        records: int | None = 1_000_000,
        size: int = 500_000_000,
        age: float | timedelta = 3_600.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__(folder, name, "parquet", records=records, size=size, age=age, clock=clock)
        if compression not in COMPRESSIONS:
            raise ConfigurationError(
                f"Parquet files do not support the compression {compression!r}.",
                path="compression",
                remedy=f"Give one of {', '.join(map(repr, COMPRESSIONS))}.",
            )
        self._compression = compression
        self._arrow = _import_object("pyarrow")
        self._json = _import_object("pyarrow.json")
        self._parquet = _import_object("pyarrow.parquet")
        self._is_fixed = columns is not None
        self._schema: Any = None if columns is None else self._schema_of(columns)
        self._decimals = [name for name, kind in (columns or {}).items() if decimal_size(kind)]

    def _schema_of(self, columns: Mapping[str, str]) -> Any:
        checked_columns(columns)
        return self._arrow.schema([(name, self._type_of(kind)) for name, kind in columns.items()])

    def _type_of(self, kind: str) -> Any:
        if kind == "timestamp":
            return self._arrow.timestamp("us", tz="UTC")
        decimal = decimal_size(kind)
        if decimal is not None:
            return self._arrow.decimal128(*decimal)
        return self._arrow.type_for_alias(kind)

    def _lines(self, records: Sequence[SinkRecord]) -> tuple[list[bytes], Exception | None]:
        lines: list[bytes] = []
        problem: Exception | None = None
        for record in records:
            try:
                lines.append(encode_json(self._exact_value(record)) + b"\n")
            except InvalidData as error:
                problem = error
                break
        try:
            self._check_schema(lines)
        except InvalidData:
            # A batch with a bad record is checked line by line, up to that record.
            return self._fitting_lines(lines)
        return lines, problem

    def _exact_value(self, record: SinkRecord) -> Any:
        """Return a record as JSON, with text in decimal columns so that no digit is lost.

        Python reads a number with decimal places as a float, which keeps only 15 digits.
        """
        value = record.json()
        if not is_object(value):
            return value
        numbers: Any = value
        if any(isinstance(value.get(name), float) for name in self._decimals) and not isinstance(
            record, DecodedRecord
        ):
            numbers = json.loads(record.payload, parse_float=Decimal)
        texts = {
            name: _decimal_text(numbers[name])
            for name in self._decimals
            if isinstance(numbers.get(name), Decimal)
        }
        return {**value, **texts} if texts else value

    def _fitting_lines(self, lines: Sequence[bytes]) -> tuple[list[bytes], Exception | None]:
        fitting_lines: list[bytes] = []
        problem: Exception | None = None
        while problem is None and len(fitting_lines) < len(lines):
            line = lines[len(fitting_lines)]
            try:
                self._check_schema([line])
            except InvalidData as error:
                problem = error
            else:
                fitting_lines.append(line)
        return fitting_lines, problem

    def _check_schema(self, lines: Sequence[bytes]) -> None:
        """Check that lines fit the schema; if no schema is set, infer it from the first lines.

        Raises:
            InvalidData: a line does not fit.
        """
        if not lines:
            return
        if self._schema is None:
            inferred_schema = self._table(b"".join(lines), None, "infer").schema
            self._schema = self._without_guesses(inferred_schema)
        else:
            self._table(b"".join(lines), self._schema, "ignore" if self._is_fixed else "error")

    def _table(self, lines: bytes, schema: Any, others: str) -> Any:
        """Convert JSON lines to a pyarrow table.

        Args:
            lines: the lines.
            schema: the columns; None to infer them.
            others: the treatment of fields without a column: "infer", "ignore" or "error".

        Raises:
            InvalidData: a line does not fit.
        """
        try:
            table = self._json.read_json(
                BytesIO(lines),
                read_options=self._json.ReadOptions(use_threads=False, block_size=len(lines)),
                parse_options=self._json.ParseOptions(
                    explicit_schema=schema, unexpected_field_behavior=others
                ),
            )
        except self._arrow.ArrowInvalid as error:
            problem = _problem(str(error))
        else:
            if table.num_columns:
                return table
            problem = "the payload has no fields"
        raise InvalidData(
            f"The payload of a record does not fit the columns of {self._name}: {problem}.",
            field="payload",
            remedy="Correct the producer, or change the record with a transform. If the"
            " columns are wrong, pass `columns` to the sink.",
        )

    def _without_guesses(self, schema: Any) -> Any:
        """Return an inferred schema, with strings instead of the times that pyarrow guessed."""
        return self._arrow.schema([(field.name, self._plain_type(field.type)) for field in schema])

    def _plain_type(self, kind: Any) -> Any:
        types = self._arrow.types
        if types.is_timestamp(kind):
            return self._arrow.string()
        if types.is_list(kind):
            return self._arrow.list_(self._plain_type(kind.value_type))
        if types.is_struct(kind):
            fields = [kind.field(number) for number in range(kind.num_fields)]
            return self._arrow.struct(
                [(field.name, self._plain_type(field.type)) for field in fields]
            )
        return kind

    def _header(self) -> bytes:
        return b64encode(self._schema.serialize().to_pybytes()) + b"\n"

    def _finish(self, part: Path) -> None:
        path = part.with_suffix("")
        with part.open("rb") as lines:
            header = lines.readline()
            if header:
                self._write_parquet(path, header, lines)
        sync_folder(self._folder)
        part.unlink()

    def _write_parquet(self, path: Path, header: bytes, lines: BinaryIO) -> None:
        """Write a file's lines to a Parquet file, and rename that file when it is complete."""
        try:
            schema = self._arrow.ipc.read_schema(self._arrow.py_buffer(b64decode(header)))
        except (ValueError, OSError):
            raise LocalFailure(
                f"The unfinished part of the file {path.name} cannot be read.",
                remedy="If another program wrote the part, move it away. No other program"
                " should write to this folder.",
            ) from None
        unfinished_path = path.with_suffix(".coming")
        with unfinished_path.open("wb") as file:
            with self._parquet.ParquetWriter(file, schema, compression=self._compression) as writer:
                for group in _groups(lines):
                    writer.write_table(self._table(group, schema, "ignore"))
            file.flush()
            os.fsync(file.fileno())
        unfinished_path.rename(path)


def _problem(message: str) -> str:
    """Return the reason in a pyarrow error message, without the field's value."""
    text = message.removeprefix("JSON parse error: ").partition(", couldn't parse")[0]
    text = _QUOTED_VALUE.sub("a value ", text)
    return text.partition(": ")[0].partition(" in row ")[0][:_LONGEST_PROBLEM]


def _decimal_text(number: Decimal) -> str:
    """Return the text of a number; it has an exponent only if the number does not fit a column."""
    is_usual = number.is_finite() and abs(number.adjusted()) <= _LONGEST_EXPONENT
    return f"{number:f}" if is_usual else str(number)


def _groups(lines: BinaryIO) -> Iterator[bytes]:
    """Yield a file's lines in groups of limited size."""
    while group := lines.readlines(_GROUP):
        yield b"".join(group)


def _import_object(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise ConfigurationError(
            "Parquet files need the package pyarrow.", path="kind", remedy=install("parquet")
        ) from None
