"""The header rules beside models in cxr_quality: a baseline that says where it has nothing to say.

All faults of the list lie in the pixels, and a header can't show any of them, not even a missing side marker: that a file
tells left from right doesn't put a letter on the film. So the rules' row has no figures, which is not zero. What they can
tell is a matter of its own, given by rule over the pictures that had a header.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from wardround import taxonomy
from wardround.benchmarks.label_tables import detail
from wardround.benchmarks.record import Column, RunRecord, Table
from wardround.images.headers import RULES
from wardround.images.labels import LISTS
from wardround.metrics.bootstrap import cluster_mean

BASELINE = "头信息规则（基线）：不适用 / Header rules (baseline): not applicable"


def with_headers(tables: Sequence[Table], records: Sequence[RunRecord], seed: int) -> list[Table]:
    """`tables` with the baseline's row in those of faults, and the table of header findings at the end."""
    judged = {r.unit: detail(r)["header"] for r in records if "header" in detail(r)}
    pictures = len({r.unit for r in records})
    found = [
        msgspec.structs.replace(t, rows=(*t.rows, {t.columns[0].key: BASELINE}))
        if t.id in ("modality", "labels_cxr", "clean")
        else t
        for t in tables
    ]
    return [*found, _findings(judged, pictures, seed)]


def _findings(judged: dict[str, list[str]], pictures: int, seed: int) -> Table:
    """One row a rule that was broken, the most often broken first; with the first row, any rule."""
    units = sorted(judged)

    def row(name: str, broken: list[bool]) -> dict[str, object]:
        if not broken:
            return {"rule": name, "judged": 0}
        share = cluster_mean([[float(b)] for b in broken], seed=seed)
        return {"rule": name, "judged": len(broken), "broken": sum(broken), "share": share}

    counts = {rule: [rule in judged[u] for u in units] for rule in RULES}
    often = sorted((r for r in RULES if any(counts[r])), key=lambda r: (-sum(counts[r]), r))
    rows = [
        row("任一规则 / any rule", [bool(judged[u]) for u in units]),
        *(row(" / ".join(RULES[rule]), counts[rule]) for rule in often),
    ]
    faults = len(taxonomy.items(LISTS["cxr"]))
    return Table(
        id="headers", zh="头信息规则", en="Header rules", rows=tuple(rows),
        columns=(
            Column(key="rule", zh="规则", en="Rule"),
            Column(key="judged", zh="有头信息的图像", en="Pictures with a header", kind="count"),
            Column(key="broken", zh="不合规则", en="Rule broken", kind="count"),
            Column(key="share", zh="比例", en="Share", kind="estimate"),
        ),
        note_zh=f"不用模型，只读DICOM头信息；{pictures}张图像中{len(units)}张有头信息。{faults}项质量问题都在像素里，头信息判断不了"
        "（左右标识也是：文件里有方位，不等于片上有标识），因此不计得分，也不记为零。",
        note_en=f"No model: the DICOM header alone, which {len(units)} of {pictures} pictures had. All {faults} faults lie in "
        "the pixels, where a header can't show them (nor a missing side marker: a side in the file is none on the film), so "
        "there is no score, and no zero either.",
    )  # fmt: skip
