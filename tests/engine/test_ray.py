"""Ray: the same results on two nodes, one of which dies in the middle, and the same dataset to the byte.

One cluster serves every test here. Ray takes a node for dead when it missed its health checks, by default after some
twenty seconds; here after one.
"""

import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.made import case, entry, write
from tests.engine.work import refuse_seven, slow_where, square
from wardround.corpus import making
from wardround.corpus.build import build
from wardround.corpus.options import BuildOptions
from wardround.engine import open_engine

ray = pytest.importorskip("ray", reason="the extra ray is not installed")
pytest.importorskip("ray.data", reason="the extra ray is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")

NOTICED_SOON = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 2,
}
JOBS = 24


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one core on this machine. The path is theirs from the start: a runtime environment would start
    every worker anew."""
    from ray.cluster_utils import Cluster

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        head = {"num_cpus": 1, "include_dashboard": False, "_system_config": NOTICED_SOON}
        found = Cluster(initialize_head=True, head_node_args=head)
        found.add_node(num_cpus=1)
        ray.init(address=found.address, log_to_driver=False)
        yield found
        ray.shutdown()
        found.shutdown()


def test_a_dataset_is_the_same_to_the_byte(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "ROWS", 3)
    files = [
        write(tmp_path / "book.jsonl", [entry(f"{c}病") for c in "甲乙丙丁戊己庚"], "gb18030"),
        write(tmp_path / "cases.json", [case(n) for n in range(1, 5)]),
    ]
    options: dict[str, Any] = {"test_per_task": 2, "test_dialogues": 1, "held_out": (files[1],)}
    monkeypatch.chdir(tmp_path)
    named = [Path(f.name) for f in files]
    there = build(named, Path("there"), BuildOptions(engine="ray", **options))
    here = build(named, Path("here"), BuildOptions(workers=1, **options))
    assert there.manifest.digest == here.manifest.digest
    assert there.manifest.counts["train"] > 20


def test_order_errors_and_a_node_that_dies(cluster: Any, tmp_path: Path) -> None:
    engine = open_engine("ray")
    assert list(engine.map(square, range(8))) == [square(n) for n in range(8)]
    with pytest.raises(ValueError, match="seven is refused"):
        list(engine.map(refuse_seven, range(9)))

    extra = next(n for n in cluster.list_all_nodes() if n is not cluster.head_node)
    jobs = [(n, str(tmp_path)) for n in range(JOBS)]

    def kill_when_it_works() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if (
                any(extra.node_id in p.name for p in tmp_path.iterdir())
                and len(list(tmp_path.iterdir())) > 6
            ):
                cluster.remove_node(extra, allow_graceful=False)
                return
            time.sleep(0.02)

    killer = threading.Thread(target=kill_when_it_works)
    killer.start()
    found = list(engine.map(slow_where, jobs))
    killer.join()
    assert found == [square(n) for n in range(JOBS)]
    nodes = {p.name.partition(".")[2] for p in tmp_path.iterdir()}
    assert extra.node_id in nodes and len(nodes) == 2
    assert [n["Alive"] for n in ray.nodes()].count(False) == 1
    engine.close()
