"""What a run's requests took, model by model: from its manifest, or of an unfinished run from its journal.

A cost stands only where it is known. Of an unfinished run it is what counted against the cap so far, for which a
request whose tokens were not told counts as its worst case.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from wardround.records import Answer, Record
from wardround.report.formats import Names, count, money
from wardround.report.reading import Source

JOURNAL = "journal.jsonl"
COLUMNS = (
    Names("请求", "requests"),
    Names("取自缓存", "cached"),
    Names("输入 token", "tokens in"),
    Names("输出 token", "tokens out"),
    Names("花费", "cost"),
)


class Account(Record, frozen=True, kw_only=True):
    """One model's sums; `cost` None where no price was known."""

    name: str
    requests: float = 0.0
    cached: float = 0.0
    tokens_in: float = 0.0
    tokens_out: float = 0.0
    tokens_untold: float = 0.0
    cost: float | None = None

    def cells(self) -> list[str]:
        """What stands under `COLUMNS`."""
        sums = (self.requests, self.cached, self.tokens_in, self.tokens_out)
        return [*map(count, sums), money(self.cost)]


class _Line(msgspec.Struct, frozen=True):
    v: Answer | None = None


def accounts(source: Source) -> list[Account]:
    """One for each model and judge that was asked, by name."""
    if source.manifest is not None:
        return _told(source.manifest.cost)
    return _counted(source) if source.has(JOURNAL) else []


def _told(cost: Mapping[str, float]) -> list[Account]:
    """From sums named "MODEL: requests", "MODEL: cost" and so on."""
    found: dict[str, dict[str, float]] = {}
    for key, value in cost.items():
        name, apart, field = key.rpartition(": ")
        if apart and field in Account.__struct_fields__:
            found.setdefault(name, {})[field] = value
    return [msgspec.convert({"name": n, **sums}, Account) for n, sums in sorted(found.items())]


def _counted(source: Source) -> list[Account]:
    """From the replies in the journal; a last line that was cut off is left out."""
    sums: dict[str, dict[str, float]] = {}
    with open(source.path / JOURNAL, "rb") as f:
        for line in f:
            try:
                answer = msgspec.json.decode(line, type=_Line).v
            except msgspec.DecodeError:
                continue
            if answer is None:
                continue
            account = sums.setdefault(answer.model, dict.fromkeys(("requests", "cached"), 0.0))
            account["cached" if answer.cached else "requests"] += 1
            if answer.charged:
                account["cost"] = account.get("cost", 0.0) + answer.charged
            if answer.status == "ok" and not answer.cached:
                for field in ("tokens_in", "tokens_out"):
                    account[field] = account.get(field, 0.0) + (getattr(answer, field) or 0)
    return [msgspec.convert({"name": n, **found}, Account) for n, found in sorted(sums.items())]
