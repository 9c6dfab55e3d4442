"""What `wardround.records` promises of all types at once; what single ones promise stands where they are used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FIRST_AT_ONCE = """
import sys, threading
import msgspec
from wardround.review.forms import rationale_form
from wardround.review.study import StudyConfig

stored = {"kind": "rationale", "title": "x", "form": msgspec.to_builtins(rationale_form())}
PREPARED
sys.setswitchinterval(1e-6)
gate = threading.Barrier(8)

def meet():
    gate.wait(30)
    msgspec.convert(stored, StudyConfig)

threads = [threading.Thread(target=meet) for _ in range(8)]
for t in threads:
    t.start()
for t in threads:
    t.join()
"""
ALONE = "from wardround.records import complete_types; complete_types()"
SERVED = """
from wardround.store.database import open_store
from wardround.web.app import create_app
create_app(open_store(sys.argv[1]))
"""


@pytest.mark.parametrize("prepared", [ALONE, SERVED], ids=["alone", "served"])
def test_threads_that_are_the_first_to_use_a_type_do_not_end_the_process(
    prepared: str, tmp_path: Path
) -> None:
    """msgspec lays types out without a lock: without `complete_types` every other run of this ends with SIGSEGV."""
    if prepared is SERVED:
        pytest.importorskip("fastapi")
    code = FIRST_AT_ONCE.replace("PREPARED", prepared)
    for _ in range(4):
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", code, str(tmp_path / "people.db")],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
