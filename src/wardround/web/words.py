"""Two languages, one at a time: `t(zh, en)` picks that of the request, in Python and in every template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Literal, TypeVar

from wardround.errors import WardroundError

Lang = Literal["zh", "en"]
LANGS: tuple[Lang, ...] = ("zh", "en")
LANG: ContextVar[Lang] = ContextVar("wardround_lang", default="zh")
E = TypeVar("E", bound=WardroundError)


def t(zh: str, en: str) -> str:
    """The text in the language of this request."""
    return zh if LANG.get() == "zh" else en


def pair(names: Sequence[str]) -> str:
    """The same for a (Chinese, English) pair."""
    return t(names[0], names[1])


def lang_of(text: str | None) -> Lang | None:
    """A language from a cookie, a query or a preference; None for anything else."""
    return "zh" if text == "zh" else "en" if text == "en" else None


def said(kind: type[E], zh: str, en: str) -> E:
    """An error with its text in both languages: `raise said(RefusedError, "…", "…")`."""
    error = kind(en)
    error.zh = zh  # type: ignore[attr-defined]
    return error


KNOWN: list[tuple[re.Pattern[str], str]] = [
    (
        re.compile(r"was changed by someone else meanwhile"),
        "这一条刚被其他人改过，请重新打开；您写的内容已存为草稿。",
    ),
]
"""English text of errors from below → Chinese. An area adds its own with `translate`."""


def translate(pattern: str, zh: str) -> None:
    """Give errors whose English text matches `pattern` this Chinese text, in which \\1 stands for its first group."""
    KNOWN.append((re.compile(pattern), zh))


def message(error: WardroundError) -> str:
    """What an error says, in the language of this request; its hint is for the command line and left out."""
    if LANG.get() == "en":
        return error.message
    zh = getattr(error, "zh", None)
    if isinstance(zh, str):
        return zh
    found = ((pattern.search(error.message), text) for pattern, text in KNOWN)
    return next((match.expand(text) for match, text in found if match), error.message)


TITLES: dict[int, tuple[str, str]] = {
    400: ("请求有误", "That request was not understood"),
    401: ("请先登录", "Please log in"),
    403: ("没有权限", "Not allowed"),
    404: ("没有这个页面", "No such page"),
    405: ("不支持这种请求", "That is not possible here"),
    409: ("内容已有变化", "It has changed meanwhile"),
    413: ("内容太大", "That is too large"),
    422: ("填写有误", "Something was filled in wrongly"),
    429: ("尝试过于频繁", "Too many attempts"),
    500: ("服务器出错了", "Something went wrong here"),
    503: ("暂时无法处理", "Not possible right now"),
}
TEXTS: dict[int, tuple[str, str]] = {
    400: ("请返回上一页重试。", "Please go back and try again."),
    401: ("登录后即可继续。", "Log in to go on."),
    403: (
        "您的账号不能使用这个页面。需要的话请联系管理员。",
        "Your account can't use this page. Ask an administrator if you need it.",
    ),
    404: ("链接可能已失效，或地址有误。", "The link may be old, or mistyped."),
    405: ("请从页面上的按钮操作。", "Please use the buttons on the pages."),
    409: ("请重新打开这一页再试。", "Please open the page again."),
    413: ("请减少内容或换一个较小的文件。", "Please send less, or a smaller file."),
    422: ("请检查填写的内容。", "Please check what was filled in."),
    429: ("请稍后再试。", "Please try again later."),
    500: (
        "问题已记录，内容没有丢失。请稍后重试；如反复出现，请把时间告诉管理员。",
        "It has been recorded. Please try again; if it stays, tell an administrator the time.",
    ),
    503: ("请稍后再试。", "Please try again in a moment."),
}
"""HTTP status → what a person reads."""
NO_STORE = (
    "数据库暂时不能读写。已写在页面上的内容还在，请稍后再交一次。",
    "The database can't be read or written right now. What is on the page stays there; send it again in a moment.",
)
