"""The survey's tests need the extra `web`."""

import pytest

for module in ("sqlalchemy", "openpyxl"):
    pytest.importorskip(module)
