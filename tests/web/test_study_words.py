"""The words and drawings of a study's pages."""

from __future__ import annotations

from datetime import datetime

import pytest

from wardround.web.study_words import moments


def _ms(*at: str) -> list[int]:
    return [round(datetime.fromisoformat(f"2026-11-{a}").timestamp() * 1000) for a in at]


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ([], []),
        (["21T09:00"], ["11-21"]),
        (["20T09:00", "21T09:00"], ["11-20", "11-21"]),
        (["21T09:00", "21T14:05"], ["09:00", "14:05"]),
        (["20T09:00", "21T09:00", "21T14:05"], ["11-20 09:00", "11-21 09:00", "11-21 14:05"]),
    ],
)
def test_moments_are_told_apart(at: list[str], told: list[str]) -> None:
    assert moments(_ms(*at)) == told
