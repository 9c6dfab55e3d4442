"""Addresses, hospitals, wards and beds, workplaces.

An address needs its cue (住址：, 家住 …) or a street or estate with a number in it; a city alone, without a cue,
stays, and so does a province. A hospital needs a proper name: 当地医院, 县人民医院, 某三甲医院 name nobody and stay.
Wards and beds are those with a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from wardround.corpus.privacy_spans import HAN, Doubt, Span, holds, overlaps

_UNIT = "省市县区镇乡村路街巷弄号栋幢楼室组屯旗州盟道苑园湾庄坊里城厦寓舍队寨坪埠园院府庭居"
_NUM = r"[0-9A-Za-z一二三四五六七八九十百#\-]"
_ADDRESS_CUE = re.compile(
    r"(?:(?:家庭|现在?|居住|联系|通[讯信]|户籍|户口|常住|收货|邮寄|详细|单位|住院期间|永久|寄件|办公)?(?:住址|地址)|住\s?址|地\s?址|"
    r"户籍地|户籍所在地|户口所在地|居住地|籍贯|出生地)(?:[（(][^）)\n]{1,8}[）)])?\*?\s?[:：]\s*"
    r"([^\s，,。；;、！？!?:：（(）)|]{2,60})"
)
_HOME = re.compile(
    rf"(?:现住|家住|住在|住于|居住于|居住在|家在|老家在?|现居|出生于|寄到|寄往|户籍)([{HAN}A-Za-z0-9\-#]{{2,60}})"
)
_ADMIN = re.compile(rf"[{HAN}]{{2,}}?(?:[省市县区镇乡村旗]|自治州|街道)")
_NOT_HOME = re.compile(
    r"[校院室楼]内?$|海边|城市|农村|乡下|外地|本地|附近|高原|城区|市区|郊区|山区|地区|宿舍|学校|病区|小区里|国外|楼上"
)
_ANCHOR = re.compile(
    r"(?:路|街|大道|巷|胡同|村|屯|小区|社区|新村|家园|花园|公寓|大厦|苑|湾|华庭|家属院|坊|寨|庄|镇|乡)"
    r"(?:[东西南北中]段?|[A-Za-z一二三四五六七八九十]期)?[0-9]{1,5}(?:-[0-9]{1,4})*(?:号|弄|栋|幢|座|楼|组|巷|室|队|单元)"
)
_BLOCK = re.compile(r"[0-9]{1,3}(?:栋|幢|号楼|座)[0-9]{1,2}单元")
_MORE = re.compile(
    rf"[0-9A-Za-z\-#]{{1,8}}(?:号楼|号院|号|弄|栋|幢|座|楼|层|单元|室|组|队|户)?"
    rf"|[{HAN}]{{1,10}}?(?:小区|社区|新村|家园|花园|公寓|大厦|苑|湾|华庭|家属院|庭|院|里|府|坊|号|期|[0-9])(?=[0-9]{{1,3}}(?:栋|幢|号|座|单元|室|弄|-))"
    rf"|(?:号楼|号院|号|弄|栋|幢|座|楼|单元|室|组|户)"
)
_PROVINCES = (
    "北京|天津|上海|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南|陕西|甘肃|青海|"
    "台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门"
)
_PROVINCE = re.compile(
    rf"(?:{_PROVINCES})(?:省|市|自治区|壮族自治区|回族自治区|维吾尔自治区|特别行政区)?"
)
_LEFT_STOP = re.compile(
    r"位于|住在|家住|现住|居住|家在|就在|地址|住址|寄到|寄往|送到|送至|来到|来自|前往|出生|籍贯|户籍|地点|"
    r"[在从于到至是住往去赴由经被的了为我他她你您离沿因]|家访|家庭"
)
_WORKPLACE = re.compile(
    rf"(?:工作单位|就读学校|所在单位|单位名称|学校名称|就业单位|雇主)(?:[（(][^）)\n]{{1,8}}[）)])?\*?\s?[:：]\s*([{HAN}A-Za-z0-9（）()]{{3,30}})"
)

_KIND_OF_HOSPITAL = "医院|卫生院|卫生所|卫生室|卫生站|卫生服务中心|卫生服务站|妇幼保健院|保健院|疗养院|防治院|诊所|门诊部"
_HOSPITAL = re.compile(rf"(?:{_KIND_OF_HOSPITAL})(?:(?:[东西南北]|总|分|本部|新|老)院区?)?")
_NAMED = re.compile(rf"[{HAN}0-9]")
_HOSPITAL_STOP = re.compile(
    r"[在往赴由从的了过曾我您你他她们该某送请给跑被将把是叫找选让嘱即并遂或及、]|去(?!世)|到|至|(?<![协仁泰康颐同永中祥人太])和(?![平睦谐县田顺美济])|与|于(?![都田洪])|"
    r"以及|就诊|治疗|转入|入住|住院|转往|转至|就医|看病|发送|接收|邀请方|受邀方|前来|外院|本院|贵院|我院|天来|后来|一直|经过|根据|按照|通过|关于|建议|"
    r"推荐|选择|咨询|前去|立即|马上|及时|尽快|尽早|急诊|随后|随即|回到|患者|病人|家属|孩子|老人|医生|专家|检查|确诊|诊断|来(?![宾安凤])|比如|例如|像|可(?![克])|"
    r"能|需|应|要|上(?![海饶虞杭犹栗高林思蔡])|再|先|最好|还|都(?![江昌匀])|也|就|只|不|没|有|做|听|问|带|拿|看|打|办|直接|其他|别的|不同|各|每|全国|国内|国外|没有|什么|哪|这|那|"
    r"几|多|两|年|月|日|天(?![津坛台])|时|岁|因|为|对|向(?!阳)|用|去了|自|当|[内外儿妇产骨眼]科|楼|说|正|申请|单位|名称|甲方|乙方|医学|专业|正规|公立|私立|民营|大型|知名|有名|著名|权威|"
    r"好(?!仁)|更|很|比较|大(?![学连同庆理名丰足邑渡安坪新兴悟冶化英竹埔])|小(?![金汤])"
)
_GENERIC = re.compile(
    r"第?[一二三四五六七八九十0-9]+|人民|中心|中医药|中医|中西医结合|中西医|儿童|妇幼|妇女|妇产|妇科|妇婴|男科|肿瘤|口腔|牙科|眼科|胸科|骨科|骨伤|脑科|心脏|"
    r"心血管|心脑血管|传染病|精神卫生|精神病|精神|心理|皮肤病|皮肤|性病|肛肠|胃肠|肝病|肾病|结核病|结核|癫痫|糖尿病|康复|老年病|老年|护理|综合|专科|三级|二级|"
    r"一级|三甲|二甲|甲等|乙等|丙等|级|附属|附院|大学|学院|医科|医学院|医专|医疗|医|医药|总|省立|市立|县立|省级|市级|县级|省|市|县|区|镇|乡|村|州|旗|街道|社区|"
    r"职工|铁路|军区|部队|解放军|武警|空军|海军|陆军|地方|地区|当地|附近|上级|下级|基层|定点|教学|合作|转诊|互联网|网络|美容|整形|生殖|不孕不育|急救|"
    r"产科|儿科|肺科|耳鼻喉|耳鼻咽喉|手足|烧伤|血液病|风湿|免疫|疼痛|体检|健康|个体|个人|乡下|城里|农村|城市|外地|本地|原|老家|家门口|动物|宠物|方舱|"
    r"国家|全市|全县|全省|地市|预备役|校|学校|单位|厂|公司|企业|矿|公社|农场|林场|住院|门诊|分|新|老|东|西|南|北|院|所|家|个|人|小|大|全|一些|同一|等|民族|民办|疑难病|内|外|国际|研究|研究院|临床|"
    r"对口|实体|线下|三|军队|政府|公益|主治|私人|医保|合同|乡镇|卫生|服务|保健|站"
)

_GENERAL = re.compile(f"(?:{_GENERIC.pattern})+")
_SEATED = re.compile(rf"[{HAN}]{{2,5}}(?:[省市县区镇乡州旗]|大学|学院)")
_EVERYDAY = re.compile(
    "次|接着|配合|生后|救|住|血|尿|喝|家里|来家|[治病痛肝癌癫痫诊查询问选择虑参考联系确告知约级别防止忧留意决定具想说听做换跑信任这哪谁少各每某种收费价宜坏差最更较很太特规权得者当然般容易疲劳积控制实施方法专]"
)
_LED = "在到去往赴至于由从转送院、为是"

_BED_LABEL = re.compile(
    r"床(?<!临床)(?:\s{0,4}号\s?[:：]?|\s?位?\s?[:：])\s{0,3}((?:[+A-Za-z]|加)?[0-9]{1,4}[A-Za-z]?)(?=床|[^0-9A-Za-z]|$)"
)
_BED = re.compile(r"[0-9]\s?床(?![单位旁上边头垫下尾前被铺日次/])(?!以[上下])")
_BED_NUMBER = re.compile(r"(?<![0-9.+×*])(?:(?<![A-Za-z])[+A-Z]|加|(?<=[A-Z]{2}))?[0-9]{1,3}$")
_BED_COUNT = re.compile(
    r"(?:开放|编制|床位|病床|共有?|设有?|规模|增加?|达|第|[约近超])[^0-9]{0,3}$"
)
_WARD = re.compile(
    r"(?:[东西南北中新老总][院楼]区?|(?:内|外|门诊|住院|医技|综合|内科|外科)大?楼|(?:心|神|呼吸?|消化?|肾|内|外|骨|儿|妇|产|眼|肿瘤?|血液?|泌尿?|普|胸|感染)"
    r"(?:内|外|科|内科|外科|瘤|尿)?)?(?:第?[一二三四五六七八九十]{1,3}|[0-9]{1,2}[A-Z]?|[A-Z][0-9]{1,2})(?:层|楼)?(?:病区|病房|护理单元)$"
)
_WARD_END = re.compile("病区|病房|护理单元")
_WARD_LABEL = re.compile(rf"(?:病\s?区|病\s?房|病室)\s?[:：]\s{{0,3}}([{HAN}A-Za-z0-9]{{1,12}})")


def find(text: str) -> list[Span]:
    """The places in one text's view."""
    out: list[Span] = []
    if "院" in text or "诊所" in text or "卫生" in text or "门诊部" in text:
        out += _hospitals(text)
    out += _addresses(text)
    if "床" in text or "病" in text or "护理单元" in text:
        out += _wards(text)
    if "单位" in text or "学校" in text or "雇主" in text:
        for m in _WORKPLACE.finditer(text):
            if not re.match("不详|无|未|退休|暂", m[1]):
                out.append(Span(kind="workplace", start=m.start(1), end=m.end(1)))
    return out


def doubts(text: str, spans: list[Span]) -> Iterator[Doubt]:
    """An address's cue with a place behind it that was not read as an address."""
    for m in _HOME.finditer(text):
        if not overlaps(m.start(1), m.end(1), spans) and _PROVINCE.match(m[1]):
            yield Doubt(
                start=m.start(), end=min(m.end(), m.start(1) + 8), cue="place after a home cue"
            )


def _addresses(text: str) -> Iterator[Span]:
    if holds(text, ("址", "籍", "居住地", "出生地", "户口")):
        for m in _ADDRESS_CUE.finditer(text):
            end = _address_end(text, m.start(1), m.end(1))
            if end:
                yield Span(kind="address", start=m.start(1), end=end)
    for m in _HOME.finditer(text):
        admin = _ADMIN.match(m[1])
        if re.search("[的个]", m[1][:8]):
            continue
        if not admin or (_NOT_HOME.search(admin[0]) and not _PROVINCE.match(m[1])):
            continue
        end = _home_end(text, m.start(1), m.end(1))
        if end:
            yield Span(kind="address", start=m.start(1), end=end)
    blocks = _BLOCK.finditer(text) if "单元" in text else ()
    for m in (*_ANCHOR.finditer(text), *blocks):
        start, end = _address_start(text, m.start()), m.end()
        while more := _MORE.match(text, end):
            end = more.end()
        yield Span(kind="address", start=start, end=end)


def _address_end(text: str, start: int, end: int) -> int:
    """Where an address that begins at `start` stops, at the latest at `end`; 0 when it is a province or less."""
    value = text[start:end]
    if _PROVINCE.fullmatch(value) or not re.search(
        rf"[{_UNIT}0-9]|(?:{_PROVINCES}){{1}}[{HAN}]{{2}}", value
    ):
        return 0
    last = max((m.end() for m in re.finditer(rf"[{_UNIT}0-9A-Za-z]", value)), default=0)
    return start + (last or len(value))


def _home_end(text: str, start: int, end: int) -> int:
    value = text[start:end]
    cut = re.search(
        r"已|有|约|近|多年|务农|工作|生活|因|于(?!都|田|洪)|附近|一带|至今|长大|[0-9]+(?:余|多|天|年|个|月|岁)",
        value,
    )
    if cut:
        value = value[: cut.start()]
    return _address_end(text, start, start + len(value)) if value else 0


def _address_start(text: str, anchor: int) -> int:
    """The left end of an address whose street stands at `anchor`: at a province's name, else behind the last
    word that leads to a place, else behind the last sign."""
    low = _left(text, anchor, max(0, anchor - 40))
    province = _PROVINCE.search(text, low, anchor)
    if province:
        return province.start()
    for stop in _LEFT_STOP.finditer(text, low, anchor):
        low = stop.end()
    return low


def _hospitals(text: str) -> Iterator[Span]:
    low = 0
    for m in _HOSPITAL.finditer(text):
        start, stem = _left(text, m.start(), max(low, m.start() - 24)), m.start()
        for stop in _HOSPITAL_STOP.finditer(text, start, stem):
            start = stop.end()
        for province in _PROVINCE.finditer(text, start, stem):
            start = province.start()
            break
        led = start == 0 or not _NAMED.match(text, start - 1) or text[start - 1] in _LED
        if _proper(text[start:stem], led):
            yield Span(kind="hospital", start=start, end=m.end())
        low = m.end()


def _proper(stem: str, led: bool) -> bool:
    """Whether what stands before 医院 names one hospital: more than general words (市, 人民, 第一, 附属 …). Where no
    city or university is named, the word must be led to (`led`) and hold no word of everyday speech."""
    if len(stem) < 2 or _GENERAL.fullmatch(stem) or _EVERYDAY.search(stem):
        return False
    rest = _GENERIC.sub("", stem)
    if _SEATED.match(stem) or _PROVINCE.match(stem):
        return len(rest) >= 1
    return led and 2 <= len(rest) <= 6


def _left(text: str, end: int, limit: int) -> int:
    """How far characters of a name reach to the left of `end`."""
    while end > limit and _NAMED.match(text, end - 1):
        end -= 1
    return end


def _wards(text: str) -> Iterator[Span]:
    for pattern in (_BED_LABEL, _WARD_LABEL):
        for m in pattern.finditer(text):
            if re.search("[0-9一二三四五六七八九十]", m[1]):
                yield Span(kind="ward_bed", start=m.start(1), end=m.end(1))
    for m in _BED.finditer(text):
        number = _BED_NUMBER.search(text, max(0, m.start() - 4), m.start() + 1)
        if number and not _BED_COUNT.search(text, max(0, number.start() - 5), number.start()):
            yield Span(kind="ward_bed", start=number.start(), end=m.end())
    if "病区" not in text and "病房" not in text and "护理单元" not in text:
        return
    for end in _WARD_END.finditer(text):
        ward = _WARD.search(text, max(0, end.start() - 14), end.end())
        if ward:
            yield Span(kind="ward_bed", start=ward.start(), end=ward.end())
