"""Identifiers that are numbers or codes: resident ID, telephone, card, record number, e-mail, account, plate.

A number counts by its own shape only where the shape proves something: the resident ID's checksum or its region
and birth date, a telephone number the numbering plan allows (`phonenumbers`), a card number's Luhn digit. All
else needs its cue (住院号, 微信, 账号 …). So doses, laboratory values, ICD codes, PMIDs, batch and trial numbers
stay. Blanks and hyphens inside a number are seen through.

`find` gives the spans of one text's view, `doubts` the numbers that look like identifiers and prove nothing.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

from wardround.corpus.privacy_spans import Doubt, Span, either, holds, overlaps

# First two digits of a resident ID: provinces, municipalities, autonomous and special regions.
_REGIONS = frozenset(
    f"{n}" for first, last in ((11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65), (71, 71), (81, 83), (91, 91))
    for n in range(first, last + 1)
)  # fmt: skip
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_DROP = str.maketrans("", "", " -()")
_GAP = r"[:：#*＊\s为是（(）)【】\[\]]{0,5}"

# Anything these detectors could find has seven digits (or mask stars) in a row, an @, or a cue.
_SEVEN = re.compile("[0-9]{7}")
_LONG = re.compile(r"[0-9](?:[ \-()]{0,2}[0-9*]){6}")
_ID18 = re.compile(r"(?<![0-9])[1-9](?:[ \-]?[0-9]){16}[ \-]?[0-9Xx](?![0-9])")
_ID15 = re.compile(r"(?<![0-9.])[1-9][0-9]{5}[ \-]?[0-9]{6}[ \-]?[0-9]{3}(?![0-9.])")
_MASKED = re.compile(r"(?<![0-9*])[1-9][0-9]{2,9}\*{3,}[0-9]{1,4}[0-9Xx]?(?![0-9*])")
_ID_CUE = re.compile(
    r"(?:身份证|身份号|公民身份|证件)(?:件|明)?(?:号码?|编号)?"
    + _GAP
    + r"([0-9](?:[ \-]?[0-9]){13,16}[ \-]?[0-9Xx])(?![0-9])"
)
_PAPERS = re.compile(
    r"(?:身分证|身份证字号|护照|通行证|军官证|士兵证|居留证|居住证|驾驶证|驾照|出生医学证明|证件|passport)(?:字号|统一编号|号码|编号|号|no\.?)?" + _GAP
    + r"([A-Za-z]{0,3}[0-9]{6,18}[A-Za-z]?)(?![0-9])", re.I
)  # fmt: skip
_MOBILE = re.compile(
    r"(?<![0-9])(?<![0-9][.])(?:(?:\+|00)?86[ \-]?)?1[3-9][0-9](?:[ \-]?[0-9]){8}(?![0-9])(?!\.[0-9])"
)
_LANDLINE = re.compile(
    r"(?<![0-9.+])(?:(?:\+|00)86[ \-]?[1-9][0-9]{1,2}[ \-]|(?:\+?86[ \-]?)?(?:\(0[1-9][0-9]{1,2}\)|0[1-9][0-9]{1,2}))"
    r"[ \-]{0,2}[2-9][0-9]{2,3}[ \-]?[0-9]{4}(?: ?(?:转|分机|ext\.?|-) ?[0-9]{1,5})?(?![0-9])(?!\.[0-9])"
)
_HOTLINE = re.compile(r"(?<![0-9.])[48]00[ \-][0-9]{3,4}[ \-]?[0-9]{3,4}(?![0-9.])")
_LOCAL = re.compile(
    r"(?:电话|手机|座机|固话|总机|分机|传真|热线|联系方式|拨打|拨|Tel|TEL|tel|Fax)[^0-9+\n]{0,6}"
    r"((?:(?:[+]?(?:886|852|853)[ \-]?)?(?:\(0?[2-8][0-9]{0,2}\)|0?[2-8][0-9]{0,2}-|0[2-8])[ \-]?)?[2-8][0-9]{2,3}[ \-]?[0-9]{4}(?: ?(?:转|分机|-) ?[0-9]{1,5})?|[48]00[0-9]{7}|09[0-9]{2}[ \-]?[0-9]{3}[ \-]?[0-9]{3})(?![0-9.])"
)
_UNIT_AFTER = re.compile(
    r"\s?(?:IU|U/|U\b|copies|拷贝|cell|个|/|%|％|×|元|万|mg|ng|pg|ug|μ|µ|g/|ml|mL|kcal|步|次|例|人)",
    re.I,
)
_CALL = re.compile(
    r"(?:电话|手机|座机|固话|热线|拨打|致电|联系方式|[Tt]el|TEL)[^0-9，。；\n]{0,6}$"
)
_WORD_BEFORE = re.compile(r"[A-Za-z]+$")
_PHONE_WORDS = frozenset(
    ("t", "m", "p", "v", "tel", "tele", "mob", "mobile", "phone", "cell", "vx", "wx", "wechat", "qq", "to", "at", "id", "no")
)  # fmt: skip
_CARD = re.compile(
    r"(?<![0-9.])[3-69][0-9]{3}(?:[ \-]?[0-9]{4}){2}[ \-]?[0-9]{3,4}(?:[ \-]?[0-9]{1,3})?(?![0-9.])"
)
_CARD_CUE = re.compile(
    r"(?:银行卡|信用卡|储蓄卡|借记卡|工资卡|银行账[户号]|账号|帐号|账户|医保卡|社保卡|社会保障卡|医保|社保|医疗保险|保险单|保单|"
    r"新农合|农合|合作医疗证?|参保)(?:编号|卡号|证号|个人编号|号码|号|码)?" + _GAP
    + r"([A-Za-z]{0,3}[0-9](?:[ \-]?[0-9A-Za-z]){5,22})(?![0-9A-Za-z])"
)  # fmt: skip
_RECORD = re.compile(
    r"(?:住\s*院|门\s*诊|急\s*诊|病\s*案|病\s*历|病\s*例|病\s*理|登\s*记|就\s*诊|诊疗|就医|检\s*查|影\s*像|放\s*射|CT|MRI?|PET|X线|X光|"
    r"超\s*声|B超|内镜|胃镜|肠镜|标\s*本|样\s*本|检\s*验|化\s*验|条\s*形?码|报\s*告|申请单?|处\s*方|医\s*嘱|流\s*水|体\s*检|档\s*案|透\s*析|"
    r"手\s*术|麻\s*醉|入\s*院|病\s*员|患\s*者|病\s*人|产\s*检|收据|发票|订单|交易|预约|挂号|取号|腕带|磁|IC|ID|卡)"
    r"(?:诊|卡|单|证|室|册|唯一|登记|序)?\s{0,3}(?:编\s*号|编\s*码|号\s*码|序\s*号|号|ID|NO\.?|No\.?|条码|码)" + _GAP
    + r"(?!(?:NCT|ChiCTR|GB|WS|YY|ICD|PMID|ISBN|DOI)[^a-z])([A-Za-z]{0,5}[\-_]?[0-9][0-9A-Za-z\-_/]{2,22})(?<![\-_/])"
)  # fmt: skip
_RECORD_BARE = re.compile(
    r"(?:住院号|门诊号|病案号|病历号|登记号|就诊卡号?|诊疗卡号?|病员号|MRN|mrn|HN|(?<![A-Za-z])ID|UID|编号)"
    + r"[:：#为（(\s]{0,3}([A-Za-z]{0,5}\-?[0-9][0-9A-Za-z\-_]{2,22})(?<![\-_])"
)
_EMAIL = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._%+\-]{0,63}\s?@\s?[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63}){1,4}"
)
_ACCOUNT = re.compile(
    r"(?:微信|薇信|威信|(?<![A-Za-z])(?:vx|v信|wx|we\s?chat|weixin))(?:号码?|账号|帐号|id|同号)?[:：是为\s（(]{0,4}"
    r"([A-Za-z][A-Za-z0-9_\-]{4,24}|[1-9][0-9]{5,11})(?![0-9A-Za-z])"
    r"|(?:QQ|扣扣|企鹅号|球球)(?:号码?|群号?|账号)?[:：是为\s（(]{0,4}([1-9][0-9]{4,11})(?![0-9])", re.I
)  # fmt: skip
# The cue and, some words later, something that can only be an account: letters with digits or underscores.
_ACCOUNT_LATER = re.compile(
    r"(?:微信|薇信|vx|VX|wx|WX)[^\n。A-Za-z0-9]{1,14}((?=[A-Za-z_\-]*[0-9_])[A-Za-z][A-Za-z0-9_\-]{5,24})(?![0-9A-Za-z])"
)
_PLATE = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-HJ-NP-Z][·•. ]?"
    r"(?=[0-9A-Z]*[0-9][A-Z]?[0-9])[A-HJ-NP-Z0-9]{4,5}[A-HJ-NP-Z0-9挂学警港澳](?![0-9A-Za-z])"
)
_URL = re.compile(r"(?:https?://|www\.)[A-Za-z0-9][^\s，。；、）)\"'<>\u3400-\u9fff]{3,}")
_LOOSE = re.compile(r"(?<![0-9A-Za-z.\-/_:：])[0-9]{7,}(?![0-9A-Za-z.\-/_%％])")
_LOOSE_BEFORE = re.compile(
    r"(?:批号|准字|文号|PMID|PMCID|ISBN|ISSN|DOI|doi|基金|项目|许可证|备案|标准|登记号|Z|×|\^|约|达|>|<|=|≥|≤|[A-Za-z/])[^0-9\n]{0,4}$"
)
_CONTACT = re.compile(r"(?:微信|QQ|扣扣|vx)号?码?\s?[:：]\s?(?=[^\s，。；])", re.I)
_ROW_CODE = re.compile(r"[ \t|]{1,4}([A-Z]{0,3}[0-9]{6,14}(?:-[0-9]{1,3})?)(?=[ \t|\n\x00]|$)")
_ACCOUNT_CUE = re.compile(
    either("微信|薇信|威信|QQ|qq|vx|v信|VX|V信|Vx|wx|wech|weixin|wechat|WX|Wx|We|扣扣|企鹅号|球球")
)


def resident_id_checks(number: str) -> bool:
    """Whether 18 characters are a resident ID: region, birth date and checksum (GB 11643, ISO 7064 MOD 11-2)."""
    if len(number) != 18 or not _born(number[:2], number[6:14]):
        return False
    total = sum(int(c) * w for c, w in zip(number[:17], _WEIGHTS, strict=True))
    return "10X98765432"[total % 11] == number[17].upper()


def old_resident_id_checks(number: str) -> bool:
    """Whether 15 digits may be a resident ID of the old form: region and birth date (it had no checksum)."""
    return len(number) == 15 and _born(number[:2], "19" + number[6:12])


def luhn(number: str) -> bool:
    """Whether the last digit is the Luhn check digit of the rest."""
    total = 0
    for i, c in enumerate(reversed(number)):
        n = int(c) * (1 + i % 2)
        total += n - 9 if n > 9 else n
    return total % 10 == 0


def find(text: str) -> list[Span]:
    """The identifiers in one text's view."""
    out: list[Span] = []
    if "@" in text:
        out += _all(_EMAIL, text, "email")
    if holds(text, ("号", "码", "ID")):
        out += _captured(_RECORD, text, "record_number")
    if holds(text, ("MRN", "mrn", "ID", "编号")):
        out += _captured(_RECORD_BARE, text, "record_number")
    if _ACCOUNT_CUE.search(text):
        out += _captured(_ACCOUNT, text, "account")
        out += _captured(_ACCOUNT_LATER, text, "account")
    out += _all(_PLATE, text, "plate")
    for low, high in _windows(text):
        out += _papers(text, low, high)
        out += _cards(text, low, high)
        out += _phones(text, low, high)
    return out


def beside(text: str, people: list[Span]) -> Iterator[Span]:
    """Codes that stand alone in a row or cell behind a name: a register's numbers without their label."""
    for person in people:
        m = _ROW_CODE.match(text, person.end)
        if m:
            yield Span(kind="record_number", start=m.start(1), end=m.end(1))


def _windows(text: str) -> Iterator[tuple[int, int]]:
    """The stretches around long numbers, with room for their cues; the rest of a text need not be read."""
    low = high = -1
    for m in _LONG.finditer(text):
        if high >= 0 and m.start() - 24 > high:
            yield low, high
            low = -1
        low = max(0, m.start() - 24) if low < 0 else low
        high = m.end() + 24
    if high >= 0:
        yield low, min(high, len(text))


def doubts(text: str, spans: list[Span]) -> Iterator[Doubt]:
    """What looks like an identifier and proves nothing: long bare numbers, addresses on the web, a contact's
    cue with nothing readable behind it."""
    if _SEVEN.search(text):
        for m in _ID18.finditer(text):
            digits = m[0].translate(_DROP)
            if digits[:2] in _REGIONS and not overlaps(m.start(), m.end(), spans):
                yield Doubt(start=m.start(), end=m.end(), cue="18 digits, no valid checksum")
        for m in _LOOSE.finditer(text):
            known = _LOOSE_BEFORE.search(text, max(0, m.start() - 12), m.start())
            if known or _UNIT_AFTER.match(text, m.end()) or overlaps(m.start(), m.end(), spans):
                continue
            if len(m[0]) != 18:
                yield Doubt(start=m.start(), end=m.end(), cue="long number")
    if "://" in text or "www." in text:
        for m in _URL.finditer(text):
            if not overlaps(m.start(), m.end(), spans):
                yield Doubt(start=m.start(), end=m.end(), cue="web address")
    for m in _CONTACT.finditer(text) if _ACCOUNT_CUE.search(text) else ():
        if not overlaps(m.start(), m.end() + 6, spans):
            yield Doubt(start=m.start(), end=m.end(), cue="contact cue")


def _all(
    pattern: re.Pattern[str], text: str, kind: str, low: int = 0, high: int | None = None
) -> Iterator[Span]:
    for m in pattern.finditer(text, low, len(text) if high is None else high):
        yield Span(kind=kind, start=m.start(), end=m.end())


def _captured(
    pattern: re.Pattern[str], text: str, kind: str, low: int = 0, high: int | None = None
) -> Iterator[Span]:
    for m in pattern.finditer(text, low, len(text) if high is None else high):
        group = m.lastindex or 0
        yield Span(kind=kind, start=m.start(group), end=m.end(group))


def _papers(text: str, low: int, high: int) -> Iterator[Span]:
    for pattern, proof in ((_ID18, resident_id_checks), (_ID15, old_resident_id_checks)):
        for m in pattern.finditer(text, low, high):
            if proof(m[0].translate(_DROP)):
                yield Span(kind="resident_id", start=m.start(), end=m.end())
    yield from _captured(_ID_CUE, text, "resident_id", low, high)
    yield from _captured(_PAPERS, text, "resident_id", low, high)
    for m in _MASKED.finditer(text, low, high) if "*" in text else ():
        kind = "mobile" if len(m[0]) == 11 and m[0][0] == "1" else "resident_id"
        if len(m[0]) >= 11:
            yield Span(kind=kind, start=m.start(), end=m.end())


def _cards(text: str, low: int, high: int) -> Iterator[Span]:
    yield from _captured(_CARD_CUE, text, "card", low, high)
    for m in _CARD.finditer(text, low, high):
        digits = m[0].translate(_DROP)
        if 16 <= len(digits) <= 19 and luhn(digits) and not resident_id_checks(digits):
            yield Span(kind="card", start=m.start(), end=m.end())


def _phones(text: str, low: int, high: int) -> Iterator[Span]:
    for pattern, kind in ((_MOBILE, "mobile"), (_LANDLINE, "landline")):
        for m in pattern.finditer(text, low, high):
            word = _WORD_BEFORE.search(text, max(0, m.start() - 8), m.start())
            if word and word[0].lower() not in _PHONE_WORDS:
                continue
            cued = _CALL.search(text, max(0, m.start() - 12), m.start())
            plausible = cued or _dialled(re.split("[转分e]", m[0])[0], kind)
            if plausible and not _UNIT_AFTER.match(text, m.end()):
                yield Span(kind=kind, start=m.start(), end=m.end())
    yield from _all(_HOTLINE, text, "landline", low, high)
    yield from _captured(_LOCAL, text, "landline", low, high)


def _dialled(written: str, kind: str) -> bool:
    """Whether the Chinese numbering plan has such a number; an extension behind a hyphen is left out."""
    number = written.translate(_DROP)
    if (
        kind == "landline"
        and written.count("-") > 1
        and _possible(written.rsplit("-", 1)[0].translate(_DROP))
    ):
        return True
    return _possible(number)


def _possible(number: str) -> bool:
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number, "CN")
    except phonenumbers.NumberParseException:
        return False
    return bool(phonenumbers.is_valid_number(parsed))


def _born(region: str, day: str) -> bool:
    if region not in _REGIONS:
        return False
    try:
        born = dt.date(int(day[:4]), int(day[4:6]), int(day[6:]))
    except ValueError:
        return False
    return 1900 <= born.year <= dt.date.max.year and born.year <= 2100
