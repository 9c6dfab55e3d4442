"""NumPy comes with one BLAS thread, and the environment is as it was afterwards."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import wardround

ROOT = Path(wardround.__file__).parent
CODE = "import os; from wardround.metrics.arrays import np; print(os.environ.get('OPENBLAS_NUM_THREADS'))"


@pytest.mark.parametrize("given", [None, "3"])
def test_the_environment_is_left_as_it_was(given: str | None) -> None:
    kept = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    kept |= {} if given is None else {"OPENBLAS_NUM_THREADS": given}
    run = subprocess.run(
        [sys.executable, "-c", CODE], env=kept, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == str(given)


def test_statistics_take_numpy_from_there() -> None:
    """Whoever imports it first decides how many threads there are."""
    around = [
        str(path.relative_to(ROOT))
        for room in ("metrics", "benchmarks")
        for path in (ROOT / room).rglob("*.py")
        if path.name != "arrays.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Import) and any(a.name.split(".")[0] == "numpy" for a in node.names)
    ]
    assert not around
