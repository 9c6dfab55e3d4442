"""Events as people read them: what an event is about by its name, fields and values in words, both languages.

What has no words (settings, whole tasks, sample outputs) is given as JSON, for the page to fold away. The exports of
the log are not touched by any of this: they hold what was recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from wardround import taxonomy
from wardround.records import Record
from wardround.report.formats import origin_names
from wardround.review import opening
from wardround.review.study import FINAL, ITEM_STATES, StudyConfig
from wardround.review.tables import item, member, study, version
from wardround.store.people import user
from wardround.survey.design import STAGES
from wardround.survey.tables import survey, task
from wardround.web import study_words, trail
from wardround.web.accounts import ROLE_NAMES
from wardround.web.sessions import Person
from wardround.web.words import pair, t

ENTITIES: dict[str, tuple[str, str]] = {
    "item": ("题目", "item"),
    "study": ("评审", "study"),
    "user": ("账号", "account"),
    "survey": ("需求调查", "survey"),
    "survey_task": ("调查任务", "survey task"),
    "survey_addition": ("补充的任务", "task added by a doctor"),
}
"""What an event may be about → Chinese and English name."""
FIELDS: dict[str, tuple[str, str]] = {
    "review": ("评分编号", "review"),
    "assignment": ("名额编号", "slot"),
    "round": ("轮次", "round"),
    "scores": ("评分", "scores"),
    "comment": ("意见", "comment"),
    "status": ("状态", "state"),
    "strikes": ("未一致次数", "strikes"),
    "version_id": ("稿", "version"),
    "decision": ("裁定", "decision"),
    "job": ("模型任务", "model job"),
    "jobs": ("模型任务数", "model jobs"),
    "try": ("第几次", "try"),
    "tries": ("已试次数", "tries"),
    "error": ("错误", "error"),
    "model": ("模型", "model"),
    "replies": ("模型回复", "replies"),
    "user": ("人员", "person"),
    "planned_for": ("分给", "planned for"),
    "items": ("条目数", "items"),
    "given": ("分出名额", "slots given"),
    "left": ("剩余名额", "slots left"),
    "due_at": ("下次执行", "due"),
    "at": ("时间", "at"),
    "config": ("设置", "settings"),
    "samples": ("示例输出", "sample outputs"),
    "task_id": ("归入的任务", "merged into"),
    "key": ("代号", "id"),
    "zh": ("中文名", "Chinese name"),
    "en": ("英文名", "English name"),
    "phase": ("阶段", "phase"),
    "definition": ("定义", "definition"),
    "takes": ("输入", "takes"),
    "origin": ("来历", "origin"),
    "instruction": ("指令", "instruction"),
    "wordings": ("其他说法", "other wordings"),
    "example_zh": ("中文示例", "example, Chinese"),
    "example_en": ("英文示例", "example, English"),
    "kind": ("种类", "kind"),
    "replaced": ("停用旧链接", "links replaced"),
    "file": ("文件", "file"),
    "new": ("新增", "new"),
    "known": ("已有", "known"),
    "aside": ("搁置", "set aside"),
    "full": ("含全部文字", "with all words"),
    "answers": ("答卷数", "answers"),
}
"""Fields of the rooms' events; an area names its own in `FIELDS`."""
STATES: dict[str, tuple[str, str]] = {
    "draft": ("筹备中", "in preparation"),
    "open": ("进行中", "open"),
    "closed": ("已结束", "closed"),
}
VALUES: dict[str, dict[str, tuple[str, str]]] = {
    "decision": study_words.DECISIONS,
    "stage": STAGES,
    "state": {
        "open": ("待处理", "open"),
        "merged": ("已归入", "merged"),
        "rejected": ("不采纳", "rejected"),
    },
    "replies": {"ok": ("可以读取", "could be read"), "failed": ("没有回复", "no reply")}
    | study_words.CODES,
    "by": {"password": ("密码", "password")},
    "roles": ROLE_NAMES,
    "takes": {"case": ("病例", "a case"), "query": ("问题", "a question")},
    "kind": {"proposed": ("预先提出", "proposed"), "grouped": ("由补充归并", "grouped from added ones")},
}  # fmt: skip
"""Field → value → names, where a field means the same in every event."""
_TIMES = ("due_at", "at", "lease_until")
_PEOPLE = ("user", "planned_for")


class Subject(Record, frozen=True, kw_only=True):
    """What an event is about. `href` "" where this person may not see it, or there is no page for it."""

    kind: str
    name: str
    href: str = ""
    study: str = ""
    study_href: str = ""


class Known:
    """What the numbers in some events stand for, read at once."""

    def __init__(self, conn: Connection, rows: Sequence[Row[Any]], reader: Person) -> None:
        def ids(entity: str) -> set[int]:
            return {int(r.entity_id) for r in rows if r.entity == entity and _number(r.entity_id)}

        said = [s for r in rows for s in (r.before, r.after) if isinstance(s, dict)]
        numbers = {k: {v for s in said if isinstance(v := s.get(k), int)} for k in ("version_id", *_PEOPLE, "task_id")}  # fmt: skip
        self.reader = reader
        self.items = _rows(conn, item, ids("item"), "key", "study_id", "status")
        studies = ids("study") | {r.study_id for r in rows if r.study_id}
        self.studies = _rows(conn, study, studies, "slug", "config", "status")
        self.configs = {k: opening.read_config(r.config) for k, r in self.studies.items()}
        self.versions = _rows(conn, version, numbers["version_id"], "number")
        people = ids("user").union(*(numbers[k] for k in _PEOPLE))
        self.people = _rows(conn, user, people, "display")
        self.tasks = _rows(conn, task, ids("survey_task") | numbers["task_id"], "body", "survey_id")
        self.surveys = _rows(conn, survey, ids("survey") | {r.survey_id for r in self.tasks.values()}, "slug", "config")  # fmt: skip
        mine = select(member.c.study_id).where(member.c.user_id == reader.id, member.c.active)
        self.blind = set(conn.execute(mine).scalars())

    def subject(self, row: Row[Any]) -> Subject:
        """What one of them is about."""
        kind = pair(ENTITIES[row.entity]) if row.entity in ENTITIES else row.entity
        number = int(row.entity_id) if _number(row.entity_id) else 0
        name, href = self._named(row.entity, number)
        found = self.studies.get(row.study_id)
        above = found if found is not None and row.entity != "study" else None
        return Subject(
            kind=kind, name=name or row.entity_id, href=href,
            study=self.configs[row.study_id].title if above else "",
            study_href=f"/studies/{above.slug}" if above else "",
        )  # fmt: skip

    def _named(self, entity: str, number: int) -> tuple[str, str]:
        if entity == "item" and number in self.items:
            one = self.items[number]
            return one.key, self._story(one, number)
        if entity == "study" and number in self.studies:
            return self.configs[number].title, f"/studies/{self.studies[number].slug}"
        if entity == "user" and number in self.people:
            return self.people[number].display, f"/admin/people/{number}" if self.reader.has("admin") else ""  # fmt: skip
        if entity == "survey" and number in self.surveys:
            one = self.surveys[number]
            return _title(one.config), f"/survey/{one.slug}"
        if entity == "survey_task" and number in self.tasks:
            one = self.tasks[number]
            return self._task(number), f"/survey/{self.surveys[one.survey_id].slug}/tasks"
        return "", ""

    def _story(self, one: Any, number: int) -> str:
        """The item's page, unless this person reviews in its study and may still get it."""
        found = self.studies.get(one.study_id)
        if found is None:
            return ""
        settled = found.status != "open" or one.status in ("panel", *FINAL)
        return f"/studies/{found.slug}/items/{number}" if settled or one.study_id not in self.blind else ""  # fmt: skip

    def _task(self, number: int) -> str:
        body = self.tasks[number].body
        return t(body.get("zh", ""), body.get("en") or body.get("zh", ""))

    def changes(self, row: Row[Any], named: Mapping[str, tuple[str, str]]) -> list[trail.Change]:
        """What an event changed, in words. `named`: what the areas call fields."""
        config = self.configs.get(row.study_id) if row.study_id else None
        before, after = (_flat(state) for state in (row.before, row.after))
        found = []
        for field in [*before, *(k for k in after if k not in before)]:
            a, b = before.get(field), after.get(field)
            if a == b:
                continue
            if _structured(a) or _structured(b):
                found.append(trail.change(self._field(field, config, named), trail.text_of(a), trail.text_of(b), folded=True))  # fmt: skip
                continue
            old, new = (self._value(row.entity, field, v, config) for v in (a, b))
            if old != new:
                found.append(trail.change(self._field(field, config, named), old, new))
        return found

    def _field(
        self, field: str, config: StudyConfig | None, named: Mapping[str, tuple[str, str]]
    ) -> str:
        name, _, part = field.partition(".")
        if name == "scores" and part:
            return study_words.field_name(config, part) if config else part
        names = FIELDS.get(field) or named.get(field)
        return pair(names) if names else field

    def _value(self, entity: str, field: str, value: Any, config: StudyConfig | None) -> str:
        if value is None or value == "":
            return ""
        if isinstance(value, bool):
            return t("是", "yes") if value else t("否", "no")
        if isinstance(value, list):
            return t("、", ", ").join(self._value(entity, field, v, config) for v in value)
        if field.startswith("scores.") and config:
            return study_words.level_name(config, field.partition(".")[2], value)
        if isinstance(value, int):
            return self._numbered(field, value)
        return _worded(entity, field, str(value))

    def _numbered(self, field: str, value: int) -> str:
        if field == "version_id" and value in self.versions:
            number = self.versions[value].number
            return t(f"第 {number} 稿", f"version {number}")
        if field in _PEOPLE and value in self.people:
            return str(self.people[value].display)
        if field == "task_id" and value in self.tasks:
            return self._task(value)
        if field in _TIMES:
            return datetime.fromtimestamp(value / 1000).astimezone().strftime("%Y-%m-%d %H:%M")
        return str(value)


def _worded(entity: str, field: str, value: str) -> str:
    """A text value; an error keeps its own words behind what kind of error it is."""
    if field == "status":
        names = ITEM_STATES if entity == "item" else STATES
        return pair(names[value]) if value in names else value
    if field == "error":
        return "".join(study_words.job_error(value))
    if field == "specialties":
        return study_words.specialty(value)
    if field == "origin":
        return pair(origin_names(value))
    if field == "phase":
        return next((t(p.zh, p.en) for p in taxonomy.items("phases") if p.id == value), value)
    names = VALUES.get(field, {})
    return pair(names[value]) if value in names else value


def _flat(state: Any) -> dict[str, Any]:
    """A state's fields; the scores one by one."""
    if not isinstance(state, dict):
        return {} if state is None else {"": state}
    found: dict[str, Any] = {}
    for key, value in state.items():
        if key == "scores" and isinstance(value, dict):
            found |= {f"scores.{k}": v for k, v in value.items()}
        else:
            found[key] = value
    return found


def _structured(value: Any) -> bool:
    """Whether a value can only be shown as JSON."""
    return isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(v, dict | list) for v in value)
    )


def _title(config: Mapping[str, Any]) -> str:
    return t(str(config["title_zh"]), str(config.get("title_en") or config["title_zh"]))


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 18


def _rows(conn: Connection, table: Table, ids: Iterable[int], *columns: str) -> dict[int, Any]:
    """Rows by id, of those that are there still."""
    wanted = sorted(ids)
    if not wanted:
        return {}
    picked = select(table.c.id, *(table.c[c] for c in columns)).where(table.c.id.in_(wanted))
    return {r.id: r for r in conn.execute(picked)}


def studies(conn: Connection) -> list[tuple[int, str]]:
    """(id, title) of all studies, the newest first."""
    rows = conn.execute(select(study.c.id, study.c.config).order_by(study.c.id.desc()))
    return [(r.id, opening.read_config(r.config).title) for r in rows]
