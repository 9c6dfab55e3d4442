"""Facts of a medical text, and whether two texts that look alike say the same.

Two texts that differ in a drug, dose, disease, symptom, frequency, route, side, sex, number or negation are not
duplicates, however alike they look: "阿莫西林0.5g" for "阿莫西林0.25g" is one character in three hundred. A text that
only says less (a subset of the facts) is; one that says something else in the same place is not.

`differences` doesn't rely on knowing every name. It sets clauses that both texts have aside, aligns what is left
token by token, and judges each place where the two part: a known fact against another, or against an unknown word,
or two unknown words of which neither is general. What can't be told from a changed fact counts as one, since a
duplicate kept costs little and a case lost is gone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from wardround.corpus.lexicon import Lexicon, lexicon
from wardround.corpus.tokens import FACTS, NAMES, Token, clauses, stated, tokens
from wardround.records import Record

_CHANGING = frozenset(
    "素平唑炎癌病症瘤林星韦胺酮酯酸钠钾钙镁锌铁铜铋碘磷硫片丸散膏胶液针剂汤丹肾肝肺胃肠心脑脾胆骨眼耳鼻喉皮血脉痛热咳尿便汗"
    "上下前后内外高低多少大小增减升降快慢轻重急阴阳男女父母子左右双单有无没不非未否可禁忌停加早晚长短厚薄软硬干湿冷寒温凉虚实表里"
    "零一二两三四五六七八九十百千万半甲乙丙丁戊氨氯氟溴苯甲乙丙丁戊酚醇醛醚烷烯炔肽酶苷碱坦普利洛尔汀韦嗪啶啉咪唑噻呋西芬诺沙"
)
"""Characters that seldom stand for another by mistake alone: parts of drug and disease names, places, degrees."""

_IS_FACT = frozenset(FACTS)
_NAMED = (*NAMES, "symptom")
_FIRM = frozenset((*NAMES, "dose", "number", "side", "sex", "frequency"))
_FEW = 8
"""Slips are looked for in spans of so many characters."""
_LONG = 2
"""An unlisted word of more characters that stands where the other text has a general word may be a name."""

_ROUGH = re.compile("[。；！？，\n]")
_TAILS = frozenset("素平唑炎癌病症瘤韦汀坦啶嗪酮胺苷霉菌疹疮疝")


class Facts(Record, frozen=True, kw_only=True):
    """What a text states, under one name each. Doses are in g, l or units ("0.5g" and "500mg" are "0.5g")."""

    drugs: frozenset[str]
    doses: frozenset[str]
    diseases: frozenset[str]
    symptoms: frozenset[str]
    frequencies: frozenset[str]
    routes: frozenset[str]
    sides: frozenset[str]
    sexes: frozenset[str]
    numbers: frozenset[str]


class Difference(Record, frozen=True, kw_only=True):
    """One place where two texts part. `kind` is drug, dose, disease, symptom, frequency, route, side, sex, number,
    negation, term (a name or degree that isn't listed) or wording (cannot be told from a changed fact)."""

    kind: str
    a: str
    b: str


def facts(text: str, words: Lexicon | None = None) -> Facts:
    """The facts of `text` that the lists and patterns know."""
    words = words or lexicon()
    found: dict[str, set[str]] = {}
    for kind, name, _ in stated(text, words):
        found.setdefault(kind, set()).add(name)
    none = frozenset[str]()
    return Facts(**{_FIELDS[k]: frozenset(found[k]) if k in found else none for k in FACTS})


_FIELDS = {
    "drug": "drugs", "dose": "doses", "disease": "diseases", "symptom": "symptoms",
    "frequency": "frequencies", "route": "routes", "side": "sides", "sex": "sexes",
    "number": "numbers",
}  # fmt: skip


def differences(a: str, b: str, words: Lexicon | None = None) -> tuple[Difference, ...]:
    """Where `a` and `b` state different facts; () when they state the same, or one only states less."""
    words = words or lexicon()
    # Most sentences are the same to the letter and need no reading.
    left, right = _left_over(_ROUGH.split(a), _ROUGH.split(b))
    left, right = _left_over(clauses("。".join(left)), clauses("。".join(right)))
    if not left or not right:
        return ()
    x = [t for c in left for t in tokens(c, words)]
    y = [t for c in _beside(left, right) for t in tokens(c, words)]
    return tuple(_judge(x, y))


def _left_over(a: Sequence[str], b: Sequence[str]) -> tuple[list[str], list[str]]:
    """Clauses of each that the other doesn't have, in their order."""
    return _beyond(a, Counter(b)), _beyond(b, Counter(a))


def _beyond(given: Sequence[str], other: Counter[str]) -> list[str]:
    out = []
    for clause in given:
        if other[clause] > 0:
            other[clause] -= 1
        else:
            out.append(clause)
    return out


def _beside(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """`right` in the order of what it resembles in `left`: sentences may have changed places."""
    if len(right) == 1:
        return list(right)
    joined = "|".join(left)
    where: dict[str, int] = {}
    for i in range(len(joined) - 1):
        where.setdefault(joined[i : i + 2], i)
    placed = []
    last = 0
    for clause in right:
        hits = sorted(
            h for i in range(len(clause) - 1) if (h := where.get(clause[i : i + 2])) is not None
        )
        last = hits[len(hits) // 2] if hits else last + 1
        placed.append((last, clause))
    order = sorted(range(len(right)), key=lambda i: (placed[i][0], i))
    return [right[i] for i in order]


def _judge(x: Sequence[Token], y: Sequence[Token]) -> Iterator[Difference]:
    only_x: set[tuple[str, str]] = set()
    only_y: set[tuple[str, str]] = set()
    found = 0
    for i0, i1, j0, j1 in _spans(x, y):
        a, b = x[i0:i1], y[j0:j1]
        kind = (
            _replaced(x, i0, i1, y, j0, j1) if a and b else _added(x, i0, i1) or _added(y, j0, j1)
        )
        if kind:
            found += 1
            yield Difference(kind=kind, a=_written(a), b=_written(b))
        only_x |= _facts(a)
        only_y |= _facts(b)
    if found:
        return
    for kind in FACTS:
        gone, new = ({n for k, n in s if k == kind} for s in (only_x - only_y, only_y - only_x))
        if gone and new:
            found += 1
            yield Difference(kind=kind, a="、".join(sorted(gone)), b="、".join(sorted(new)))
    # The same facts in other places: one may move within its sentence, two may have changed what they belong to.
    moved = only_x & only_y
    if not found and (len(moved) > 1 or any(k == "side" for k, _ in moved)):
        kind = min((k for k, _ in moved), key=FACTS.index)
        yield Difference(kind=kind, a=_written(x), b=_written(y))


def _written(span: Sequence[Token]) -> str:
    return "".join(t.text for t in span)


def _spans(x: Sequence[Token], y: Sequence[Token]) -> list[tuple[int, int, int, int]]:
    """Places where the two part, as ranges of tokens; places that only one character parts are one."""
    from rapidfuzz.distance import Indel

    codes: dict[tuple[str, str], int] = {}
    one = [codes.setdefault((t.kind, t.name), len(codes)) for t in x]
    two = [codes.setdefault((t.kind, t.name), len(codes)) for t in y]
    spans: list[tuple[int, int, int, int]] = []
    for op in Indel.opcodes(one, two):
        if op.tag == "equal":
            continue
        i0, i1, j0, j1 = op.src_start, op.src_end, op.dest_start, op.dest_end
        if spans:
            k0, k1, l0, _ = spans[-1]
            gap = i0 - k1
            if gap == 0 or (gap == 1 and len(x[k1].text) == 1 and x[k1].kind not in _IS_FACT):
                spans[-1] = (k0, i1, l0, j1)
                continue
        spans.append((i0, i1, j0, j1))
    return spans


def _replaced(x: Sequence[Token], i0: int, i1: int, y: Sequence[Token], j0: int, j1: int) -> str:
    """The kind of difference between two spans that stand in the same place; "" when it is only wording."""
    a, b = x[i0:i1], y[j0:j1]
    facts_a, facts_b = _facts(a), _facts(b)
    gone, new = facts_a - facts_b, facts_b - facts_a
    both = {k for k, _ in gone} & {k for k, _ in new}
    if both:
        return min(both, key=FACTS.index)
    if _shuffled(a, b):
        return ""
    if _negations(a) != _negations(b):
        return "negation"
    if _contradict(a, b):
        return "term"
    chars_a, chars_b = _chars(a), _chars(b)
    if (gone or new) and not _misspelt(a, b):
        for side, other in ((gone, chars_b), (new, chars_a)):
            for kind, _ in sorted(side):
                if other or kind in _NAMED:
                    return kind
    if (_degrees(a) and chars_b and not _degrees(b)) or (
        _degrees(b) and chars_a and not _degrees(a)
    ):
        return "term"
    return _unknown(x, (i0, i1), chars_a, y, (j0, j1), chars_b)


def _shuffled(a: Sequence[Token], b: Sequence[Token]) -> bool:
    """Whether the two are the same few characters in another order, or one has one more that changes no meaning."""
    if {t.kind for t in (*a, *b)} & _FIRM:
        return False
    one, two = Counter(_written(a)), Counter(_written(b))
    if one != two and _negations(a) != _negations(b):
        return False
    more = [*(one - two).elements(), *(two - one).elements()]
    return one.total() <= _FEW and len(more) < 2 and not _CHANGING & set(more)


def _unknown(
    x: Sequence[Token], at: tuple[int, int], a: str, y: Sequence[Token], to: tuple[int, int], b: str
) -> str:
    """Two spans of unlisted characters: the same characters in another order, some more, or one slip are
    wording."""
    if not a or not b:
        # The other side is of listed general words, which stand for no name; single characters may be part of one.
        plain = y[to[0] : to[1]] if a else x[at[0] : at[1]]
        most = _LONG if any(len(t.text) > 1 for t in plain) else 1
        return "wording" if plain and len(a) + len(b) > most else ""
    count_a, count_b = Counter(a), Counter(b)
    least = min(len(a), len(b))
    if (count_a <= count_b or count_b <= count_a) and (least > 1 or len(a) + len(b) < 5):
        return ""
    if len(a) == len(b) == 1:
        near = _around(x, at) + _around(y, to)
        return (
            "term" if {a, b} & _CHANGING or _TAILS & set(near) or not (_han(a) and _han(b)) else ""
        )
    return "term" if _TAILS & {a[-1], b[-1], *_around(x, at)[2:]} else "wording"


def _han(c: str) -> bool:
    return "\u3400" <= c <= "\u9fff"


def _around(tokens_: Sequence[Token], span: tuple[int, int]) -> str:
    """Two characters before and two behind a span, "·" where a listed word or the end stands."""
    start, end = span
    before = [
        tokens_[i].name if i >= 0 and tokens_[i].kind == "char" else "·"
        for i in (start - 2, start - 1)
    ]
    behind = [
        tokens_[i].name
        if i < len(tokens_) and tokens_[i].kind == "char" and not tokens_[i].first
        else "·"
        for i in (end, end + 1)
    ]
    return "".join(before + behind)


def _added(tokens_: Sequence[Token], start: int, end: int) -> str:
    """What is wrong with a span that only one text has: a negation within a clause, or letters that make a listed
    name another one. A whole clause more is never wrong."""
    span = tokens_[start:end]
    if not span:
        return ""
    if span[0].first and (end == len(tokens_) or tokens_[end].first):
        return ""
    if _negations(span):
        return "negation"
    chars = _chars(span)
    if chars and len(chars) == len(span):
        before = tokens_[start - 1] if start and not span[0].first else None
        behind = tokens_[end] if end < len(tokens_) and not tokens_[end].first else None
        if len(chars) == 1 and any(
            (t and t.text[-1:] == chars) or (t and t.text[:1] == chars) for t in (before, behind)
        ):
            return ""
        if any(t is not None and t.kind in NAMES for t in (before, behind)):
            return "term"
    return ""


def _facts(span: Sequence[Token]) -> set[tuple[str, str]]:
    return {(t.kind, t.name) for t in span if t.kind in _IS_FACT}


def _negations(span: Sequence[Token]) -> list[str]:
    return sorted(t.name for t in span if t.kind == "negation")


def _contradict(a: Sequence[Token], b: Sequence[Token]) -> bool:
    """Whether the two hold different alternatives of one contrast."""
    of_a, of_b = ({t.name for t in s if t.kind == "contrast"} for s in (a, b))
    groups = {n.partition(":")[0] for n in of_a - of_b} & {n.partition(":")[0] for n in of_b - of_a}
    return bool(groups)


def _degrees(span: Sequence[Token]) -> bool:
    return any(t.kind == "contrast" for t in span)


def _chars(span: Sequence[Token]) -> str:
    return "".join(t.name for t in span if t.kind == "char")


def _misspelt(a: Sequence[Token], b: Sequence[Token]) -> bool:
    """One slip in the name of a symptom or disease, in a character that changes no meaning."""
    kinds = {t.kind for t in (*a, *b)} & set(FACTS)
    one, two = _written(a), _written(b)
    if not kinds <= {"symptom", "disease"} or len(one) != len(two) or len(one) < 2:
        return False
    parts = [(p, q) for p, q in zip(one, two, strict=True) if p != q]
    return len(parts) == 1 and not _CHANGING & set(parts[0])
