"""Chapters of text, Markdown, DOCX and PDF, split by their headings: one row a section.

A row's value is {"headings": [outermost, …, innermost], "text": …}. Markdown and DOCX mark their headings; in
plain text and PDF a short line on its own counts as one when it is numbered as books number them (第三章, 第二节,
一、, （一）, 1.2, Chapter 3) or stands in 【】. A section longer than `LONGEST` characters is parted between
paragraphs, under the same headings. What stands above the first heading is a section without headings.

PDF pages lose their running heads and page numbers, and broken lines are joined. A PDF without text is a
scan: it gives one row that says so. Plain text may also be consultations, "question line, answer line, blank
line" (as Toyhom's .txt): see `is_pairs`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from wardround.corpus.arrays import texts
from wardround.corpus.lines import MALFORMED, TRUNCATED, UNDECODABLE, Row
from wardround.errors import UsageError

EXTRA = 'pip install "wardround[documents]"'

LONGEST = 6000
NO_TEXT = "no_text"
_MOST_HEADING = 40
_CHINESE_NUMBER = "[一二三四五六七八九十百零〇0-9]{1,5}"
_LEVELS: tuple[tuple[int, re.Pattern[str]], ...] = (
    (1, re.compile(rf"(?:第{_CHINESE_NUMBER}[篇编部卷]|Part [\dIVXL]+)\b.*", re.I)),
    (2, re.compile(rf"(?:第{_CHINESE_NUMBER}章|Chapter \d+).*", re.I)),
    (3, re.compile(rf"第{_CHINESE_NUMBER}节.*")),
    (4, re.compile(r"[一二三四五六七八九十]{1,3}、.+|【[^】]{1,30}】")),
    (5, re.compile(r"[（(][一二三四五六七八九十]{1,3}[)）].+")),
    (6, re.compile(r"\d{1,2}\.\d{1,2}(?:\.\d{1,2})*[ \t\u3000]*[\u4e00-\u9fffA-Za-z].*")),
)
_SENTENCE = re.compile(r"[。！？；，,.;:：、]$|[。；]")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_FENCE = re.compile(r" {0,3}(```|~~~)")
_HEADING_STYLE = re.compile(r"(?:heading|标题)\s*(\d)", re.I)
_ENDS = "。！？；：.!?;:”）)"
_STARTS = re.compile(
    r"[（(]?\s*(?:\d{1,2}|[一二三四五六七八九十]{1,3})\s*[)）.、．]|[①-⑳•●◆■▪◇-]|【"
)
_PAGE_NUMBER = re.compile(r"[-—·\s第页/ofpage]*\d{1,4}[-—·\s第页/ofpage\d]*", re.I)

Piece = tuple[int, str]
"""(heading level from 1, its words), or (0, a paragraph)."""


def rows(path: Path, form: str, encoding: str) -> Iterator[Row]:
    """The sections of a text, as rows; or the pairs of a "pairs" file."""
    if form == "pairs":
        yield from _pairs(_lines(path, encoding))
        return
    try:
        if form == "docx":
            pieces = _docx(path)
        elif form == "pdf":
            pieces = _pdf(path)
        elif form == "markdown":
            pieces = _markdown(_lines(path, encoding))
        else:
            pieces = _text(_lines(path, encoding))
        yield from _sections(pieces)
    except _UnreadableError as e:
        yield Row(number=1, problem=e.args[0], reason=e.args[1])


class _UnreadableError(Exception):
    """The file cannot be read: (problem, reason)."""


def _lines(path: Path, encoding: str) -> Iterator[str]:
    rest = ""
    for piece in texts(path, encoding):
        *whole, rest = (rest + piece.replace("\r\n", "\n")).split("\n")
        yield from whole
    yield rest


# -- sections -----------------------------------------------------------------------------------------------


def _sections(pieces: Iterable[Piece]) -> Iterator[Row]:
    number = 0
    for headings, body in _bodies(pieces):
        for part in _parts(body):
            number += 1
            if re.search("[\udc80-\udcff]", part):
                problem = "bytes in it are neither UTF-8 nor GB18030"
                yield Row(number=number, problem=problem, reason=UNDECODABLE)
            else:
                yield Row(number=number, value={"headings": headings, "text": part})


def _bodies(pieces: Iterable[Piece]) -> Iterator[tuple[list[str], list[str]]]:
    """(headings, paragraphs) of each section that has any."""
    stack: list[Piece] = []
    body: list[str] = []
    for level, words in pieces:
        if not level:
            if words.strip():
                body.append(words.rstrip())
            continue
        if body:
            yield [h for _, h in stack], body
            body = []
        stack = [*(p for p in stack if p[0] < level), (level, words.strip())]
    if body:
        yield [h for _, h in stack], body


def _parts(paragraphs: Iterable[str]) -> Iterator[str]:
    """Paragraphs put together into texts of at most `LONGEST` characters; one longer than that is cut
    behind a sentence."""
    held: list[str] = []
    size = 0
    for paragraph in paragraphs:
        for piece in _cut(paragraph):
            if held and size + len(piece) > LONGEST:
                yield "\n".join(held)
                held, size = [], 0
            held.append(piece)
            size += len(piece)
    if held:
        yield "\n".join(held)


def _cut(paragraph: str) -> Iterator[str]:
    while len(paragraph) > LONGEST:
        stop = max(paragraph.rfind(c, 0, LONGEST) for c in "。！？\n. ")
        stop = stop + 1 if stop > 0 else LONGEST
        yield paragraph[:stop]
        paragraph = paragraph[stop:]
    yield paragraph


# -- plain text and Markdown ----------------------------------------------------------------------------------


def _text(lines: Iterable[str]) -> Iterator[Piece]:
    for line in lines:
        yield _heading_level(line), line


def _heading_level(line: str) -> int:
    """The level of a numbered heading, 0 for any other line."""
    words = line.strip().strip("\u3000")
    if not words or len(words) > _MOST_HEADING:
        return 0
    for level, pattern in _LEVELS:
        if pattern.fullmatch(words):
            # "一、发热3天，咳嗽。" is a sentence in a list; 【…】 is closed by itself.
            return 0 if level > 3 and words[0] != "【" and _SENTENCE.search(words[2:]) else level
    return 0


def _markdown(lines: Iterable[str]) -> Iterator[Piece]:
    held, fenced = "", False
    for line in _without_front_matter(lines):
        if _FENCE.match(line):
            fenced = not fenced
        m = None if fenced else _ATX.match(line)
        if not fenced and held.strip() and re.fullmatch(r" {0,3}(?:=+|-{2,})[ \t]*", line):
            yield 1 if "=" in line else 2, _plain(held)
            held = ""
            continue
        yield 0, _plain(held)
        held = ""
        if m:
            yield len(m[1]), _plain(m[2] or "")
        else:
            held = line
    yield 0, _plain(held)


def _without_front_matter(lines: Iterable[str]) -> Iterator[str]:
    """The lines behind a YAML front matter; all of them when it is never closed."""
    seen: list[str] = []
    within = False
    for number, line in enumerate(lines):
        if number == 0 and line.strip() == "---":
            within = True
        elif within and line.strip() in ("---", "..."):
            seen, within = [], False
            continue
        if within and len(seen) < 200:
            seen.append(line)
            continue
        yield from seen
        seen, within = [], False
        yield line
    yield from seen


def _plain(line: str) -> str:
    """A line without emphasis, images and link targets."""
    line = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", line)
    line = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", line)
    line = re.sub(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", r"\2", line)
    return re.sub(r"^ {0,3}(?:> ?)+", "", line)


# -- DOCX -----------------------------------------------------------------------------------------------------


def _docx(path: Path) -> Iterator[Piece]:
    """Paragraphs and tables in the document's order; a table's row is a line, cells parted by bars."""
    import zipfile

    try:
        import docx
        from docx.table import Table
    except ImportError as e:
        raise UsageError(f"{path}: DOCX needs python-docx", hint=EXTRA) from e

    try:
        document = docx.Document(str(path))
    except (KeyError, ValueError, zipfile.BadZipFile, OSError) as e:
        raise _UnreadableError(f"not a whole DOCX: {e}", MALFORMED) from e
    for block in document.iter_inner_content():
        if isinstance(block, Table):
            for row in block.rows:
                cells = dict.fromkeys(c.text.strip().replace("\n", " ") for c in row.cells)
                yield 0, " | ".join(cells)
        else:
            style = block.style.name if block.style is not None else ""
            m = _HEADING_STYLE.match(style or "")
            title = 1 if style in ("Title", "标题") else 0
            level = int(m[1]) + 1 if m else title or _outline(block._p)
            yield (level if block.text.strip() else 0), block.text


def _outline(paragraph: object) -> int:
    """The level a paragraph gives itself in the outline, else 0."""
    found = paragraph.xpath("./w:pPr/w:outlineLvl/@w:val")  # type: ignore[attr-defined]
    level = int(found[0]) if found else 9
    return level + 2 if level < 9 else 0


# -- PDF ------------------------------------------------------------------------------------------------------


def _pdf(path: Path) -> Iterator[Piece]:
    import logging

    try:
        import pypdf
        from pypdf.errors import PyPdfError
    except ImportError as e:
        raise UsageError(f"{path}: PDF needs pypdf", hint=EXTRA) from e

    logging.getLogger("pypdf").setLevel(logging.ERROR)
    try:
        with pypdf.PdfReader(path) as reader:
            if reader.is_encrypted and not reader.decrypt(""):
                raise _UnreadableError("a PDF under a password", MALFORMED)
            pages = [_page_lines(page.extract_text()) for page in reader.pages]
    except (PyPdfError, ValueError, KeyError, TypeError, OSError, RecursionError) as e:
        raise _UnreadableError(f"not a whole PDF: {e}", MALFORMED) from e
    if not any(pages):
        raise _UnreadableError(
            f"no text on its {len(pages)} pages: a scan, which only OCR can read", NO_TEXT
        )
    yield from _joined(_without_running_heads(pages))


def _page_lines(words: str) -> list[str]:
    return [line.strip() for line in words.split("\n") if line.strip()]


def _without_running_heads(pages: list[list[str]]) -> Iterator[str]:
    """Lines without page numbers and what stands at the top or foot of most pages."""
    edges = Counter(
        _faceless(line)
        for page in pages
        for line in dict.fromkeys([*page[:2], *page[-2:]])
    )  # fmt: skip
    often = max(3, len(pages) // 4)
    for page in pages:
        last = len(page) - 2
        for i, line in enumerate(page):
            edge = i < 2 or i >= last
            if edge and (edges[_faceless(line)] >= often or _PAGE_NUMBER.fullmatch(line)):
                continue
            yield line


def _faceless(line: str) -> str:
    return re.sub(r"[\d\s]+", "", line)


def _joined(lines: Iterable[str]) -> Iterator[Piece]:
    """Paragraphs: a line that fills its width and ends no sentence goes on in the next one."""
    seen = list(lines)
    widths = sorted(len(line) for line in seen)
    full = widths[len(widths) * 3 // 4] * 0.8 if widths else 0
    paragraph, before = "", ""
    for line in seen:
        level = _heading_level(line)
        open_end = bool(before) and len(before) >= full and before[-1] not in _ENDS
        if paragraph and (level or not open_end or _STARTS.match(line)):
            yield 0, paragraph
            paragraph = ""
        if level:
            yield level, line
            before = ""
            continue
        blank = " " if paragraph and paragraph[-1].isascii() and line[0].isascii() else ""
        paragraph, before = paragraph + blank + line, line
    yield 0, paragraph


# -- pairs ----------------------------------------------------------------------------------------------------


def is_pairs(start: str) -> bool:
    """Whether a text that begins so is blocks of a question line and an answer line, parted by blank lines."""
    blocks = [b.split("\n") for b in re.split(r"\n(?:[ \t\r]*\n)+", start.strip())[:-1]]
    two = sum(len(b) == 2 for b in blocks)
    asking = sum(bool(re.search(r"[？?]|吗|怎么|如何|什么", b[0])) for b in blocks)
    return len(blocks) >= 3 and two >= 0.8 * len(blocks) and asking >= 0.5 * len(blocks)


def _pairs(lines: Iterable[str]) -> Iterator[Row]:
    """Each block as {"title", "ask", "answer"}, numbered by its first line; the title is what stands before
    the question line's first comma, as Toyhom writes it."""
    block: list[str] = []
    start = 1
    for number, line in enumerate(chain(lines, [""]), start=1):
        if line.strip():
            if not block:
                start = number
            block.append(line.strip())
        elif block:
            yield _pair(block, start)
            block = []


def _pair(block: list[str], number: int) -> Row:
    words = "\n".join(block)
    if re.search("[\udc80-\udcff]", words):
        problem = "bytes in it are neither UTF-8 nor GB18030"
        return Row(number=number, problem=problem, reason=UNDECODABLE)
    if len(block) == 1:
        return Row(number=number, problem="a question without an answer", reason=MALFORMED)
    title, comma, ask = block[0].partition(",")
    value = {"title": title if comma else "", "ask": ask if comma else block[0]}
    answer = "\n".join(block[1:])
    if answer.startswith('"'):
        if answer == '"' or not answer.endswith('"'):
            problem = "the answer opens with a quote that is not closed: it breaks off"
            return Row(number=number, problem=problem, reason=TRUNCATED)
        answer = answer[1:-1].replace('""', '"')
    return Row(number=number, value=value | {"answer": answer})
