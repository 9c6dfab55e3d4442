"""The 300 hand-labelled rows are whole, and the rules keep what they were measured at."""

import json
import sys
from collections import Counter
from pathlib import Path

from wardround import taxonomy

sys.path.insert(0, str(Path(__file__).parents[2] / "perf"))
import labelling

ROWS = [json.loads(line) for line in labelling.ROWS.read_text(encoding="utf-8").splitlines()]


def test_the_rows_are_whole() -> None:
    assert len(ROWS) == 300
    assert len({r["id"] for r in ROWS}) == 300
    assert {t for r in ROWS for t in r["tasks"]} == set(taxonomy.tasks())
    assert {r["specialty"] for r in ROWS} == {*taxonomy.specialties(), taxonomy.UNMAPPED}
    assert min(Counter(r["kind"] for r in ROWS).values()) >= 20
    assert sum(not r["tasks"] for r in ROWS) >= 40


def test_the_held_out_half_is_labelled_as_well_as_was_reported() -> None:
    found = labelling.measure([r for r in ROWS if r["part"] == "held_out"])
    tasks = found["tasks"]["rules"]["all"]
    assert tasks["precision"] >= 0.95 and tasks["recall"] >= 0.90
    both = found["tasks"]["rules and classifier"]["all"]
    assert both["recall"] >= tasks["recall"]
    specialties = found["specialties"]["words alone"]["all"]
    assert specialties["precision"] >= 0.88 and specialties["recall"] >= 0.84
