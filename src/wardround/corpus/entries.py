"""An encyclopedia entry's lists, kept to what they are lists of.

Lists gathered from web pages hold what does not belong there: names of people among the symptoms, the names of
processes and of other diseases, one finding said twice (啰音, 湿啰音), laboratory substances among the examinations, pack
sizes among the drugs. A sample tells a doctor "the patient presents with …", so only what can be found in
a patient stays. The marks are data (cues.yaml, `lists`). An item is only ever left out, never changed, and the
document keeps the whole list.
"""

from __future__ import annotations

from wardround.corpus.cues import Mark, cues
from wardround.corpus.template import Value, items_of
from wardround.corpus.text import bare

ENOUGH = 3
"""Items that a case must have; a list is not made shorter than that for the sake of style."""


def kept(name: str, value: Value, title: str = "") -> Value:
    """A field's items without those that are not what the field is named for; other fields as they are. Of symptoms those
    go too that the disease's name, the `title`, ends with: 呼吸衰竭 is no symptom of 急性呼吸衰竭."""
    mark = cues().lists.get(name)
    if mark is None or not value:
        return value
    whole = title if name == "symptom" else ""
    return _whole(
        [i for i in items_of(value) if _is(bare(i), mark) and not whole.endswith(bare(i))]
    )


def _is(item: str, mark: Mark) -> bool:
    if mark.avoids is not None and mark.avoids.search(item):
        return False
    return mark.holds is None or mark.holds.search(item) is not None


def _whole(items: list[str]) -> tuple[str, ...]:
    """The items without those said again as a part of another, in their order, if enough are left."""
    distinct = tuple(dict.fromkeys(items))
    left = tuple(i for i in distinct if not any(i != other and i in other for other in distinct))
    return left if len(left) >= ENOUGH else distinct
