"""Rows of a JSON array, read as a stream: a 200 MB array on one line holds one element in memory at a time.

`json.JSONDecoder.raw_decode` takes one element after another from a window of text. That is as quick as an
event parser and, unlike one, it can go on behind an element that is malformed: reading resumes at the next
object that begins with the same key as the first one did. A file that breaks off gives every whole element,
and a `Row` that says so.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from wardround.corpus.lines import BOM, MALFORMED, MIXED, TRUNCATED, Row, checked_row, undecodable
from wardround.errors import InputError

_CHUNK = 1 << 20
_LONGEST = 1 << 27
_GAP = re.compile(r"[\s,\ufeff]*")
_FIRST_KEY = re.compile(r'\{\s*"((?:[^"\\]|\\.)*)"\s*:')
_LOST_BYTE = re.compile("[\udc80-\udcff]")
_decoder = json.JSONDecoder(strict=False, parse_constant=lambda _: None)


def texts(path: Path, encoding: str, start: int = 0) -> Iterator[str]:
    """The file's text in pieces. In a file of mixed encodings each piece between quotation marks or line
    ends is decoded on its own (neither byte is ever part of a character); what is in neither encoding comes
    as lone surrogates, to be noticed."""
    with open(path, "rb") as f:
        f.seek(start)
        if start == 0 and f.read(3) != BOM:
            f.seek(0)
        if encoding == MIXED:
            yield from _mixed(iter(lambda: f.read(_CHUNK), b""))
            return
        decoder = codecs.getincrementaldecoder(encoding)()
        while block := f.read(_CHUNK):
            yield decoder.decode(block)
        decoder.decode(b"", True)


def _mixed(blocks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for block in blocks:
        pieces = re.split(rb'(?<=["\n])', rest + block)
        rest = pieces.pop()
        yield "".join(map(_either, pieces))
    yield _either(rest)


def _either(piece: bytes) -> str:
    for name in ("utf-8", "gb18030"):
        try:
            return piece.decode(name)
        except UnicodeDecodeError:
            continue
    return piece.decode("utf-8", "surrogateescape")


class _Window:
    """A stretch of text with a position, that can be made longer from the file."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self.pieces = pieces
        self.text = ""
        self.at = 0
        self.passed = 0  # characters of the file before `text`
        self.ended = False

    def more(self, least: int = 1) -> bool:
        """Read on by at least `least` characters; False at the end of the file."""
        found: list[str] = []
        had = 0
        while had < least and not self.ended:
            piece = next(self.pieces, None)
            if piece is None:
                self.ended = True
            else:
                found.append(piece)
                had += len(piece)
        if found:
            self.text = self.text[self.at :] + "".join(found)
            self.passed += self.at
            self.at = 0
        return bool(had)

    def skip(self) -> str:
        """Skip blanks and commas; the next character, "" at the end."""
        while True:
            m = _GAP.match(self.text, self.at)
            self.at = m.end() if m else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""


def array(path: Path, encoding: str, *, opening: int = 0) -> Iterator[Row]:
    """Rows of the array whose "[" is the first one behind `opening` characters."""
    window = _Window(texts(path, encoding))
    while len(window.text) - window.at <= opening and window.more():
        pass
    window.at = window.text.index("[", opening) + 1
    number, key = 0, ""
    while True:
        character = window.skip()
        if character in ("]", ""):
            break
        number += 1
        if not key:
            key = _first_key(window)
        row = _element(window, number)
        yield row
        if row.reason == TRUNCATED or (row.reason == MALFORMED and not _resume(window, key, row)):
            return
    if character != "]":
        problem = "the array is not closed: the file may have been cut off behind the row before"
        yield Row(number=number + 1, problem=problem, reason=TRUNCATED)
    elif not opening:
        window.at += 1
        if window.skip():
            problem = "there is more text behind the array's end, which is not read"
            yield Row(number=number + 1, problem=problem, reason=MALFORMED)


def within(
    path: Path, encoding: str, fits: Callable[[dict[str, Any]], bool], named: str = ""
) -> tuple[str, int] | None:
    """The member of the file's one object that holds its rows: (key, characters before its "["); None without one.

    It is the first list of objects whose first element `fits` (and whose key is `named`, if given). Read as a stream, like the rows themselves.
    """
    window = _Window(texts(path, encoding))
    if window.skip() != "{":
        return None
    window.at += 1
    while window.skip() == '"':
        key = _decoded(window)
        if not isinstance(key, str) or window.skip() != ":":
            return None
        window.at += 1
        if window.skip() != "[":
            if _decoded(window) is _NOTHING:
                return None
            continue
        opening = window.passed + window.at
        window.at += 1
        number = 0
        while window.skip() not in ("]", ""):
            value, number = _decoded(window), number + 1
            if value is _NOTHING:
                return None
            wanted = not named or key == named
            if number == 1 and wanted and isinstance(value, dict) and fits(value):
                return key, opening
        window.at += 1
    return None


_NOTHING = object()


def _decoded(window: _Window) -> object:
    """The value at the window's position, which moves behind it; `_NOTHING` where there is none."""
    while True:
        try:
            value, end = _decoder.raw_decode(window.text, window.at)
        except (json.JSONDecodeError, RecursionError):
            size = len(window.text) - window.at
            if size < _LONGEST and window.more(max(size, 1)):
                continue
            return _NOTHING
        if end == len(window.text) and window.text[end - 1] not in '}]"' and window.more():
            continue
        window.at = end
        found: object = value
        return found


def _first_key(window: _Window) -> str:
    m = _FIRST_KEY.match(window.text, window.at)
    return m[1] if m else ""


def _element(window: _Window, number: int) -> Row:
    """The element at the window's position, which moves behind it unless it is malformed."""
    while True:
        try:
            value, end = _decoder.raw_decode(window.text, window.at)
        except json.JSONDecodeError as e:
            size = len(window.text) - window.at
            if _unfinished(e, window) and size < _LONGEST and window.more(size):
                continue
            return _broken(e, window, number)
        except RecursionError:
            return Row(number=number, problem="nested too deep", reason=MALFORMED)
        # A bare number at the window's edge may go on behind it.
        if end == len(window.text) and window.text[end - 1] not in '}]"' and window.more():
            continue
        raw = window.text[window.at : end]
        window.at = end
        return undecodable(number) if _LOST_BYTE.search(raw) else checked_row(value, raw, number)


def _unfinished(e: json.JSONDecodeError, window: _Window, within: int = 16) -> bool:
    """Whether the text ended before the element did, so that more of it may mend the error."""
    return e.msg.startswith("Unterminated string") or e.pos >= len(window.text.rstrip()) - within


def _broken(e: json.JSONDecodeError, window: _Window, number: int) -> Row:
    if _unfinished(e, window, 0):
        problem = "the file breaks off within this row"
        if not window.ended:
            problem = "a text is opened and not closed within 128 MB"
        return Row(number=number, problem=problem, reason=TRUNCATED)
    problem = f"malformed JSON: {e.msg} ({e.pos - window.at} characters into the row)"
    return Row(number=number, problem=problem, reason=MALFORMED)


def _resume(window: _Window, key: str, row: Row) -> bool:
    """Move to the next object that begins with `key`; False when there is none."""
    again = re.compile(r'\{\s*"' + re.escape(key) + r'"\s*:')
    window.at += 1
    while True:
        m = again.search(window.text, window.at) if key else None
        if m:
            window.at = m.start()
            return True
        window.at = max(window.at, len(window.text) - len(key) - 64)
        if not window.more():
            return False


def whole(path: Path, encoding: str, most: int = 1 << 28) -> object:
    """The one JSON value of a file of at most `most` bytes (a FHIR bundle, a single case).

    `InputError` when it is larger or malformed.
    """
    if path.stat().st_size > most:
        raise InputError(
            f"one JSON object of more than {most >> 20} MB", path=path,
            hint="give it as NDJSON, one object a line",
        )  # fmt: skip
    text = "".join(texts(path, encoding))
    try:
        return json.loads(text, strict=False, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as e:
        raise InputError(f"malformed JSON: {e}", path=path, hint="mend the file") from e
