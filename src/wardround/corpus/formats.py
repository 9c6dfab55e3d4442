"""Source files: what a file is, its rows as a stream, and where it may be cut.

The format is told by the bytes, never by the name alone: JSONL, a JSON array, one JSON object, CSV or TSV,
plain text, Markdown, DOCX, PDF with text, FHIR. Text formats are split into sections by their headings, a row
each. `inspect` looks once at the whole file (encoding, SHA-256) and at its first rows (kind, mapping); `rows`
reads it with bounded memory; `cuts` says where line formats may be split into shards.

A `Source` holds all that reading needs besides the path, and passes between processes. Rows are made into
documents by `kinds.documents_of`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import sha256_file
from wardround.corpus import arrays, fhir_export, kinds, lines, passages
from wardround.corpus import mapping as mapped
from wardround.corpus.lines import Row
from wardround.corpus.mapping import Mapped
from wardround.corpus.source import Source
from wardround.errors import InputError, UsageError, WardroundError
from wardround.records import Exclusion

__all__ = ["Row", "Source", "cuts", "files_of", "inspect", "rows", "sources_of"]

JSONL, JSON, OBJECT, CSV = "jsonl", "json", "object", "csv"
TEXT, MARKDOWN, DOCX, PDF, PAIRS = "text", "markdown", "docx", "pdf", "pairs"
FHIR_EXPORT = "fhir-export"
SECTIONED = frozenset({TEXT, MARKDOWN, DOCX, PDF})
_HEAD = 1 << 16
_LOOK_AT = 100
_SUFFIXES = {
    ".md": MARKDOWN, ".markdown": MARKDOWN, ".txt": TEXT, ".text": TEXT, "": TEXT,
    ".csv": CSV, ".tsv": CSV, ".jsonl": JSONL, ".ndjson": JSONL,
}  # fmt: skip


def sources_of(
    paths: Iterable[Path],
    licence: str | Mapping[str, str] = "unstated",
    mapping: Path | None = None,
) -> tuple[list[tuple[Path, Source]], list[Exclusion]]:
    """Every source of `paths`, folders taken apart, in the order of names and contents; and the files within
    folders that are none, as exclusions of row 0. A file named itself must be a source, else it
    raises; only one that a mapping does not fit is put aside as well, as long as there are others."""
    said = mapped.load(mapping) if mapping is not None else ()
    unfit: WardroundError | None = None
    found: list[tuple[Path, Source]] = []
    aside: list[Exclusion] = []
    for path in paths:
        files = files_of(path)
        for file in files:
            try:
                source = inspect(file, _licence(file, path, licence), said)
            except WardroundError as e:
                if file == path and not isinstance(e, mapped.FieldError):
                    raise
                unfit = unfit or (e if file == path else None)
                aside.append(
                    Exclusion(
                        stage="read", file=_name(file, path), row=0, what=_name(file, path),
                        reason="unreadable_file", detail=e.message,
                    )
                )  # fmt: skip
            else:
                found.append((file, msgspec.structs.replace(source, file=_name(file, path))))
    if unfit is not None and not found:
        raise unfit
    found = _told_apart(found)
    found.sort(key=lambda pair: (pair[1].file, pair[1].sha256))
    return found, sorted(aside, key=lambda e: e.file)


def _told_apart(found: list[tuple[Path, Source]]) -> list[tuple[Path, Source]]:
    """Sources of one name get as many of their folders before it as tell them apart: a row's provenance must say
    which file it is from."""
    names = Counter(source.file for _, source in found)
    twice = {f: s.file for f, s in found if names[s.file] > 1}
    longer = dict(twice)
    for more in range(1, 1 + max((len(f.resolve().parts) for f in twice), default=0)):
        counts = Counter(longer.values())
        for file, name in twice.items():
            if counts[longer[file]] > 1:
                parts = file.resolve().parts
                longer[file] = "/".join(parts[max(1, len(parts) - name.count("/") - 1 - more) :])
    return [(f, msgspec.structs.replace(s, file=longer.get(f, s.file))) for f, s in found]


def files_of(path: Path) -> list[Path]:
    """The path itself, or the files below a folder, sorted; hidden ones left out. A folder of a FHIR bulk
    export (NDJSON, a resource type a file) stays whole, since one patient is spread over its files."""
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder", hint="check the path")
    if path.is_file():
        return [path]
    inside = sorted(
        p for p in path.rglob("*")
        if p.is_file() and not any(part.startswith(".") for part in p.relative_to(path).parts)
    )  # fmt: skip
    if not inside:
        raise UsageError(f"{path}: an empty folder", hint="name source files or a folder of them")
    return [path] if fhir_export.is_export(inside) else inside


def _name(file: Path, given: Path) -> str:
    return file.name if file == given else file.relative_to(given).as_posix()


def _licence(file: Path, given: Path, licence: str | Mapping[str, str]) -> str:
    if isinstance(licence, str):
        return licence
    names = (str(file), _name(file, given), file.name, str(given), given.name)
    return next((licence[n] for n in names if n in licence), "unstated")


def inspect(
    path: Path, licence: str = "unstated", mapping: Path | tuple[Mapped, ...] | None = None
) -> Source:
    """Look at a source. `UsageError` when there is none, or when it is of no known kind and no mapping tells
    what its fields are; `InputError` when nothing in it can be read."""

    if not path.exists():
        raise UsageError(f"{path}: no such file", hint="check the path")
    said = mapped.load(mapping) if isinstance(mapping, Path) else mapping or ()
    mine = mapped.of_file(said, path)
    bare = _format(path, licence)
    if bare.format in SECTIONED | {PAIRS, FHIR_EXPORT}:
        return _sectioned(path, bare)
    first = _readable(path, bare)
    alone = bare.format == OBJECT or (bare.format == JSONL and len(first) < 2)
    if alone and not any(map(kinds.kind_of, first)):
        bare, first = _within_object(path, bare, mine) or (bare, first)
    if not first:
        raise InputError(
            "no row in it can be read", path=path,
            hint="a source is JSONL, a JSON array of objects, CSV with a header, text or FHIR",
        )  # fmt: skip
    if mine is not None:
        mapped.check(mine, path, first, bare.columns)
        return msgspec.structs.replace(bare, kind=mine.kind, mapping=mine)
    kind = next(filter(None, map(kinds.kind_of, first)), "")
    if not kind:
        fields = bare.columns or sorted({str(k) for row in first for k in row})
        raise UsageError(
            f"{path}: no known kind of source; its fields are {', '.join(fields)}",
            hint=f"{kinds.KNOWN}; or say what its fields are in a mapping file (--mapping FILE)",
        )
    if kind == kinds.FHIR and bare.format == JSONL and first[0].get("resourceType") != "Bundle":
        bare = msgspec.structs.replace(bare, format=FHIR_EXPORT)
    return msgspec.structs.replace(bare, kind=kind)


def _sectioned(path: Path, bare: Source) -> Source:
    """Text must hold some; what it does not is told at once, not after an hour's build."""
    first = next(rows(path, bare), None)
    if first is None:
        raise InputError("no text in it", path=path, hint="an empty file is no source")
    if first.value is None and first.reason == passages.NO_TEXT:
        raise InputError(first.problem, path=path, hint="run OCR over it first, e.g. ocrmypdf")
    if first.value is None and bare.format in (DOCX, PDF):
        raise InputError(first.problem, path=path, hint="check that it opens in a reader")
    return bare


def _format(path: Path, licence: str) -> Source:
    """Format and encoding, the kind where the format says it."""

    def source(
        form: str, kind: str = "", encoding: str = "", sha256: str = "", **more: Any
    ) -> Source:
        return Source(
            file=path.name, format=form, kind=kind, encoding=encoding, licence=licence,
            sha256=sha256 or sha256_file(path), **more,
        )  # fmt: skip

    if path.is_dir():
        return source(FHIR_EXPORT, "fhir", sha256=fhir_export.export_digest(path))
    with open(path, "rb") as f:
        head = f.read(_HEAD)
    if not head.strip():
        raise InputError("no row in it: the file is empty", path=path, hint="check the file")
    if head.startswith(b"%PDF-"):
        return source(PDF, "passage")
    if head.startswith(b"PK\x03\x04") and _is_docx(path):
        return source(DOCX, "passage")
    encoding, sha256 = lines.survey(path)
    text = head[: head.rfind(b"\n") + 1] or head
    start = (lines.decoded(text, encoding) or text.decode("utf-8", "replace")).lstrip()
    form = _text_format(start, path.suffix.lower())
    if form == CSV:
        columns, delimiter, _ = lines.csv_header(path, encoding)
        return source(CSV, "", encoding, sha256, columns=columns, delimiter=delimiter)
    kind = {TEXT: "passage", MARKDOWN: "passage", PAIRS: "consultation"}.get(form, "")
    if not form:
        raise UsageError(
            f"{path}: not a format that is read",
            hint="sources are JSONL, JSON, CSV, TSV, text (.txt), Markdown (.md), DOCX, PDF and FHIR",
        )
    return source(form, kind, encoding, sha256)


def _is_docx(path: Path) -> bool:
    import zipfile

    return zipfile.is_zipfile(path) and "word/document.xml" in zipfile.ZipFile(path).namelist()


def _text_format(start: str, suffix: str) -> str:
    """The format of a text that begins so; the suffix decides only where the text itself does not."""
    if start[:1] == "[" and start[1:].lstrip()[:1] in ("{", "]"):
        return JSON
    if start[:1] == "{":
        opening = [line for line in start.split("\n")[:20] if line.startswith("{")]
        whole = any(lines.object_row(line, 1).value is not None for line in opening)
        return JSONL if whole or len(opening) > 1 or suffix in (".jsonl", ".ndjson") else OBJECT
    form = _SUFFIXES.get(suffix, "")
    if form in (TEXT, JSONL, "") and _is_table(start):
        return CSV
    if form == TEXT:
        return PAIRS if passages.is_pairs(start) else TEXT
    return form


def _is_table(start: str) -> bool:
    """Whether the first line is the header of a known kind, whatever the file is called."""

    head = start.split("\n", 1)[0].strip()
    return any(kinds.kind_of(dict.fromkeys(lines.csv_fields(head, d))) for d in ",\t;")


def _within_object(
    path: Path, bare: Source, mine: Mapped | None
) -> tuple[Source, list[dict[str, Any]]] | None:
    """One JSON object may hold its rows in a list of objects: {"data": [...]}, on one line or many."""

    def fits(row: dict[str, Any]) -> bool:
        return mine is not None or bool(kinds.kind_of(row))

    found = arrays.within(path, bare.encoding, fits)
    if found is None:
        return None
    bare = msgspec.structs.replace(bare, format=OBJECT, path_in=found[0])
    return bare, _readable(path, bare)


def _readable(path: Path, source: Source) -> list[dict[str, Any]]:
    return [r.value for r in islice(rows(path, source), _LOOK_AT) if r.value is not None]


def rows(
    path: Path, source: Source, *, start: int = 0, end: int | None = None, first_row: int = 1
) -> Iterator[Row]:
    """Rows of a source, as a stream; with `start`, `end` and `first_row` from `cuts`, those of one shard.
    A row that cannot be read comes with its reason, and the rest goes on."""
    if source.format == JSONL:
        yield from lines.jsonl(path, source.encoding, start=start, end=end, first_row=first_row)
    elif source.format == CSV:
        yield from lines.csv_rows(
            path, source.encoding, source.columns, source.delimiter,
            start=start, end=end, first_row=first_row,
        )  # fmt: skip
    elif source.format == JSON:
        yield from arrays.array(path, source.encoding)
    elif source.format == OBJECT:
        yield from _object(path, source)
    elif source.format == FHIR_EXPORT:
        yield from fhir_export.export_rows(path)
    else:
        yield from passages.rows(path, source.format, source.encoding)


def _object(path: Path, source: Source) -> Iterator[Row]:
    if source.path_in:
        place = arrays.within(path, source.encoding, lambda _: True, source.path_in)
        yield from arrays.array(path, source.encoding, opening=place[1] if place else 0)
        return
    try:
        value = arrays.whole(path, source.encoding)
    except InputError as e:
        yield Row(number=1, problem=e.message, reason=lines.MALFORMED)
        return
    yield lines.checked_row(value, "", 1)


def cuts(path: Path, source: Source, rows_per_shard: int) -> Iterator[tuple[int, int, int]] | None:
    """(start, end, first_row) of each shard of a JSONL or CSV file, for `rows`; None for a format that cannot
    be cut."""
    if source.format == JSONL:
        return lines.jsonl_cuts(path, rows_per_shard)
    if source.format == CSV:
        return lines.csv_cuts(path, source.encoding, source.delimiter, rows_per_shard)
    return None
