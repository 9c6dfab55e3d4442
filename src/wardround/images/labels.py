"""Closed lists of picture labels and every name they go by, for files and for answers alike.

A name is compared folded: width, case, blanks and joining marks don't matter. One list belongs to each modality:
`fundus` and `oct` for the retina, `cxr` for faults of a chest X-ray, where an image without any fault is 无问题.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from wardround import taxonomy
from wardround.records import Record

LISTS = {"fundus": "fundus_labels", "oct": "oct_labels", "cxr": "cxr_faults"}
"""Modality → its list in the taxonomy."""
MODALITIES = {"fundus": ("眼底照相", "Fundus photograph"), "oct": ("OCT", "OCT B-scan"), "cxr": ("胸部X线片", "Chest X-ray")}  # fmt: skip
CLEAN = (
    "无问题", "无质量问题", "没有问题", "未见质量问题", "质量合格", "合格", "正常", "无", "none", "no fault", "no faults",
    "no problem", "no issue", "no issues", "no quality issue", "no quality issues", "normal", "clean",
)  # fmt: skip
"""What is said of a chest X-ray without a fault."""
CLEAN_ZH, CLEAN_EN = "无问题", "no fault"


class Names(Record, frozen=True, kw_only=True):
    """A list as names: `ids` in its order, `by_name` folded name → id, `clean` folded names for "none of these"."""

    ids: tuple[str, ...]
    by_name: dict[str, str]
    clean: frozenset[str] = frozenset()

    def id_of(self, text: str) -> str | None:
        """The label of that name; "" for none of these; None when the list has no such name."""
        key = fold(text)
        return "" if key in self.clean else self.by_name.get(key)


def fold(text: str) -> str:
    """Half-width, lower case, without blanks and joining marks."""
    return re.sub(r"[\s_\-‐–—·.]+", "", unicodedata.normalize("NFKC", text).casefold())


@cache
def names(modality: str) -> Names:
    """The names of a modality's list."""
    by_name: dict[str, str] = {}
    ids = []
    for item in taxonomy.items(LISTS[modality]):
        ids.append(item.id)
        aliases = item.aliases if isinstance(item, taxonomy.Label) else ()
        for name in (item.id, item.zh, item.en, *aliases):
            by_name.setdefault(fold(name), item.id)
    clean = frozenset(map(fold, CLEAN)) if modality == "cxr" else frozenset()
    return Names(ids=tuple(ids), by_name=by_name, clean=clean)


def shown(modality: str, label: str, language: str = "zh") -> str:
    """A label as people write it."""
    for item in taxonomy.items(LISTS[modality]):
        if item.id == label:
            return item.zh if language == "zh" else item.en
    return label
