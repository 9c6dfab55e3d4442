"""Claims of an answer against the errors that are there.

A claim and an error *match* when type and place agree; each claim and each error at most once. Among claims that
could match, one that points at the error's own words goes first, so that the correction judged is the right one.
What is left may match in *part*: the right type at another place or at none, or another type for the very words of
an error. Parts count for nothing in precision and recall; they are shown apart.

Whether a correction is right is told by rule where it can be: it is when the words it puts in place are a piece of
the clause as it should read, and no piece of it as it reads. Otherwise it is open, and for a judge.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from wardround.benchmarks.report_answers import Claim, quoted
from wardround.images.report import CTReport, ReportError, clause
from wardround.images.report_errors import undone
from wardround.records import Record


class Matched(Record, frozen=True, kw_only=True):
    """How claims and errors go together, by their indices: `full` and `part` are (error, claim)."""

    full: tuple[tuple[int, int], ...]
    part: tuple[tuple[int, int], ...]
    pointed: tuple[bool, ...]
    """For each full match whether the claim points at the error's words; of an error without a span nothing is known
    and it counts as not."""

    def beyond(self, claims: int) -> list[int]:
        """Claims that match nothing, not even in part."""
        used = {c for _, c in (*self.full, *self.part)}
        return [c for c in range(claims) if c not in used]


def match(
    report: CTReport | None, errors: Sequence[ReportError], claims: Sequence[Claim]
) -> Matched:
    """Match claims and errors, in the order of the errors and then of the claims."""
    points = [[_points_at(report, e, c) for c in claims] for e in errors]
    full = _paired(errors, claims, lambda e, c: _agree(errors[e], claims[c]), points, set(), set())
    errors_used, claims_used = {e for e, _ in full}, {c for _, c in full}

    def partly(e: int, c: int) -> bool:
        return claims[c].type == errors[e].type or points[e][c]

    part = _paired(errors, claims, partly, points, errors_used, claims_used)
    return Matched(full=tuple(full), part=tuple(part), pointed=tuple(points[e][c] for e, c in full))


def _agree(error: ReportError, claim: Claim) -> bool:
    return claim.type == error.type and claim.place != "" and claim.place == error.place


def _paired(
    errors: Sequence[ReportError],
    claims: Sequence[Claim],
    fits: Callable[[int, int], bool],
    points: Sequence[Sequence[bool]],
    errors_used: set[int],
    claims_used: set[int],
) -> list[tuple[int, int]]:
    """Pairs that fit, those whose claim points at the error first; within type and place all fit alike, so taking
    them in order loses none."""
    errors_used, claims_used = set(errors_used), set(claims_used)
    found = []
    for wanted in (True, False):
        for e in range(len(errors)):
            for c in range(len(claims)):
                if e in errors_used or c in claims_used or points[e][c] != wanted:
                    continue
                if fits(e, c):
                    found.append((e, c))
                    errors_used.add(e)
                    claims_used.add(c)
    return sorted(found)


def clauses(report: CTReport, error: ReportError) -> tuple[str, str]:
    """The error's clause as it reads and as it should; ("", "") for an error without a span."""
    if not error.place or error.start < 0:
        return "", ""
    text = report.text(error.place)
    left, right = clause(text, error.start, error.end)
    return (
        text[left:right].strip(),
        (text[left : error.start] + error.right + text[error.end : right]).strip(),
    )


def _points_at(report: CTReport | None, error: ReportError, claim: Claim) -> bool:
    """Whether what a claim quotes, or else its text, has to do with the error's words."""
    if report is None or not error.place or error.start < 0:
        return False
    text = report.text(error.place)
    wrong, right = clauses(report, error)
    for quote in (*claim.quotes, *targets_of(claim.text)):
        if len(quote) < 2:
            continue
        for m in re.finditer(re.escape(quote), text):
            if m.start() <= error.end and error.start <= m.end():
                return True
        if (quote in right and quote not in wrong) or (wrong and wrong in quote):
            return True
    bare = _bare(error.wrong)
    return len(bare) > 3 and bare in claim.text


def _bare(text: str) -> str:
    """A text without numbering and closing marks."""
    return re.sub(r"^\s*\d+[.、]\s*|[。；;\s]+$", "", text.strip())


_TO = re.compile(
    r"(?:改为|修改为|更改为|改成|更正为|修正为|纠正为|应为|应是|应该是|应改为|替换为|写为|写作|补充为?|增加|添加|补上|加上|→|->|=>|should be|to)"
    r"\s*[:：]?\s*[“\"「『‘']?([^“”\"「」『』’'；;。\n]+)"
)
_GONE = re.compile(
    r"(?:删除|删去|去掉|去除|删掉|移除|remove|delete)(?:多余的?|重复的?)?\s*[:：]?\s*[“\"「『‘']?([^“”\"「」『』’'；;。，\n]+)"
    r"|[“\"「『‘']([^“”\"「」『』’']+)[”\"」』’']\s*(?:应|应当|建议|需|须)?(?:予以)?(?:删除|删去|去掉|去除)"
)


def targets_of(text: str) -> list[str]:
    """The words that a suggestion puts in place of others, as far as it says so."""
    return [m.strip(" ，,、") for m in _TO.findall(text)]


def corrected(report: CTReport | None, error: ReportError, claim: Claim) -> bool | None:
    """Whether the claim's correction puts the error right: True or False by rule, None when a rule can't tell."""
    if report is None or not error.place or error.start < 0:
        return None
    wrong, right = (_folded(x) for x in clauses(report, error))
    mended = _folded(undone(report, [error]).text(error.place))
    targets = [_folded(t) for t in targets_of(claim.text)]
    whole = _folded(claim.text)
    if not targets and not _QUOTES.search(claim.text):
        targets = [whole]  # the suggestion may be nothing but the corrected words
    if not targets:
        targets = [_folded(q) for q in quoted(claim.text)[-1:]]
    for target in targets:
        if _puts_right(target, wrong, right, mended, _folded(error.wrong), _folded(error.right)):
            return True
    gone = [_folded(a or b) for a, b in _GONE.findall(claim.text)]
    if not error.right and any(_removes(g, _folded(error.wrong)) for g in gone):
        return True
    if targets and any(len(t) > 1 and t in wrong and t not in right for t in targets):
        return False
    return None


_QUOTES = re.compile("[“”\"「『‘’']")


def _puts_right(target: str, wrong: str, right: str, mended: str, bad: str, good: str) -> bool:
    """Whether putting `target` in is putting it right: a piece of the mended clause that touches the edit."""
    if not target:
        return False
    if target in right and target not in wrong:
        return True
    if right and right in target and right != wrong and (not bad or wrong not in target):
        return True
    if good and target == good and good != bad:
        return True
    piece = _bare(good)
    return len(piece) > 3 and piece in target and piece in mended


def _removes(gone: str, wrong: str) -> bool:
    """Whether what is to go is what is too much: the same words, but for numbering and marks."""
    return bool(gone) and _bare(gone) == _bare(wrong)


def _folded(text: str) -> str:
    """A text without blanks and full stops at its ends, full-width digits and signs made plain."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).strip("。;；.")
