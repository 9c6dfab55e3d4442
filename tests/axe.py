"""Asks axe-core, in the browser, what is wrong with a page for people who see, hear or move differently.

    from tests.axe import problems
    assert problems(page) == []

axe-core comes from npm (tests/e2e/package.json; `make test` fetches it). Without it the test is skipped.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parent / "e2e" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


def problems(page: Any, rules: tuple[str, ...] = RULES) -> list[str]:
    """What breaks WCAG 2.2 A and AA on a Playwright page, or axe's own good practice: one line for each element.

    What axe can't decide (text on a picture, say) isn't among them.
    """
    # By the debugger, not as a script of the page: its security policy would refuse that, and should.
    page.evaluate(_source())
    found = page.evaluate(
        "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}, resultTypes: ['violations']})",
        list(rules),
    )
    assert found["passes"], "axe looked at nothing"
    return [
        f"{v['id']} ({v['impact']}): {v['help']}: {' '.join(map(str, n['target']))}: {n['html'][:200]}"
        for v in found["violations"]
        for n in v["nodes"]
    ]


@lru_cache
def _source() -> str:
    if not SOURCE.exists():
        pytest.skip("axe-core is not there: npm ci --prefix tests/e2e --ignore-scripts")
    return SOURCE.read_text(encoding="utf-8")
