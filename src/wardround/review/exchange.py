"""Items and ratings to and from Label Studio and Potato, by file.

    Label Studio  config.xml, tasks.json (with annotations where ratings are sent along); its JSON export comes back
    Potato        config.yaml, items.jsonl; a folder of annotators with annotated_instances.jsonl (1.x) or
                  user_state.json (2.x) comes back; marked stretches aren't carried

An item goes out as reviewers see it here: nothing that is hidden from them. The content is one text, each part under
its name; `parts` says where each begins, so that a stretch marked there is found again in its part. Label Studio
counts UTF-16 units, we count characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any
from xml.etree import ElementTree as Xml

from msgspec import structs

from wardround.errors import InputError
from wardround.records import Record
from wardround.review.study import Field, Level, Part, Span, StudyConfig

COMMENT, FAULT = "comment", "fault"


class Sent(Record, frozen=True, kw_only=True):
    """An item on its way out."""

    key: str
    body: tuple[Part, ...]
    content: tuple[Part, ...]


class Rating(Record, frozen=True, kw_only=True):
    """One rating as the other tool has it: who, of which item, the scores by field. `unread`: why it can't be read."""

    key: str
    rater: str
    scores: dict[str, Any]
    comment: str = ""
    spans: tuple[Span, ...] = ()
    seconds: float = 0.0
    unread: str = ""


def text_of(parts: Sequence[Part]) -> tuple[str, list[tuple[str, int]]]:
    """The parts as one text, and where each part's own text begins in it."""
    text, places = "", []
    for part in parts:
        name = part.zh or part.en
        head = f"【{name}】\n" if name else ""
        text += ("\n\n" if text else "") + head
        places.append((part.id, len(text)))
        text += part.text
    return text, places


# -- Label Studio -------------------------------------------------------------------------------------------


def labeling_config(config: StudyConfig) -> str:
    """The labeling interface: the item, one choice a field, marks and a comment."""
    view = Xml.Element("View")
    Xml.SubElement(view, "Header", value=config.title)
    Xml.SubElement(view, "Text", name="body", value="$body")
    marks = Xml.SubElement(view, "Labels", name=FAULT, toName="content")
    Xml.SubElement(marks, "Label", value="有误 fault", alias=FAULT)
    Xml.SubElement(view, "Text", name="content", value="$content")
    for field in config.form:
        Xml.SubElement(view, "Header", value=f"{field.zh} {field.en}".strip())
        control = Xml.SubElement(
            view, "Choices", name=field.id, toName="content", showInline="true",
            choice="multiple" if field.kind == "labels" else "single-radio",
            required="true" if field.required else "false",
        )  # fmt: skip
        for level in field.levels:
            hint = level.anchor_zh or level.zh
            Xml.SubElement(control, "Choice", value=str(level.value), hint=hint)
    Xml.SubElement(view, "TextArea", name=COMMENT, toName="content", rows="4")
    Xml.indent(view)
    return Xml.tostring(view, encoding="unicode") + "\n"


def label_studio_tasks(
    config: StudyConfig, items: Iterable[Sent], ratings: Iterable[Rating] = ()
) -> Iterator[dict[str, Any]]:
    """A task an item; `ratings` go along as annotations.

    Label Studio takes a `completed_by` only where it has that account, and without one says that whoever imports did
    them all. So who rated is in the task's `data.raters`, by the annotation's number, which it keeps as `import_id`.
    """
    of: dict[str, list[tuple[int, Rating]]] = {}
    for number, rating in enumerate(ratings, 1):
        of.setdefault(rating.key, []).append((number, rating))
    for item in items:
        text, places = text_of(item.content)
        data: dict[str, Any] = {
            "id": item.key,
            "body": text_of(item.body)[0],
            "content": text,
            "parts": places,
        }
        given = of.get(item.key, ())
        if given:
            data["raters"] = {str(number): r.rater for number, r in given}
        found = [_annotation(config, n, r, text, dict(places)) for n, r in given]
        yield {"data": data} | ({"annotations": found} if found else {})


def _annotation(
    config: StudyConfig, number: int, rating: Rating, text: str, places: Mapping[str, int]
) -> dict[str, Any]:
    results: list[dict[str, Any]] = []

    def result(name: str, kind: str, value: dict[str, Any]) -> None:
        results.append(
            {
                "id": f"{number}-{len(results)}", "from_name": name, "to_name": "content",
                "type": kind, "origin": "manual", "value": value,
            }
        )  # fmt: skip

    for field in config.form:
        given = rating.scores.get(field.id)
        if given is not None and given != []:
            values = given if isinstance(given, list) else [given]
            result(field.id, "choices", {"choices": [str(v) for v in values]})
    for span in rating.spans:
        start, end = (places[span.part] + n for n in (span.start, span.end))
        units = {"start": _units(text[:start]), "end": _units(text[:end])}
        result(FAULT, "labels", {**units, "text": text[start:end], "labels": [FAULT]})
        if span.note:
            results[-1]["meta"] = {"text": [span.note]}
    if rating.comment:
        result(COMMENT, "textarea", {"text": [rating.comment]})
    return {
        "id": number, "result": results, "lead_time": rating.seconds, "was_cancelled": False,
        "ground_truth": False,
    }  # fmt: skip


def _units(text: str) -> int:
    """How many UTF-16 units a text has."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _characters(text: str, units: int) -> int:
    """How many characters the first `units` UTF-16 units are."""
    return len(text.encode("utf-16-le", "surrogatepass")[: 2 * units].decode("utf-16-le", "ignore"))


def read_label_studio(
    rows: Iterable[Mapping[str, Any]], config: StudyConfig, path: str
) -> Iterator[Rating]:
    """The ratings of an export (JSON). Cancelled annotations are none; one that can't be read says so.

    `InputError` for what is no export of a project that was made from our tasks.
    """
    for number, row in enumerate(rows, start=1):
        data = row.get("data")
        key = data.get("id") if isinstance(data, Mapping) else None
        if not isinstance(data, Mapping) or not isinstance(key, str):
            raise InputError(
                "a task without data.id", path=path, row=number,
                hint="export the project as JSON, from tasks that were written here",
            )  # fmt: skip
        for annotation in row.get("annotations") or ():
            who = ""
            try:
                if annotation.get("was_cancelled"):
                    continue
                who = _who(data, annotation)
                yield _studio_rating(key, data, annotation, config)
            except (AttributeError, KeyError, TypeError, ValueError, IndexError) as e:
                yield _unread(key, who, path, number, e)


def _unread(key: str, rater: str, path: str, number: int, why: Exception) -> Rating:
    """A rating that is there but makes no sense: it is listed, and costs none of the others."""
    told = f"has no {why}" if isinstance(why, KeyError) else str(why)
    reason = f"{path}, row {number}: can't be read: {told}"
    return Rating(key=key, rater=rater, scores={}, unread=reason)


def _studio_rating(
    key: str, data: Mapping[str, Any], annotation: Mapping[str, Any], config: StudyConfig
) -> Rating:
    fields = {f.id: f for f in config.form}
    scores: dict[str, Any] = {}
    spans, comments = [], []
    for one in annotation.get("result") or ():
        name, value = one.get("from_name"), one["value"]
        if name in fields:
            given = value["choices"] if "choices" in value else [value["rating"]]
            scores[name] = _value(fields[name], given)
        elif name == COMMENT:
            comments += value["text"] if isinstance(value["text"], list) else [value["text"]]
        elif name == FAULT:
            note = " ".join((one.get("meta") or {}).get("text", []))
            spans.append(_span(data, value, note))
    return Rating(
        key=key, rater=_who(data, annotation), scores=scores,
        comment="\n".join(comments), spans=tuple(spans),
        seconds=float(annotation.get("lead_time") or 0.0),
    )  # fmt: skip


def _who(data: Mapping[str, Any], annotation: Mapping[str, Any]) -> str:
    """Whose rating it is: of one that went along from here whoever it was, else who was logged in."""
    given = annotation.get("completed_by")
    number = annotation.get("id") if given is None else annotation.get("import_id")
    if (rater := (data.get("raters") or {}).get(str(number))) is not None:
        return str(rater)
    if isinstance(given, Mapping):
        given = given.get("email") or given.get("username") or given.get("id")
    return "" if given is None else str(given)


def _span(data: Mapping[str, Any], value: Mapping[str, Any], note: str) -> Span:
    """A stretch of the whole text as one of the first part whose words it takes in; what reaches beyond is cut off. One of
    a part's name alone stands for the part."""
    text = data["content"]
    start, end = _characters(text, int(value["start"])), _characters(text, int(value["end"]))
    places = [(str(part), int(at)) for part, at in data["parts"]]
    begins = [at for _, at in places]
    # After a part comes an empty line, then perhaps the name of the next.
    ends = [*(text.rfind("\n\n", 0, at) for at in begins[1:]), len(text)]
    own = [(part, at, stop) for (part, at), stop in zip(places, ends, strict=True) if at < stop]
    for part, at, stop in own:
        if start < stop and end > at:
            return Span(part=part, start=max(start, at) - at, end=min(end, stop) - at, note=note)
    part, at, stop = next((p for p in own if p[1] >= end), own[-1])
    return Span(part=part, start=0, end=stop - at, note=note)


def _value(field: Field, given: Sequence[object]) -> Any:
    """The field's own values for what the other tool wrote."""
    known = {str(level.value): level.value for level in field.levels}
    known |= {name: level.value for level in field.levels for name in (level.zh, level.en) if name}
    found = []
    for one in given:
        text = str(int(one)) if isinstance(one, float) and one.is_integer() else str(one)
        if text not in known:
            raise ValueError(f"{field.id} has no level {text!r}")
        found.append(known[text])
    if field.kind == "labels":
        return found
    if len(found) != 1:
        raise ValueError(f"{field.id} has {len(found)} values")
    return found[0]


# -- Potato -------------------------------------------------------------------------------------------------


def potato_items(items: Iterable[Sent]) -> Iterator[dict[str, str]]:
    """A row an item. Potato shows `text` as HTML, so every character of ours is made inert."""
    for item in items:
        whole = f"{text_of(item.body)[0]}\n\n{text_of(item.content)[0]}"
        yield {"id": item.key, "text": escape(whole).replace("\n", "<br>")}


def potato_config(config: StudyConfig) -> dict[str, Any]:
    """Its settings: one scheme a field and a comment. What a level means is shown at the level (2.x) and as its
    tooltip; likert scales have no place for it, so a scale with anchors goes out as a choice."""
    schemes = [_scheme(f) for f in config.form]
    schemes.append(
        {
            "annotation_type": "text",
            "name": COMMENT,
            "description": "意见 comment",
            "textarea": {"on": True},
        }
    )
    return {
        "annotation_task_name": config.title,
        "task_dir": ".",
        "site_dir": "default",
        "output_annotation_dir": "annotation_output",
        "output_annotation_format": "jsonl",
        "data_files": ["items.jsonl"],
        "item_properties": {"id_key": "id", "text_key": "text"},
        "num_annotators_per_item": config.raters,
        "assignment_strategy": "random",
        "require_password": False,
        "annotation_schemes": schemes,
    }


def _scheme(field: Field) -> dict[str, Any]:
    values = [level.value for level in field.levels]
    about = {"name": field.id, "description": f"{field.zh} {field.en}".strip()}
    if field.required:
        about["label_requirement"] = {"required": True}  # type: ignore[assignment]
    labels = [_label(level) for level in field.levels]
    if field.kind == "labels":
        return about | {"annotation_type": "multiselect", "labels": labels}
    plain = not any(isinstance(label, dict) for label in labels)
    if plain and field.kind == "scale" and values == list(range(1, len(values) + 1)):
        ends = {"min_label": str(values[0]), "max_label": str(values[-1])}
        return about | {"annotation_type": "likert", "size": len(values), **ends}
    return about | {"annotation_type": "radio", "labels": labels}


def _label(level: Level) -> str | dict[str, str]:
    """A level under its value, which is what is stored; with its name and anchor where it has any."""
    value = str(level.value)
    names = dict.fromkeys(n for n in (level.zh, level.en) if n and n != value)
    anchors = dict.fromkeys(a for a in (level.anchor_zh, level.anchor_en) if a)
    if not names and not anchors:
        return value
    shown = " ".join(names) or value
    told = f"{shown}：{next(iter(anchors))}" if anchors else shown
    return {"name": value, "displayed_label": told, "tooltip": "\n".join(anchors or names)}


def potato_states(config: StudyConfig, ratings: Iterable[Rating]) -> Iterator[dict[str, Any]]:
    """user_state.json (2.x) of each rater: what Potato reads when it starts, so that they go on where they were."""
    of: dict[str, list[Rating]] = {}
    for rating in ratings:
        of.setdefault(rating.rater, []).append(rating)
    for who, rated in of.items():
        yield {
            "user_id": who, "instance_id_ordering": [r.key for r in rated],
            "current_phase_and_page": ("annotation", None),
            "instance_id_to_label_to_value": {r.key: [*_labelled(config, r)] for r in rated},
            "instance_id_to_behavioral_data": {
                r.key: {"instance_id": r.key, "total_time_ms": round(r.seconds * 1000)} for r in rated
            },
        }  # fmt: skip


def _labelled(config: StudyConfig, rating: Rating) -> Iterator[tuple[dict[str, str], str]]:
    for field in config.form:
        mark = "scale_" if _scheme(field)["annotation_type"] == "likert" else ""
        given = rating.scores.get(field.id)
        values = given if isinstance(given, list) else [given]
        for value in values:
            if value is not None:
                yield {"schema": field.id, "name": f"{mark}{value}"}, str(value)
    if rating.comment:
        yield {"schema": COMMENT, "name": "text_box"}, rating.comment


def read_potato(
    rows: Iterable[Mapping[str, Any]], rater: str, config: StudyConfig, path: str
) -> Iterator[Rating]:
    """The ratings of one annotator's annotated_instances.jsonl (1.x)."""
    for number, row in enumerate(rows, start=1):
        labels = row.get("label_annotations")
        if not isinstance(row.get("id"), str | int) or not isinstance(labels, Mapping):
            raise InputError("no row of annotated_instances.jsonl", path=path, row=number)
        yield _potato_rating(str(row["id"]), rater, labels, config, path, number)


def read_potato_state(state: Mapping[str, Any], config: StudyConfig, path: str) -> Iterator[Rating]:
    """The ratings of one annotator's user_state.json (2.x)."""
    found = state.get("instance_id_to_label_to_value")
    if not isinstance(found, Mapping):
        raise InputError("no user_state.json", path=path)
    spent = state.get("instance_id_to_behavioral_data")
    for number, (key, pairs) in enumerate(found.items(), start=1):
        labels: dict[str, dict[str, Any]] = {}
        rater = str(state.get("user_id", ""))
        try:
            for label, value in pairs:
                labels.setdefault(str(label["schema"]), {})[str(label["name"])] = value
        except (KeyError, TypeError, ValueError) as e:
            yield _unread(str(key), rater, path, number, e)
            continue
        rating = _potato_rating(str(key), rater, labels, config, path, number)
        yield structs.replace(rating, seconds=_seconds(spent, key))


def _seconds(spent: Any, key: str) -> float:
    """What Potato measured; 0 where it didn't, or says something else."""
    told = spent.get(key) if isinstance(spent, Mapping) else None
    ms = told.get("total_time_ms") if isinstance(told, Mapping) else None
    return ms / 1000 if isinstance(ms, int | float) and ms > 0 else 0.0


def _potato_rating(
    key: str, rater: str, labels: Mapping[str, Any], config: StudyConfig, path: str, number: int
) -> Rating:
    scores: dict[str, Any] = {}
    try:
        for field in config.form:
            given = labels.get(field.id)
            if given:
                scores[field.id] = _value(field, [_chosen(field, n, v) for n, v in given.items()])
    except (AttributeError, TypeError, ValueError) as e:
        return _unread(key, rater, path, number, e)
    comment = "\n".join(str(v) for v in (labels.get(COMMENT) or {}).values() if v)
    return Rating(key=key, rater=rater, scores=scores, comment=comment)


def _chosen(field: Field, name: str, value: object) -> str:
    """A label's value where it is a level, else its name ("scale_4" and "4" are both 4)."""
    known = {str(level.value) for level in field.levels}
    known |= {x for level in field.levels for x in (level.zh, level.en)}
    for text in (str(value), name, name.rpartition("_")[2]):
        if text in known:
            return text
    return name
