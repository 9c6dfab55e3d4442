"""Chinese medical texts with planted duplicates and fact-changed twins, from a seed: what perf/near.py measures on.

Names of drugs and diseases are *not* those of the guard's lexicon: they were written apart, less common names and
brands mostly (`perf/near.py` prints how many the lexicon happens to know), or are taken from the dictionaries of the
folder named by WARDROUND_REALDATA, whose texts are then recombined sentence by sentence as well.

Levels of planted duplicates: `exact`; `format` (width, script, punctuation, blanks, item numbers, line breaks);
`edit` (one to four slips, fillers or other general words, never inside a fact); `order` (sentences change places, and
a format change); `paraphrase` (many words, several openings, numbers written out). A twin changes one fact in its
text: drug, dose, disease, frequency, route, side, sex, number or negation.
"""

from __future__ import annotations

import csv
import json
import os
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import near_words as w

LEVELS = ("exact", "format", "edit", "order", "paraphrase")
FACTS = ("drug", "dose", "disease", "frequency", "route", "side", "sex", "number", "negation")


class Doc(NamedTuple):
    """`cluster` is shared by an original and its duplicate; a twin has its own and names its original's."""

    text: str
    cluster: int
    level: str = ""
    fact: str = ""
    twin_of: int = -1


class Names(NamedTuple):
    drugs: Sequence[str]
    diseases: Sequence[str]


def names() -> Names:
    """The dictionaries' names where they are to be had, else the lists above."""
    folder = os.environ.get("WARDROUND_REALDATA")
    if not folder:
        return Names(w.DRUGS.split(), w.DISEASES.split())

    def read(name: str) -> list[str]:
        lines = (Path(folder) / "dict" / f"{name}.txt").read_text(encoding="utf-8").split("\n")
        return sorted({x.strip() for x in lines if 2 <= len(x.strip()) <= 14})

    return Names(read("drug"), read("disease"))


class Text(NamedTuple):
    """Sentences of (piece, fact kind or "") pairs."""

    sentences: list[list[tuple[str, str]]]

    def written(self) -> str:
        return "".join("".join(p for p, _ in s) for s in self.sentences)


_SLOT = re.compile(r"\{(\w+)\}(次/分|[A-Za-zμ℃/]+|天|岁|年|周|支|小时|分|×10\^9/L|%)?|\[([^\]]+)\]")
"""A slot with its unit; or, in brackets, words of a template that are a fact themselves."""


def _value(slot: str, r: random.Random, known: Names, mine: dict[str, str]) -> tuple[str, str]:
    if slot in mine:
        return mine[slot]
    pick: dict[str, Callable[[], tuple[str, str]]] = {
        "drug": lambda: (r.choice(known.drugs), "drug"), "drug2": lambda: (r.choice(known.drugs), "drug"),
        "disease": lambda: (r.choice(known.diseases), "disease"),
        "disease2": lambda: (r.choice(known.diseases), "disease"),
        "dose": lambda: (r.choice(w.DOSES), "dose"), "route": lambda: (r.choice(w.ROUTES), "route"),
        "freq": lambda: (r.choice(w.FREQUENCIES), "frequency"), "side": lambda: (r.choice("左右"), "side"),
        "sex": lambda: (r.choice("男女"), "sex"), "neg": lambda: (r.choice(("有", "无")), "negation"),
        "neg2": lambda: (r.choice(("有", "无")), "negation"), "rel": lambda: (r.choice(w.RELATIVES), "name"),
        "temp": lambda: (f"{r.uniform(36, 40):.1f}", "number"), "wbc": lambda: (f"{r.uniform(2, 22):.1f}", "number"),
        "bp": lambda: (f"{r.randint(90, 180)}/{r.randint(55, 105)}", "number"),
    }  # fmt: skip
    made = pick[slot]() if slot in pick else (str(r.randint(2, 98)), "number")
    if slot in ("drug", "disease", "sex", "side"):
        mine[slot] = made
    return made


def _filled(
    template: str, r: random.Random, known: Names, mine: dict[str, str]
) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    at = 0
    for m in _SLOT.finditer(template):
        value, kind = _value(m[1], r, known, mine) if m[1] else (m[3], "name")
        out += [(template[at : m.start()], ""), (value + (m[2] or ""), kind)]
        at = m.end()
    return [p for p in (*out, (template[at:], "")) if p[0]]


def synthetic(r: random.Random, known: Names) -> Text:
    """A question and an answer of 6 to 10 sentences about one disease."""
    mine: dict[str, tuple[str, str]] = {}
    opening = _filled(
        r.choice(w.OPENINGS) + "{disease}，" + r.choice(w.ASKS) + "？", r, known, mine
    )  # type: ignore[arg-type]
    body = [
        _filled(t + "。", r, known, mine)  # type: ignore[arg-type]
        for t in r.sample(w.SENTENCES, r.randint(6, 10))
    ]
    return Text([opening, *body, [(r.choice(w.CLOSINGS) + "。", "")]])


def _real_pool(known: Names) -> tuple[list[str], list[str]]:
    folder = Path(os.environ["WARDROUND_REALDATA"])
    questions: list[str] = []
    answers: list[str] = []
    with open(
        folder / "dialogue_internal_medicine.gb18030.csv", encoding="gb18030", newline=""
    ) as f:
        for row in csv.DictReader(f):
            questions.append(row["ask"])
            answers.append(row["answer"])
    for row in json.loads((folder / "cmtmedqa_dev.json").read_text(encoding="utf-8")):
        questions.append(row["instruction"])
        answers.append(row["output"])
    with open(folder / "encyclopedia_respiratory.jsonl", encoding="utf-8") as f:
        answers += [str(json.loads(line).get("cause", "")) for line in f]
    split = re.compile(r"[^。！？\n]{8,120}[。！？]")
    pool = sorted({s.strip() for a in answers for s in split.findall(a)})
    asked = sorted({q.strip()[:120] for q in questions if len(q.strip()) >= 12})
    return asked, pool


_REAL_FACT = re.compile(
    r"(?<![0-9.])[0-9]+(?:\.[0-9]+)?(?![0-9]*[.、．)）：:]\D)(?![0-9.])|左侧|右侧|[男女]性|每[日天]\s*[0-9]\s*次|口服|静滴|肌注|无(?=发热|咳|明显)|没有"
)


def _marked(
    sentence: str, find: Callable[[str], list[tuple[int, int, str]]]
) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    at = 0
    for start, end, kind in find(sentence):
        if start < at:
            continue
        out += [(sentence[at:start], ""), (sentence[start:end], kind)]
        at = end
    return [p for p in (*out, (sentence[at:], "")) if p[0]]


def _finder(known: Names) -> Callable[[str], list[tuple[int, int, str]]]:
    """Spans of facts in a real sentence, by the dictionaries' names and a few patterns."""
    import ahocorasick

    automaton = ahocorasick.Automaton()
    folder = Path(os.environ["WARDROUND_REALDATA"]) / "dict"
    extra = (folder / "symptom.txt").read_text(encoding="utf-8").split()
    for kind, listed in (("name", extra), ("drug", known.drugs), ("disease", known.diseases)):
        for word in listed:
            if len(word) > 1:
                automaton.add_word(word, (len(word), kind))
    automaton.make_automaton()

    def kind_of(text: str) -> str:
        if text[0].isdigit():
            return "number"
        return {
            "左": "side",
            "右": "side",
            "男": "sex",
            "女": "sex",
            "每": "frequency",
            "无": "negation",
            "没": "negation",
        }.get(text[0], "route")

    def find(sentence: str) -> list[tuple[int, int, str]]:
        spans = [(e + 1 - n, e + 1, k) for e, (n, k) in automaton.iter_long(sentence)]
        spans += [(m.start(), m.end(), kind_of(m[0])) for m in _REAL_FACT.finditer(sentence)]
        return sorted(spans, key=lambda s: (s[0], s[0] - s[1]))

    return find


# -- duplicates and twins -----------------------------------------------------------------------------------


def _format(t: Text, r: random.Random) -> str:
    text = t.written()
    if r.random() < 0.5:
        text = text.translate(w.TRADITIONAL)
    if r.random() < 0.5:
        text = text.translate(w.WIDE)
    if r.random() < 0.5:
        text = text.replace("，", ", ").replace("。", ". " if r.random() < 0.3 else "；")
    if r.random() < 0.4:
        pieces = [p for p in re.split(r"(?<=[。；])", text) if p]
        text = "\n".join(f"{i}、{p}" if r.random() < 0.9 else p for i, p in enumerate(pieces, 1))
    return text + r.choice(("", " ", "\n", "　", "。"))


def _edit(t: Text, r: random.Random, count: int) -> Text:
    sentences = [list(s) for s in t.sentences]
    done = 0
    for _ in range(count * 6):
        if done == count:
            break
        s = r.choice(sentences)
        places = [i for i, (p, k) in enumerate(s) if not k and len(p) > 2]
        if not places:
            continue
        i = r.choice(places)
        piece = s[i][0]
        kind = r.random()
        if kind < 0.35:
            swaps = [(a, b) for pair in w.GENERAL for a, b in (pair, pair[::-1]) if a in piece]
            if not swaps:
                continue
            a, b = r.choice(swaps)
            new = piece.replace(a, b, 1)
        elif kind < 0.55:
            sentences[sentences.index(s)].insert(0, (r.choice(w.FILLERS), ""))
            done += 1
            continue
        else:
            inner = [
                k
                for k in range(1, len(piece) - 1)
                if piece[k] > "\u4e00"
                and piece[k] not in "左右男女有无不未非没上下前后内外高低轻重急慢早晚多少大小增减"
            ]
            if not inner:
                continue
            at = r.choice(inner)
            new = r.choice((
                piece[:at] + piece[at + 1 :], piece[:at] + piece[at] + piece[at:],
                piece[:at] + r.choice(w.SLIP_TO) + piece[at + 1 :], piece[:at] + piece[at + 1] + piece[at] + piece[at + 2 :],
            ))  # fmt: skip
        s[i] = (new, "")
        done += 1
    return Text(sentences)


def _order(t: Text, r: random.Random) -> Text:
    head, body = t.sentences[:1], t.sentences[1:]
    r.shuffle(body)
    return Text(head + body)


_HAN = "零一二三四五六七八九"


def _paraphrase(t: Text, r: random.Random) -> Text:
    out = []
    for s in t.sentences:
        made = []
        for p, k in s:
            if not k:
                for a, b in w.GENERAL:
                    if a in p and r.random() < 0.8:
                        p = p.replace(a, b)
            elif k == "frequency":
                p = re.sub(r"^每日(\d)次$", lambda m: f"一天{_HAN[int(m[1])]}次", p)
            elif k == "dose":
                p = re.sub(r"^0\.(\d+)g$", lambda m: f"{int(m[1].ljust(3, '0'))}mg", p)
            made.append((p, k))
        if r.random() < 0.3:
            made.insert(0, (r.choice(w.FILLERS), ""))
        out.append(made)
    return Text(out)


def duplicate(t: Text, level: str, r: random.Random) -> str:
    """`t` again, changed as `level` says, its facts untouched."""
    if level == "exact":
        return t.written()
    if level == "format":
        return _format(t, r)
    if level == "edit":
        return _edit(t, r, r.randint(1, 4)).written()
    if level == "order":
        return _format(_order(t, r), r) if r.random() < 0.3 else _order(t, r).written()
    return _paraphrase(t, r).written()


def _changed(kind: str, value: str, r: random.Random, known: Names) -> str:
    if kind == "number":
        new = value
        while new == value:
            new = re.sub(
                r"\d+",
                lambda m: str(max(1, int(m[0]) + r.choice((-3, -2, -1, 1, 2, 3, 10)))),
                value,
                count=1,
            )
        return new
    if kind == "negation":
        return {"有": "无", "无": "有", "没有": "有"}[value]
    flip = str.maketrans("左右男女", "右左女男")
    if kind in ("side", "sex"):
        return value.translate(flip)
    choices = {
        "drug": known.drugs,
        "disease": known.diseases,
        "dose": w.DOSES,
        "route": w.ROUTES,
        "frequency": w.FREQUENCIES,
    }[kind]
    new = value
    while new == value or new in value or value in new:
        new = r.choice(choices)
    return new


def twin(t: Text, r: random.Random, known: Names, kinds: Sequence[str]) -> tuple[str, str] | None:
    """`t` with one fact changed wherever that very fact stands: (text, kind of fact), or None without facts."""
    by_kind: dict[str, set[str]] = {}
    for s in t.sentences:
        for p, k in s:
            if k in kinds:
                by_kind.setdefault(k, set()).add(p)
    if not by_kind:
        return None
    kind = r.choice(sorted(by_kind))
    value = r.choice(sorted(by_kind[kind]))
    new = _changed(kind, value, r, known)
    once = kind in ("number", "negation", "dose", "route", "frequency")
    sentences: list[list[tuple[str, str]]] = []
    done = False
    for s in t.sentences:
        made = []
        for p, k in s:
            if (p, k) == (value, kind) and not (once and done):
                made.append((new, k))
                done = True
            else:
                made.append((p, k))
        sentences.append(made)
    return Text(sentences).written(), kind


def corpus(n: int, seed: int, half: int | None = None) -> list[Doc]:
    """`n` originals, a duplicate of every eighth (levels in turn) and a twin of every thirtieth, shuffled.

    Of real data, `half` 0 or 1 takes every other question and sentence, so that two corpora share none."""
    r = random.Random(seed)
    known = names()
    if os.environ.get("WARDROUND_REALDATA"):
        asked, pool = _real_pool(known)
        if half is not None:
            asked, pool = asked[half::2], pool[half::2]
        find = _finder(known)
        used: dict[str, list[tuple[str, str]]] = {}

        def make() -> Text:
            chosen = [r.choice(asked), *r.sample(pool, r.randint(4, 8))]
            return Text(
                [
                    used.setdefault(s, _marked(s if s[-1] in "。！？" else s + "。", find))
                    for s in chosen
                ]
            )

        docs = _planted(n, r, known, make)
    else:
        docs = _planted(n, r, known, lambda: synthetic(r, known))
    r.shuffle(docs)
    return docs


def _planted(n: int, r: random.Random, known: Names, make: Callable[[], Text]) -> list[Doc]:
    docs: list[Doc] = []
    level = 0
    for i in range(n):
        t = make()
        docs.append(Doc(t.written(), i))
        if i % 8 == 0:
            docs.append(Doc(duplicate(t, LEVELS[level % 5], r), i, level=LEVELS[level % 5]))
            level += 1
        elif i % 30 == 1:
            found = twin(t, r, known, FACTS)
            if found and found[0] != t.written():
                docs.append(Doc(found[0], n + i, fact=found[1], twin_of=i))
    return docs
