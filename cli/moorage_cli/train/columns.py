"""CSV and Parquet files as columns of text and numbers, with errors that name line and column."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from moorage_policies.errors import BadInputError, UnavailableError
from moorage_policies.types import FloatArray

MAX_BYTES = 1024**3
Cell = str | float | int | None


@dataclass(frozen=True, slots=True)
class Columns:
    """A table of a file.

    Args:
        name: what the file is to its reader (``telemetry``), for messages.
        first_line: line of the first row, for messages.
        cells: values by column.
        length: rows.
    """

    name: str
    first_line: int
    cells: Mapping[str, Sequence[Cell]]
    length: int

    def numbers(self, column: str, *, needed: bool = False) -> FloatArray:
        """Return a column as numbers, NaN where a cell is empty or the column is absent.

        Raises:
            BadInputError: a cell is no number, or empty although ``needed``.
        """
        cells = self.cells.get(column)
        if cells is None:
            return np.full(self.length, np.nan)
        values = np.empty(self.length)
        for row, cell in enumerate(cells):
            try:
                values[row] = np.nan if cell is None or cell == "" else float(cell)
            except ValueError:
                message = f"{str(cell)[:40]!r} is no number; write digits or leave it empty"
                raise BadInputError(message, field=self.place(row, column)) from None
            if needed and not np.isfinite(values[row]):
                raise BadInputError("must be a finite number", field=self.place(row, column))
        return values

    def texts(self, column: str) -> list[str]:
        """Return a column as text, empty where a cell is or the column is absent."""
        cells = self.cells.get(column)
        if cells is None:
            return [""] * self.length
        return ["" if cell is None else str(cell).strip() for cell in cells]

    def place(self, row: int, column: str) -> str:
        """Return where a cell is, for messages."""
        return f"{self.name} line {row + self.first_line}, {column}"


def read_columns(path: Path, name: str, needed: Sequence[str]) -> Columns:
    """Return the table of a CSV (also ``.gz``) or Parquet file.

    Raises:
        BadInputError: no such file, not readable as a table, or without a needed column.
        UnavailableError: Parquet, and its library is not installed.
    """
    if not path.is_file():
        raise BadInputError(f"{path} is no file; name an existing one", field=name)
    if path.stat().st_size > MAX_BYTES:
        raise BadInputError(f"{path} is larger than 1 GiB; give a part of it", field=name)
    parquet = path.suffix == ".parquet"
    cells = _read_parquet(path, name) if parquet else _read_csv(path, name)
    missing = [column for column in needed if column not in cells]
    if missing:
        columns = ", ".join(needed)
        raise BadInputError(f"no column {missing[0]!r}; there must be {columns}", field=name)
    length = len(next(iter(cells.values()))) if cells else 0
    if not length:
        raise BadInputError(f"{path} has no rows; record some first", field=name)
    return Columns(name, 1 if parquet else 2, cells, length)


def _read_csv(path: Path, name: str) -> dict[str, Sequence[Cell]]:
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
        rows = csv.reader(io.StringIO(text, newline=""))
        header = [column.strip() for column in next(rows, [])]
        body = [row for row in rows if row]
    except (OSError, UnicodeDecodeError, csv.Error, EOFError) as error:
        message = f"{path} is no CSV text ({error}); export it as UTF-8 CSV or Parquet"
        raise BadInputError(message, field=name) from None
    for line, row in enumerate(body, start=2):
        if len(row) != len(header):
            message = f"{len(row)} cells under {len(header)} columns"
            raise BadInputError(message, field=f"{name} line {line}")
    return {column: [row[k] for row in body] for k, column in enumerate(header)}


def _read_parquet(path: Path, name: str) -> dict[str, Sequence[Cell]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise UnavailableError("Parquet needs pyarrow; install moorage[train]") from error
    try:
        columns: dict[str, Sequence[Cell]] = parquet.read_table(path).to_pydict()
    except (ArrowException, OSError) as error:
        raise BadInputError(f"{path} is no Parquet file ({error})", field=name) from None
    return columns
