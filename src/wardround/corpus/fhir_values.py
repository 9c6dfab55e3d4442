"""FHIR's data types as words: concepts, quantities, ranges, dosages, attachments."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from wardround.corpus.drafts import listed, text
from wardround.corpus.lines import decoded

Resource = Mapping[str, Any]
HAN = re.compile("[\u4e00-\u9fff]")


def concept(given: object) -> str:
    """A CodeableConcept's words: its text, else a display (a Chinese one first), else its code."""
    if not isinstance(given, Mapping):
        return ""
    codings = [c for c in listed(given.get("coding")) if isinstance(c, Mapping)]
    shown = sorted((text(c.get("display")) for c in codings), key=lambda d: not HAN.search(d))
    codes = [text(c.get("code")) for c in codings]
    return next(filter(None, [text(given.get("text")), *shown, *codes]), "")


def attached(attachment: Resource) -> tuple[str, str, str]:
    """(text, "", "") of an attachment, or ("", reason, detail)."""
    kind, _, parameters = str(attachment.get("contentType") or "").partition(";")
    kind = kind.strip().lower()
    if not attachment.get("data"):
        return "", "attachment_elsewhere", "its text is not in the bundle but at an address"
    if kind in ("text/rtf",) or not (
        kind.startswith("text/") or kind in ("", "application/xhtml+xml")
    ):
        return "", "attachment_not_text", f"a {kind}"
    try:
        data = base64.b64decode(re.sub(r"\s", "", str(attachment["data"])), validate=True)
    except (binascii.Error, ValueError):
        return "", "undecodable", "its data are not base64"
    charset = re.search(r"charset\s*=\s*\"?([\w-]+)", parameters, re.I)
    encoding = "gb18030" if charset and charset[1].lower().startswith("gb") else "utf-8"
    words = decoded(data, encoding)
    if words is None or "\x00" in words:
        return "", "undecodable", "its bytes are neither UTF-8 nor GB18030"
    words = text(words)
    return (words, "", "") if words else ("", "empty_field", "an empty attachment")


def quantity(given: Resource) -> str:
    """ "<0.01 ng/mL": comparator, value, unit."""
    value = text(given.get("value"))
    unit = text(given.get("unit")) or text(given.get("code"))
    close = unit in ("", "%", "℃", "°C")
    return f"{given.get('comparator') or ''}{value}{'' if close else ' '}{unit}" if value else ""


def span(given: Resource) -> str:
    low, high = (
        quantity(x) if isinstance(x := given.get(k), Mapping) else "" for k in ("low", "high")
    )
    if low and high:
        return f"{low.split(' ')[0]}–{high}"
    return text(given.get("text")) or (f"≥{low}" if low else f"≤{high}" if high else "")


def dosage(given: object, zh: bool) -> str:
    """A dosage as its own words, else dose, frequency and route put together."""
    if not isinstance(given, Mapping):
        return ""
    if words := text(given.get("text")):
        return words
    doses = [x for x in listed(given.get("doseAndRate")) if isinstance(x, Mapping)]
    dose = next((quantity(q) for x in doses if isinstance(q := x.get("doseQuantity"), Mapping)), "")
    route = concept(given.get("route"))
    timing = given.get("timing")
    repeat = timing.get("repeat") if isinstance(timing, Mapping) else None
    often = concept(timing.get("code")) if isinstance(timing, Mapping) else ""
    if not often and isinstance(repeat, Mapping) and repeat.get("frequency"):
        units = {"h": "小时", "d": "天", "wk": "周", "mo": "月"}
        n, every, unit = repeat["frequency"], repeat.get("period", 1), str(repeat.get("periodUnit"))
        every_zh = units.get(unit, unit)
        often = f"每{every}{every_zh}{n}次" if zh else f"{n} per {every} {unit}"
    return ("，" if zh else ", ").join(filter(None, [dose, often, route]))
