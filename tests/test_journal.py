import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.errors import (
    BusyError,
    ConfigMismatchError,
    JournalCorruptError,
    JournalError,
)
from wardround.journal import Journal

values = st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none()), max_size=3)


@given(pairs=st.dictionaries(st.text(), values, max_size=12))
@settings(max_examples=50, deadline=None)
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, pairs: dict[str, dict[str, object]]
) -> None:
    path = tmp_path_factory.mktemp("j") / "journal.jsonl"
    with Journal(path, config="c") as journal:
        for key, value in pairs.items():
            journal.append(key, value)
            assert journal.get(key, dict) == value
    with Journal(path, config="c") as journal:
        assert list(journal.keys()) == list(pairs)
        assert [journal.get(k, dict) for k in pairs] == list(pairs.values())
        assert journal.torn_bytes == 0


@given(cut=st.integers(min_value=0), count=st.integers(min_value=1, max_value=8))
@settings(max_examples=80, deadline=None)
def test_cut_anywhere_keeps_every_whole_line(
    tmp_path_factory: pytest.TempPathFactory, cut: int, count: int
) -> None:
    path = tmp_path_factory.mktemp("j") / "journal.jsonl"
    with Journal(path, config="c") as journal:
        for i in range(count):
            journal.append(f"键{i}", {"值": i})
    whole = path.read_bytes()
    cut %= len(whole) + 1
    path.write_bytes(whole[:cut])
    lines = whole[:cut].count(b"\n")
    with Journal(path, config="c") as journal:
        assert len(journal) == max(0, lines - 1)
        for i in range(len(journal)):
            assert journal.get(f"键{i}", dict) == {"值": i}
        for i in range(len(journal), count):
            journal.append(f"键{i}", {"值": i})
    assert path.read_bytes() == whole


def test_a_key_is_written_once(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", config="c") as journal:
        journal.append("a", 1)
        with pytest.raises(JournalError, match="already written"):
            journal.append("a", 2)
        assert journal.get("a", int) == 1


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "j", config="one").close()
    with pytest.raises(ConfigMismatchError, match="another configuration"):
        Journal(tmp_path / "j", config="two")


def test_a_second_process_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "j"
    code = "import sys; from pathlib import Path; from wardround.journal import Journal; Journal(Path(sys.argv[1]), config='c')"
    with Journal(path, config="c"):
        other = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=30
        )
    assert other.returncode != 0
    assert "another process is writing" in other.stderr
    with pytest.raises(BusyError), Journal(path, config="c"):
        Journal(path, config="c")


def test_a_bad_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path, config="c") as journal:
        journal.append("a", 1)
        journal.append("b", 2)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = b'{"k": "a", broken\n'
    path.write_bytes(b"".join(lines))
    with pytest.raises(JournalCorruptError, match="line 2"):
        Journal(path, config="c")


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j"
    real = os.write
    with Journal(path, config="c") as journal:
        journal.append("a", 1)
        monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:5]))
        with pytest.raises(OSError, match="No space left"):
            journal.append("b", 2)
        monkeypatch.setattr(os, "write", real)
        assert "b" not in journal
        journal.append("c", 3)
    with Journal(path, config="c") as journal:
        assert list(journal.keys()) == ["a", "c"]
        assert journal.torn_bytes == 0


WRITER = """
import sys
from pathlib import Path
from wardround.journal import Journal
with Journal(Path(sys.argv[1]), config="c") as j:
    start = len(j)
    print(start, flush=True)
    for i in range(start, 1_000_000):
        j.append(f"k{i}", {"i": i, "text": "查房" * (i % 50)})
"""


def test_killed_writers_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    """Five writers, each killed -9 at some moment; each goes on exactly where the last one was."""
    path = tmp_path / "j"
    seen = 0
    for round_ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert int(process.stdout.readline()) >= seen
        size = path.stat().st_size
        deadline = time.monotonic() + 20
        while path.stat().st_size < size + 2000 * (round_ + 1) and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with Journal(path, config="c") as journal:
            keys = list(journal.keys())
            assert keys == [f"k{i}" for i in range(len(keys))]
            assert len(keys) > seen
            last = len(keys) - 1
            assert journal.get(f"k{last}", dict) == {"i": last, "text": "查房" * (last % 50)}
            seen = len(keys)


def test_syncs_run_beside_the_writer_and_their_error_reaches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def fsync(fd: int) -> None:
        synced.append(threading.current_thread().name)
        if len(synced) == 3:
            raise OSError(5, "Input/output error")

    with Journal(tmp_path / "j", config="c", sync_lines=1) as journal:
        monkeypatch.setattr("wardround.journal.os.fsync", fsync)
        until = time.monotonic() + 10
        with pytest.raises(OSError, match="Input/output error"):  # noqa: PT012
            for i in itertools.count():
                assert time.monotonic() < until
                journal.append(str(i), i)
    assert set(synced[:3]) == {"journal-sync"}
    assert not any(t.name == "journal-sync" for t in threading.enumerate())


def test_keys_with_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wardround.journal.hash", lambda _: 7, raising=False)
    with Journal(tmp_path / "j", config="c") as journal:
        journal.append("a", 0)
        journal.append("b", 1)
        assert [journal.get(key, int) for key in "ab"] == [0, 1]
        assert "c" not in journal
        assert journal.find("c", int) is None
        with pytest.raises(KeyError):
            journal.get("c", int)
        with pytest.raises(JournalError, match="already written"):
            journal.append("b", 3)
    with Journal(tmp_path / "j", config="c") as journal:
        assert list(journal.keys()) == ["a", "b"]
        assert list(journal.values(int)) == [0, 1]


def test_of_a_key_in_two_lines_the_later_counts(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path, config="c") as journal:
        journal.append("a", 1)
        journal.append("b", 2)
    with open(path, "ab") as f:
        f.write(b'{"k":"a","v":30}\n')
    with Journal(path, config="c") as journal:
        assert list(journal.keys()) == ["a", "b"]
        assert list(journal.values(int)) == [30, 2]


def test_thousands_of_keys_take_few_bytes_each(tmp_path: Path) -> None:
    count = 5_000
    with Journal(tmp_path / "j", config="c", sync_lines=count, sync_seconds=60) as journal:
        tracemalloc.start()
        for i in range(count):
            journal.append(f"benchmark/case-{i}/r1/t1/answer", i)
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert taken / count < 60
        assert all(f"benchmark/case-{i}/r1/t1/answer" in journal for i in range(0, count, 97))
        assert journal.get("benchmark/case-4321/r1/t1/answer", int) == 4321
    with Journal(tmp_path / "j", config="c") as journal:
        assert list(journal.values(int)) == list(range(count))
