"""What an answer claims to be wrong with a report, from whatever shape it comes in.

Both published shapes are read: one object `{type: suggestion}`, and a list of objects with 错误类型 and 修改建议
(and, where given, place and quotation). So are: several of either, code fences, words around, full-width brackets
and quotes, single quotes, a trailing comma, types and keys under their synonyms, a type joined with its place
("诊断-方位错误"), and plain lines "1. 错别字（描述）：…". An empty list or object, or words that say there is no
error, claim nothing. What is none of this can't be read, which is not the same as claiming nothing.

A finding of a type that is not on the list is kept with type "": it can match no error and counts as a false alarm.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from wardround.images.report import CTReport, Place, names, place_in, type_in
from wardround.records import Record


class Claim(Record, frozen=True, kw_only=True):
    """One error that an answer claims. `place` "" when the answer doesn't say; `quotes` the words it points at."""

    type: str
    place: str
    text: str
    quotes: tuple[str, ...] = ()
    named: str = ""


def read_answer(answer: str) -> list[Claim] | None:
    """The claims of an answer in its order, equal ones once; None when it can't be read."""
    said = answer.rpartition("</think>")[2].strip()
    if "<think>" in said:
        said = said.partition("<think>")[0]
    values = list(_values(said))
    claims = [c for value in values for c in _from(value)]
    if claims or any(not _filled(value) for value in values):
        return list(dict.fromkeys(claims))
    lines = list(_lines(said))
    if lines:
        return list(dict.fromkeys(lines))
    return [] if _denies(said) else None


def _denies(text: str) -> bool:
    """Whether a text says that there is nothing wrong."""
    folded = re.sub(r"\s+", " ", text).lower()
    return bool(folded.strip()) and any(w in folded for w in names().none)


# -- JSON, or nearly ------------------------------------------------------------------------------------------

_WIDE = str.maketrans("｛｝［］：，＂", '{}[]:,"')
_CURLY = str.maketrans("“”‘’", "\"\"''")
_OPEN = {"{": "}", "[": "]"}


def _values(text: str) -> Iterator[Any]:
    """Every outermost JSON object or array of a text, fenced ones first; text that only looks like one is no value."""
    fenced = re.findall(r"```[a-zA-Z]*\s*(.*?)```", text, re.S)
    for piece in [*fenced, text]:
        found = False
        for candidate in _balanced(piece):
            value = _decoded(candidate)
            if isinstance(value, dict | list):
                found = True
                yield value
        if found:
            return


def _balanced(text: str) -> Iterator[str]:
    """Pieces from an opening bracket to the one that closes it, full-width ones made plain."""
    plain = text.translate(_WIDE) if not re.search(r"[\[{]", text) else text
    at = 0
    while at < len(plain):
        if plain[at] not in _OPEN:
            at += 1
            continue
        end = _closing(plain, at)
        if end < 0:
            at += 1
            continue
        yield plain[at:end]
        at = end


def _closing(text: str, at: int) -> int:
    """The end of the bracketed piece that begins at `at`, strings skipped; −1 when nothing closes it."""
    stack: list[str] = []
    quoted = escaped = False
    for k in range(at, len(text)):
        c = text[k]
        if quoted:
            if escaped:
                escaped = False
            elif c == "\\":
                escaped = True
            elif c == '"':
                quoted = False
        elif c == '"':
            quoted = True
        elif c in _OPEN:
            stack.append(_OPEN[c])
        elif stack and c == stack[-1]:
            stack.pop()
            if not stack:
                return k + 1
    return -1


def _decoded(piece: str) -> Any:
    """The value of a piece of JSON, mended in the ways models break it; None when it is none."""
    tidy = re.sub(r",\s*([}\]])", r"\1", piece)
    wide = re.sub(
        r"([,{\[]\s*|:\s*)[“”]|[“”](?=\s*[,:}\]，：])", lambda m: (m[1] or "") + '"', tidy
    )
    for text in (piece, tidy, wide.translate(_WIDE), tidy.translate(_WIDE).translate(_CURLY)):
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError):
            continue
    try:
        return ast.literal_eval(tidy)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _filled(value: Any) -> bool:
    """Whether a value holds anything that an answer without findings would not."""
    if isinstance(value, Mapping):
        return any(_filled(v) for v in value.values())
    if isinstance(value, list):
        return any(_filled(v) for v in value)
    return bool(_text(value)) and not _nothing(_text(value))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "；".join(t for t in map(_text, value) if t)
    if isinstance(value, Mapping):
        return "；".join(t for t in map(_text, value.values()) if t)
    return "" if value is None or isinstance(value, bool) else str(value).strip()


def _nothing(text: str) -> bool:
    """无, none, or words that deny an error and say nothing else."""
    bare = re.sub(r"[\s。.，,；;！!]", "", text).lower()
    if bare in {"", "无", "none", "null", "n/a", "正确", "没有", "-", "—", "/", "0"}:
        return True
    return len(bare) <= 20 and type_in(text)[0] == "" and _denies(text)


# -- from values to claims ------------------------------------------------------------------------------------


def _from(value: Any) -> Iterator[Claim]:
    """The claims in a value: a list of findings, one finding, {type: suggestion}, or something around them."""
    if isinstance(value, list):
        for item in value:
            if isinstance(item, str):
                yield from _lines(item)
            else:
                yield from _from(item)
        return
    if not isinstance(value, Mapping):
        return
    fields = _fields(value)
    if "type" in fields:
        yield from _finding(fields)
        return
    for key, inner in value.items():
        kind, rest = type_in(str(key))
        if kind:
            yield from _suggested(kind, str(key), rest, inner)
        elif place := place_in(str(key)):
            for claim in _from(inner):
                yield msgspec.structs.replace(claim, place=claim.place or place)
        elif isinstance(inner, list | Mapping):
            yield from _from(inner)


def _fields(value: Mapping[str, Any]) -> dict[str, Any]:
    """A finding's fields by our names for them."""
    found: dict[str, Any] = {}
    folded = {re.sub(r"[\s_]+", " ", str(k)).strip().lower(): v for k, v in value.items()}
    for field, known in names().answer_fields.items():
        for name in known:
            if name.replace("_", " ") in folded:
                found[field] = folded[name.replace("_", " ")]
                break
    return found


def _finding(fields: Mapping[str, Any]) -> Iterator[Claim]:
    said = _text(fields["type"])
    suggestion, quote = _text(fields.get("suggestion")), _text(fields.get("quote"))
    if _nothing(said):
        return
    kind, rest = type_in(said)
    if kind and _nothing(suggestion) and not quote:
        return
    place = place_in(_text(fields.get("place"))) or place_in(rest)
    yield _claim(kind, place, suggestion or quote, said, quote)


def _suggested(kind: str, key: str, rest: str, inner: Any) -> Iterator[Claim]:
    """{type: suggestion}; the suggestion may be a text, a list of them, or {place: text}."""
    place = place_in(rest)
    items = inner if isinstance(inner, list) else [inner]
    for item in items:
        if isinstance(item, Mapping):
            fields = _fields(item)
            if fields.keys() & {"suggestion", "quote", "place"}:
                yield from _finding({"type": kind, **fields} | ({"place": place} if place else {}))
                continue
            for name, text in item.items():
                if not _nothing(_text(text)):
                    yield _claim(kind, place or place_in(str(name)), _text(text), key, "")
        elif not _nothing(_text(item)):
            yield _claim(kind, place, _text(item), key, "")


_LINE = re.compile(r"^[\s\d.、．*\-•·（(）)#>【\[]*")


def _lines(text: str) -> Iterator[Claim]:
    """Lines that open with a type: "1. 错别字（描述）：…", "**单位错误** - …"."""
    for line in text.splitlines():
        bare = _LINE.sub("", line)
        head, mark, tail = _headed(bare)
        kind, rest = type_in(head)
        if kind and mark and not _nothing(tail):
            yield _claim(kind, place_in(rest), tail.strip(" *】]"), head, "")


def _headed(line: str) -> tuple[str, str, str]:
    """A line's first words, the colon or dash that ends them within 30 characters, and the rest."""
    match = re.match(
        r"(?:错误类型\s*[:：]\s*)?(.{2,30}?)\s*([:：]|\s[-—–]+\s|[-—–]{2}|；)(.*)$", line
    )
    return (match[1], match[2], match[3]) if match else (line, "", "")


_QUOTED = re.compile(
    r"“([^“”]+)”|「([^」]+)」|『([^』]+)』|《([^》]+)》|\"([^\"]+)\"|'([^']+)'|‘([^’]+)’|【([^】]+)】"
)


def quoted(text: str) -> tuple[str, ...]:
    """What stands between quotation marks of any kind, in order."""
    return tuple(next(g for g in m if g).strip() for m in _QUOTED.findall(text))


def _claim(kind: str, place: str, text: str, named: str, quote: str) -> Claim:
    own = tuple(x for x in (quote, *quoted(text)) if x)
    return Claim(type=kind, place=place, text=text, quotes=own, named=named.strip())


def placed(claim: Claim, report: CTReport | None) -> Claim:
    """The claim with its place: as told; else as its suggestion says; else where alone what it quotes stands."""
    place: str = claim.place or place_in(claim.text)
    if not place and report is not None:
        texts: dict[Place, str] = {
            "findings": report.findings,
            "impression": report.impression,
        }
        for quote in claim.quotes:
            where = [p for p, text in texts.items() if quote in text]
            if len(quote) > 1 and len(where) == 1:
                place = where[0]
                break
    return msgspec.structs.replace(claim, place=place)
