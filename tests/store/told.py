"""What the database is told."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from wardround.store.database import Store
from wardround.store.straight import Straight


def statements(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the database is told from now on, by SQLAlchemy or past it."""
    told: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *a: told.append(a[2]))
    run = Straight._at_hand

    def noted(self: Straight, *given: Any) -> Any:
        told.append(self.text)
        return run(self, *given)

    monkeypatch.setattr(Straight, "_at_hand", noted)
    return told
