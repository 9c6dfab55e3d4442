"""Synthetic clinical notes with known identifiers, for measuring `wardround.corpus.privacy`.

`notes(count, seed)` fills the hand-written skeletons of `privacy_notes.txt` (one per kind of note, over the
specialties) with invented people, places, hospitals and numbers, and says where each identifier stands.
Everything else in a skeleton (doses, laboratory values, codes, guideline names, words that begin like a name)
is a hard negative: whatever is found there is wrong. Skeletons from number `HELD_OUT_FROM` on were
written after the detector's last change and measured once, without looking at what it missed; whoever changes the
detector by them must write new ones. The author of the notes is the author of the detector.

Nothing here is shared with the detector: surnames, given names, places, number formats and checksums are this
file's own. No person, address or hospital in it is real; a number that exists is chance.
"""

from __future__ import annotations

import datetime as dt
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

SKELETONS = Path(__file__).with_suffix(".txt")
HELD_OUT_FROM = 73
PARTS = ("all", "seen", "held_out")


def _words(text: str) -> list[str]:
    return text.split()


_FAMILY = _words(
    "王 李 张 刘 陈 杨 赵 黄 周 吴 徐 孙 胡 朱 高 林 何 郭 马 罗 梁 宋 郑 谢 韩 唐 冯 于 董 萧 程 曹 袁 邓 许 傅 沈 曾 彭 吕 "
    "苏 卢 蒋 蔡 贾 丁 魏 薛 叶 阎 余 潘 杜 戴 夏 钟 汪 田 任 姜 范 方 石 姚 谭 廖 邹 熊 金 陆 郝 孔 白 崔 康 毛 邱 秦 江 史 顾 "
    "侯 邵 孟 龙 万 段 雷 钱 汤 尹 黎 易 常 武 乔 贺 赖 龚 文 欧阳 司徒 上官 诸葛 夏侯 尉迟 东方 皇甫 慕容 令狐"
)
_GIVEN = _words(
    "建国 秀英 桂兰 志强 雨桐 子轩 浩然 欣怡 梓涵 淑珍 玉梅 国栋 海燕 文博 思远 晓峰 丽萍 凤霞 永康 德胜 春花 小虎 嘉懿 一诺 可馨 "
    "宇航 天佑 婉清 若溪 景行 慧敏 立新 卫东 红梅 爱民 双喜 金凤 长根 阿妹 大勇 佩瑶 诗涵 俊杰 家豪 美玲 振华 世昌 宗翰 怀瑾 念慈 "
    "伟 芳 敏 磊 静 涛 洁 超 娟 斌 鑫 璐 颖 岚 旭 琪 倩 骁 昊 柠 珂 琛 烨 楠 淼 桦 莹 煜 尧 澍 芮 祺"
)
_PROVINCE = _words(
    "江苏 浙江 湖南 四川 山东 河南 安徽 福建 江西 广东 云南 陕西 河北 湖北 辽宁 贵州"
)
_CITY = _words("临溪 澜江 云浦 岚山岭 青榆 望川 棠河 北沅 槐安 沙堤 金岫 鹭屿 宁泊 松陵渡 柳原")
_COUNTY = _words("清源洼 桐坞 白鹿冲 石桥驿 东郭 枫泾口 稻田埠 芦花 西津渡 双塔")
_ROAD = _words("望江 槐荫 解放西 人民东 芙蓉 学府 滨河 建业 青年 朝阳北 文昌 棉纺 光华 新华 环城南")
_ESTATE = _words("锦绣花园 滨江一号 幸福里小区 梧桐苑 阳光新村 翡翠湾 丽景华庭 机械厂家属院")
_VILLAGE = _words("上河 王家坳 大槐树 前进 石磨 新塘 柿子园")
_WARDS = _words(
    "三病区 心内二病区 5病区 12病区 东院八病区 外科楼9层病区 6A病区 肿瘤四病区 A3病房 十一病区"
)
_PROVINCE_LETTER = "京沪苏浙湘川鲁豫皖闽粤云陕冀鄂辽贵赣"
_PINYIN = _words("Zhang Wang Li Chen Zhao Liu Yang Xu")
_PINYIN_GIVEN = _words("Wei Xiaoming Jianguo Lina Haiyan Tao Yu Zihan")
_WIDE = str.maketrans({**{c: chr(ord(c) + 0xFEE0) for c in "0123456789Xx"}, "-": "－"})


@dataclass(frozen=True)
class Mark:
    """One identifier: characters `start` to `end` of the note, and its kind."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True)
class Note:
    """One note with its identifiers in order. `skeleton` is its number, `held_out` its side."""

    text: str
    marks: tuple[Mark, ...]
    skeleton: str
    held_out: bool


def skeletons() -> list[tuple[str, str, bool]]:
    """(number, text, held out) of every skeleton, in the file's order."""
    pieces = re.split(r"^=== (\d+)[^\n]*\n", SKELETONS.read_text(encoding="utf-8"), flags=re.M)[1:]
    pairs = list(zip(pieces[::2], pieces[1::2], strict=True))
    return [(n, t.strip(), int(n) >= HELD_OUT_FROM) for n, t in pairs]


def notes(count: int = 400, seed: int = 20, part: str = "all") -> list[Note]:
    """`count` notes of the skeletons of `part` in turn; equal arguments give equal notes."""
    if part not in PARTS:
        raise ValueError(f"part is one of {', '.join(PARTS)}")
    chosen = [s for s in skeletons() if part == "all" or s[2] == (part == "held_out")]
    made = []
    for i in range(count):
        number, text, held_out = chosen[i % len(chosen)]
        filled, marks = _Filler(random.Random(f"{seed}/{number}/{i}")).fill(text)
        made.append(Note(text=filled, marks=marks, skeleton=number, held_out=held_out))
    return made


def plain_text(size: int, seed: int = 20) -> list[str]:
    """About `size` characters of clinical sentences without any identifier, as texts of 200 to 800."""
    rng = random.Random(f"{seed}/plain")
    sentences = (s.strip() for _, text, _ in skeletons() for s in re.split(r"(?<=[。；])|\n", text))
    lines = [s for s in sentences if s and "{" not in s and "：" not in s]
    texts, total = [], 0
    while total < size:
        text = "".join(rng.choices(lines, k=rng.randint(6, 24)))
        texts.append(text)
        total += len(text)
    return texts


class _Filler:
    """Fills one skeleton: a slot's name chooses its maker; the same slot again gives the same value."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.known: dict[str, str] = {}
        self.day = dt.date(2017, 1, 1) + dt.timedelta(rng.randrange(2700))
        self.style = rng.choice(("cn", "cn0", "dash", "slash", "dot"))
        self.wide = rng.random() < 0.08

    def fill(self, text: str) -> tuple[str, tuple[Mark, ...]]:
        out: list[str] = []
        marks: list[Mark] = []
        at = end = 0
        for slot in re.finditer(r"\{([a-z]+)_?([a-z0-9]*)([+-]\d+)?(?::([a-z]+))?\}", text):
            out.append(text[end : slot.start()])
            at += len(out[-1])
            end = slot.end()
            stem, rest, shift, style = slot.groups()
            kind, value = self.value(stem, rest or "", int(shift or 0), style or "", slot[0])
            out.append(value)
            marks.append(Mark(at, at + len(value), kind))
            at += len(value)
        out.append(text[end:])
        return "".join(out), tuple(marks)

    def value(self, stem: str, rest: str, shift: int, style: str, slot: str) -> tuple[str, str]:
        if stem == "date":
            return "date", self._wide(self.date(self.day + dt.timedelta(shift), style))
        stem = stem if stem + rest != "name" + "en" else "pinyin"
        kind, make = _MAKERS[stem + rest if stem + rest in _MAKERS else stem]
        if slot not in self.known:
            value = make(self)
            self.known[slot] = self._wide(value) if kind in ("mobile", "resident_id") else value
        return kind, self.known[slot]

    def _wide(self, value: str) -> str:
        return value.translate(_WIDE) if self.wide else value

    def date(self, day: dt.date, style: str = "") -> str:
        style = style or self.style
        return {
            "cn": f"{day.year}年{day.month}月{day.day}日",
            "cn0": f"{day.year}年{day.month:02}月{day.day:02}日",
            "dash": day.isoformat(),
            "slash": f"{day.year}/{day.month}/{day.day}",
            "dot": f"{day.year}.{day.month:02}.{day.day:02}",
            "compact": f"{day:%Y%m%d}",
            "md": f"{day.month}月{day.day}日",
        }[style]

    def digits(self, count: int) -> str:
        return "".join(self.rng.choice("0123456789") for _ in range(count))

    def person(self) -> str:
        if self.rng.random() < 0.03:
            return self.rng.choice(
                ("阿依古丽·买买提", "帕提曼·艾山", "扎西次仁·旺堆", "买买提江·吐尔逊")
            )
        return self.rng.choice(_FAMILY) + self.rng.choice(_GIVEN)

    def birth(self) -> dt.date:
        return dt.date(1930, 1, 1) + dt.timedelta(self.rng.randrange(29000))

    def resident(self, style: str = "") -> str:
        area = self.rng.choice(
            ("110105", "320106", "430104", "510107", "330203", "440305", "371002", "610113")
        )
        born = self.birth()
        if style == "15":
            return f"{area}{born:%y%m%d}{self.digits(3)}"
        head = f"{area}{born:%Y%m%d}{self.digits(3)}"
        total = sum(int(c) * 2 ** (17 - i) for i, c in enumerate(head))
        tail = next(c for c in range(11) if (total + c) % 11 == 1)
        number = head + ("X" if tail == 10 else str(tail))
        if style == "x":
            number = number[:17] + number[17].lower()
        if self.rng.random() < 0.12:
            number = f"{number[:6]} {number[6:14]} {number[14:]}"
        return number

    def mobile(self) -> str:
        head = self.rng.choice(_words("139 138 150 186 177 199 133 158 182 147 166 191"))
        tail = self.digits(8)
        form = self.rng.choice(("", "", "", "", " ", "-", "+86"))
        if form in (" ", "-"):
            return f"{head}{form}{tail[:4]}{form}{tail[4:]}"
        return f"{form}{head}{tail}"

    def landline(self) -> str:
        area, size = self.rng.choice(
            (("010", 8), ("021", 8), ("0731", 8), ("0571", 8), ("0532", 8), ("0794", 7))
        )
        number = self.rng.choice("2568") + self.digits(size - 1)
        form = self.rng.choice(("-", "-", "", " ", "()", "ext"))
        if form == "()":
            return f"({area}){number}"
        if form == "ext":
            return f"{area}-{number}转{self.rng.randint(100, 9999)}"
        return f"{area}{form}{number}"

    def address(self) -> str:
        pick = self.rng.choice
        city = f"{pick(_PROVINCE)}省{pick(_CITY)}市"
        room = f"{self.rng.randint(1, 40)}栋{self.rng.randint(1, 4)}单元{self.rng.randint(101, 3205)}室"
        forms = (
            f"{city}{pick(_COUNTY)}区{pick(_ROAD)}路{self.rng.randint(1, 999)}号",
            f"{city}{pick(_COUNTY)}县{pick(_VILLAGE)}村{self.rng.randint(1, 12)}组",
            f"{pick(_CITY)}市{pick(_ROAD)}街{self.rng.randint(1, 300)}号{pick(_ESTATE)}{room}",
            f"{pick(_COUNTY)}区{pick(_ESTATE)}{self.rng.randint(1, 30)}号楼{self.rng.randint(101, 1803)}",
            f"{pick(_ROAD)}大道{self.rng.randint(10, 2000)}弄{self.rng.randint(1, 60)}号{self.rng.randint(101, 606)}室",
            f"{city}{pick(_COUNTY)}镇{pick(_VILLAGE)}村{self.rng.randint(1, 90)}号",
        )
        return pick(forms)

    def hospital(self) -> str:
        pick = self.rng.choice
        forms = (
            f"{pick(_CITY)}市第{pick('一二三五')}人民医院",
            f"{pick(_CITY)}大学附属{pick(('第一', '第二', '口腔', '仁和'))}医院",
            f"{pick(_CITY)}市中医院", f"{pick(_COUNTY)}县人民医院", f"{pick(_PROVINCE)}省{pick(_CITY)}医院",
            f"{pick(_CITY)}市妇幼保健院", f"{pick(_COUNTY)}镇中心卫生院", f"{pick(_CITY)}康宁医院",
            f"{pick(_CITY)}市{pick(_COUNTY)}区社区卫生服务中心",
        )  # fmt: skip
        return pick(forms)

    def record(self) -> str:
        pick = self.rng.choice
        return pick((
            f"ZY{self.digits(8)}", f"00{self.digits(6)}", f"{self.rng.randint(2017, 2024)}{self.digits(6)}",
            f"B{self.digits(6)}", f"MZ{self.digits(10)}", self.digits(7), f"{self.digits(6)}-{self.digits(2)}",
        ))  # fmt: skip

    def bed(self) -> str:
        return self.rng.choice(
            (
                str(self.rng.randint(1, 68)),
                f"{self.rng.randint(1, 60):02}",
                f"+{self.rng.randint(1, 9)}",
                f"加{self.rng.randint(1, 9)}",
                f"A{self.rng.randint(10, 40)}",
            )
        )

    def account(self) -> str:
        letters = "abcdefghjkmnpqrstuvwxyz"
        word = "".join(self.rng.choice(letters) for _ in range(self.rng.randint(4, 7)))
        return self.rng.choice(
            (f"{word}_{self.digits(4)}", f"wxid_{word}{self.digits(3)}", word + self.digits(5))
        )

    def email(self) -> str:
        host = self.rng.choice(
            _words("example.com mail.example.cn 163.example qq.example.com hosp-lx.example.org")
        )
        return self.account().replace("wxid_", "") + "@" + host

    def bank(self) -> str:
        head = self.rng.choice(("622202", "621700", "622848", "601382")) + self.digits(12)
        total = 0
        for i, c in enumerate(reversed(head)):
            twice = int(c) * 2
            total += (twice - 9 if twice > 9 else twice) if i % 2 == 0 else int(c)
        number = head + str(-total % 10)
        return number if self.rng.random() < 0.6 else " ".join(re.findall(r"\d{1,4}", number))

    def plate(self) -> str:
        head = self.rng.choice(_PROVINCE_LETTER) + self.rng.choice("ABCDEF")
        tail = "".join(self.rng.choice("0123456789ABCDEFGHJK") for _ in range(3)) + self.digits(2)
        if self.rng.random() < 0.25:
            tail = self.rng.choice("DF") + self.digits(5)
        return head + self.rng.choice(("", "", "·", " ")) + tail


_MAKERS: dict[str, tuple[str, Callable[[_Filler], str]]] = {
    "name": ("name", _Filler.person), "doc": ("name", _Filler.person), "nurse": ("name", _Filler.person),
    "sur": ("name", lambda f: f.rng.choice(_FAMILY)),
    "pinyin": ("name", lambda f: f"{f.rng.choice(_PINYIN)} {f.rng.choice(_PINYIN_GIVEN)}"),
    "id": ("resident_id", _Filler.resident), "id15": ("resident_id", lambda f: f.resident("15")),
    "id18x": ("resident_id", lambda f: f.resident("x")),
    "mobile": ("mobile", _Filler.mobile), "landline": ("landline", _Filler.landline),
    "addr": ("address", _Filler.address), "hosp": ("hospital", _Filler.hospital),
    "ward": ("ward_bed", lambda f: f.rng.choice(_WARDS)), "bed": ("ward_bed", _Filler.bed),
    "rec": ("record_number", _Filler.record), "email": ("email", _Filler.email),
    "wx": ("account", _Filler.account), "qq": ("account", lambda f: str(f.rng.randint(10**7, 10**10 - 1))),
    "bank": ("card", _Filler.bank), "insur": ("card", lambda f: "C" + f.digits(9) if f.rng.random() < 0.5 else f.digits(12)),
    "passport": ("resident_id", lambda f: f.rng.choice("EGP") + f.digits(8)),
    "plate": ("plate", _Filler.plate),
    "birth": ("date", lambda f: f.date(f.birth())),
    "md": ("date", lambda f: f.date(f.day + dt.timedelta(f.rng.randint(-40, 40)), "md")),
}  # fmt: skip


def scored(
    found: Sequence[tuple[int, int, str]], marks: Sequence[Mark]
) -> dict[str, tuple[int, int, int, int, int]]:
    """Per kind: identifiers, those wholly covered by findings of their kind, those covered by any findings,
    findings, and right findings. A finding is right when it overlaps an identifier of its kind and at most
    half of it, or four characters, stand outside."""
    kinds = {m.kind for m in marks} | {k for _, _, k in found}
    out = {}
    for kind in kinds:
        gold = [m for m in marks if m.kind == kind]
        own = [f for f in found if f[2] == kind]
        covered = sum(_covers(own, m) for m in gold)
        gone = sum(_covers(found, m) for m in gold)
        out[kind] = (len(gold), covered, gone, len(own), sum(_right(f, gold) for f in own))
    return out


def _covers(found: Sequence[tuple[int, int, str]], mark: Mark) -> bool:
    inside = sum(max(0, min(e, mark.end) - max(s, mark.start)) for s, e, _ in found)
    return inside >= mark.end - mark.start


def _right(found: tuple[int, int, str], gold: Sequence[Mark]) -> bool:
    start, end, _ = found
    inside = sum(max(0, min(end, m.end) - max(start, m.start)) for m in gold)
    return inside > 0 and (end - start - inside) <= max(4, (end - start) // 2)
