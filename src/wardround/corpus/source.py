"""What is known of a source file: all that reading needs besides its path, as a value that passes between
processes."""

from __future__ import annotations

from wardround.corpus.mapping import Mapped
from wardround.records import Record


class Source(Record, frozen=True, kw_only=True):
    """One source: its name, format, kind of document, encoding ("" where the format has its own), SHA-256 and
    licence. `columns` and `delimiter` are a CSV's; `path_in` is where a JSON object keeps its rows;
    `mapping` what the user's mapping file says of it."""

    file: str
    format: str
    kind: str
    encoding: str
    sha256: str
    licence: str = "unstated"
    mapping: Mapped | None = None
    columns: tuple[str, ...] = ()
    delimiter: str = ","
    path_in: str = ""
