"""NumPy, loaded with a single BLAS thread: `from wardround.metrics.arrays import np`.

Nothing here multiplies large matrices, yet OpenBLAS starts a thread for every core when NumPy is loaded, and idle ones
spin before they sleep: up to a tenth of a second of CPU on two cores, a fifth of a short evaluation. OpenBLAS reads its
setting once, at that moment, so the variable is set around the import alone: a setting of the user's own stands, and
neither PyTorch nor child processes see ours. No effect where NumPy was loaded before.
"""

from __future__ import annotations

import os

__all__ = ["np"]

_THREADS = "OPENBLAS_NUM_THREADS"
_ours = _THREADS not in os.environ
os.environ.setdefault(_THREADS, "1")
try:
    import numpy as np
finally:
    if _ours:
        del os.environ[_THREADS]
