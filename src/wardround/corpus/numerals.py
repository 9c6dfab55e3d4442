"""Chinese numerals before a measure word as digits: 三次 and 3次, 半月 and 0.5月 are one.

A numeral that is part of a name is none: 十二指肠, 半月线疝, 三七片, 百日咳, 五倍子. `measured` gives the numbers of those that
measure something (二十毫克, 疗程十四天, 三倍, 血压低于一百三十); ordinals, idioms and plain counting (第一, 两者, 三餐, 一般, 四肢) are none.
"""

from __future__ import annotations

import re
from decimal import Decimal

CN = "零〇一二两三四五六七八九十百千万半"
MEASURED = "毫克|微克|公斤|克|毫升|国际单位|单位|个?星期|毫米|厘米|次|天|日|周|个月|月|年|岁|小时|分钟|秒|片|粒|丸|袋|支|滴|喷|揿|包|瓶|枚|颗|杯|级|期|度|型|倍|疗程|个疗程|例|胎|指|餐|顿|吸|针"
NAMES = (
    "十二指肠|半月(?:[线板瓣甲襞皱形沟裂]|体(?![检温重])|状(?![况态])|神经|软骨)|百日咳|千日[疮红]|万年[青蒿]|三七(?=[片丸])|五倍子|"
    "[一二三四六八]倍体|半支莲|一支黄花|十滴水|二天油|三颗针|六月[雪寒]|八月[札炸]|九月菊|千年[健艾]|[两三]杯试验|五粒回春|一粒[丸止]"
)
"""What begins with a numeral and means no number."""
_RUN = re.compile(rf"(?<![\d.])[{CN}]+(?:点[零〇一二两三四五六七八九]+)?")
"""5千克 and 40万单位 have their digits; 点 is a decimal point between numerals."""
_NAME = re.compile(NAMES)
_MEASURE = re.compile(rf"\s*(?:{MEASURED})")
_DIGITS = dict(zip("零〇一二两三四五六七八九", (0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_POWERS = {"十": 10, "百": 100, "千": 1000, "万": 10000}


def with_digits(text: str) -> str:
    """The text with its numerals as digits: those before a measure word, and ordinals."""
    return _RUN.sub(_digits, text)


def _digits(match: re.Match[str]) -> str:
    text, start = match.string, match.start()
    if start and text[start - 1] == "第":
        return number(match[0])
    if _MEASURE.match(text, match.end()) and not _NAME.match(text, start):
        # 半月 is half a month's time, as 半个月 is; a bare 月 after other numerals may be the calendar's.
        return "0.5个" if match[0] == "半" and text[match.end()] == "月" else number(match[0])
    return match[0]


def number(written: str) -> str:
    """一百二十 → 120, 一百二 too, 一点五 → 1.5; digits one after the other (二〇二四) are read as such."""
    if written == "半":
        return "0.5"
    if "半" in written:
        return written
    whole, point, part = written.partition("点")
    if point:
        return format(Decimal(f"{number(whole)}.{number(part)}").normalize(), "f")
    if not any(c in _POWERS for c in written):
        return "".join(str(_DIGITS[c]) for c in written)
    total = section = digit = 0
    for c in written:
        if c == "万":
            total, section, digit = total + (section + digit or 1) * 10000, 0, 0
        elif c in _POWERS:
            section, digit = section + (digit or 1) * _POWERS[c], 0
        else:
            digit = _DIGITS[c]
    if len(written) > 2 and written[-2] in "百千万":
        digit *= _POWERS[written[-2]] // 10
    return str(total + section + digit)


def values(written: str) -> set[str]:
    """The numbers of a numeral: most often one; two of 三四 (天), 十五六 and 二三十, which leave it open."""
    if m := _OPEN.fullmatch(written):
        return {number(f"{m[1]}{d}{m[4]}") for d in m[2] + m[3]}
    return {number(written)} if written != "点" and "半" not in written[1:] else set()


_ONE_TO_NINE = "一二两三四五六七八九"
_OPEN = re.compile(
    rf"((?:[{_ONE_TO_NINE}]?[十百千万])*)([{_ONE_TO_NINE}])([{_ONE_TO_NINE}]{{1,2}})(|[十百千万])"
)
_FURTHER = rf"[{CN}]*(?:点[零〇一二两三四五六七八九]+)?"
_NUMERAL = rf"[{CN}]{_FURTHER}"
_IDIOM = re.compile(
    "[这那近前一二两三四十百千万半](?:(?:(?<=[这那近])(?<!接近)|(?<=前)(?<![\u3400-\u9fff]前))[一两][天年]|"
    "(?<=三)(?:番[五两]次|天两[头夜]|天打鱼|伏天|九天)|(?<=两)天晒网|(?<=一)(?:[日天]三[餐次](?=饮食|正餐)|年四季|年到头|天到晚)|"
    "(?<=十)月怀胎|(?<=[百千万])(?<![一二两三四五六七八九].)[百千万]*[年岁里次]|"
    "(?<=二)次(?!/)(?=感染|手术|损伤|伤害|创伤|打击|污染|元)|(?<=[两三四])支(?=血管|病变|冠)|(?<=半)[天日夜晌])"
)
"""What has a numeral before a measure word and measures nothing, beside `NAMES`. Its first characters stand first, so that a
search skips all others quickly."""
_IN_IDIOMS = re.compile(r"[一二两三四五六七八九十百千万半][天日年月岁次番伏季头晚里支夜晌]")
"""In each of them: a quicker thing to look for."""
_SPAN_UNITS = "秒|分钟|小时|钟头|周(?!围|边|身|期|到|全|密|转|折)|星期|礼拜|月(?!经|球|饼|子|牙)|年(?![代级轻龄幼长老青少])|疗程"
_SIZES = (
    "毫克|微克|纳克|千克|公斤|克(?![隆氏雷罗])|斤|毫升|分升|升(?![高降压])|国际单位|单位|毫米汞柱|毫米|厘米|公分|公里|米(?![粒饭粥汤糊非诺])|毫摩尔|微摩尔|摩尔|千帕|"
    "摄氏度|千卡|大卡|倍(?!体|他|增)|个百分点|(?:mg|mcg|[μuµ]g|kg|ng|g|ml|dl|l|iu|u|mmhg|kpa|[mμuµ]mol|cm|mm|h|d)(?![A-Za-z])|[%％℃]"
)
_COUNTS = (
    "天(?!然|生|性|花)|日(?!常|光|晒|本)|岁|周岁|夜|次(?![方性要数])|片(?!状|影|段)|粒(?!细|子)|丸|袋|支(?!气|架|持|原)|滴(?!虫)|喷|揿|枚|颗(?!粒)|杯|勺|匙|贴|剂(?!量)|瓶|盒|"
    "成(?=以[上下]|左右|的|患者|病人|[，。；、）]|$)"
)
_MEASURES = rf"(?P<size>{_SPAN_UNITS}|{_SIZES})|(?P<count>{_COUNTS})"
_QUANTITY = re.compile(
    rf"(?P<low>[{CN}](?<![第数几\d.{CN}].){_FURTHER})(?:\s*[个]?\s*[至到或~～—–\-]\s*(?P<high>{_NUMERAL}))?[余多来几]?\s*个?半?\s*(?:{_MEASURES})",
    re.I,
)
_PART = re.compile(rf"(?P<low>{_NUMERAL})分之(?P<high>{_NUMERAL})")
_JOINED = rf"(?:\s*[/／比至到~～—–\-]\s*(?P<high>{_NUMERAL}))?"
_LEVEL = re.compile(
    r"(?:血压|收缩压|舒张压|高压|低压|心率|心律|脉搏|脉率|呼吸|体温|血糖|血氧|饱和度|蛋白|血小板|细胞|肌酐|尿酸|尿素氮|胆固醇|甘油三酯|转氨酶|指数|体重|身高|评分|年龄|尿量|"
    r"滴速|流量|剂量|用量|低于|高于|超过|大于|小于|不足|少于|多于|降至|升至|减至|增至|降到|升到|减到|增到|加到|达到?|控制在|维持在|保持在|至少|最多)"
    rf"[^，。；！？\n\d{CN}]{{0,6}}(?P<low>{_NUMERAL}){_JOINED}"
)
_WEEK = ("周", "星期", "礼拜")
"""周六晚上, 星期一天: a numeral behind one of these names a day."""
_FOUR_WEEKS = re.compile("后|内|以|左右|为|一次|一个?疗程|末|复|疗程")
_BEFORE_WEEKS = frozenset("每隔服用约满共至到～疗程续后养息药察治近")


def measured(text: str) -> set[str]:
    """Numbers written out in Chinese that measure something: a dose, a time, a frequency, a multiple, a share, a level.

    一 counts before units of time and size only (一周, 一克): 一次, 一天 and 一片 are said of anything."""
    if not _ANY.search(text):
        return set()
    if _IN_IDIOMS.search(text):
        text = _IDIOM.sub(" ", text)
    found = set[str]()
    for m in _QUANTITY.finditer(text):
        if _is_quantity(m):
            # 三千克 is three times 千克.
            cut = -1 if m["size"] == "克" and m["low"][-1] == "千" else None
            found |= values(m["low"][:cut]) | values(m["high"] or "点")
    for m in _PART.finditer(text) if "分之" in text else ():
        base = values(m["low"]) - {"100"} if m["low"] != "百" else set[str]()
        found |= base | values(m["high"])
    for m in _LEVEL.finditer(text) if _TENS.search(text) else ():
        if _is_level(m["low"]):
            found |= values(m["low"]) | (values(m["high"]) if _is_level(m["high"] or "") else set())
    return found


_ANY = re.compile(f"[{CN}]")
_TENS = re.compile(f"[{CN}](?:(?<=[十百千万])[{CN}点]|[十百千万])")
"""In every numeral that may be a level, see `_is_level`."""


def _is_quantity(m: re.Match[str]) -> bool:
    low, text = m["low"], m.string
    if low in ("千", "万") or _NAME.match(text, m.start()):
        return False
    if m["count"] is not None:
        if low in ("一", "半") and not m["high"]:
            return False
        return m["count"] not in ("天", "日", "夜") or not text.endswith(_WEEK, 0, m.start())
    if m[0] == "四周":
        return text[m.start() - 1 : m.start()] in _BEFORE_WEEKS or bool(
            _FOUR_WEEKS.match(text, m.end())
        )
    return True


def _is_level(numeral: str) -> bool:
    """Whether a numeral without a unit is a value: of tens at least. 十分 and 万一 are none."""
    return any(c in _POWERS for c in numeral) and any(c in _DIGITS for c in numeral)
