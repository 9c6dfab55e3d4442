import asyncio
import functools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.models.support import Fake, Naps, question
from wardround.errors import JournalError, ModelError, UsageError
from wardround.journal import Journal
from wardround.models import Model
from wardround.models.ask import BREAK_AFTER, Ask, Job, run, run_jobs
from wardround.models.endpoint import EndpointModel
from wardround.models.faults import Faults
from wardround.models.scripted import ScriptedModel
from wardround.models.server import ChatServer, serve_in_thread
from wardround.models.wire import failed
from wardround.progress import Progress
from wardround.records import Answer

Piece = Callable[[Ask], Awaitable[Answer]]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.jsonl", config="c") as opened:
        yield opened


def piece(model: Model, key: str, text: str = "") -> Piece:
    async def work(ask: Ask) -> Answer:
        return await ask(model, question(text or f"问{key}", key))

    return work


def judged(model: Model, judge: Model, key: str) -> Callable[[Ask], Awaitable[str]]:
    """Two steps, the second made of the first's answer."""

    async def work(ask: Ask) -> str:
        answer = await ask(model, question(f"问{key}", key))
        verdict = await ask(judge, question(f"评{answer.text}", f"{key}/judge"))
        return f"{answer.text}|{verdict.text}"

    return work


def test_results_keep_the_order_of_the_work(journal: Journal) -> None:
    ended: list[int] = []

    async def uneven(request: object) -> str:
        number = int(request.key)  # type: ignore[attr-defined]
        for _ in range(7 * number % 11):
            await asyncio.sleep(0)
        ended.append(number)
        return str(number)

    model = Fake(uneven)
    found = run(
        (piece(model, str(i)) for i in range(50)), models=[model], journal=journal, concurrency=8
    )
    assert [a.text for a in found] == [str(i) for i in range(50)]
    assert ended != sorted(ended)
    assert sorted(ended) == list(range(50))
    assert (model.checks, model.closes) == (1, 1)


def test_no_work_no_check(journal: Journal) -> None:
    model = Fake()
    assert run([], models=[model], journal=journal, concurrency=3) == []
    assert (model.checks, model.closes) == (0, 1)


def test_work_is_pulled_lazily_and_requests_are_bounded(journal: Journal) -> None:
    most_live = flying = most_flying = pulled = finished = 0

    async def slow(_: object) -> str:
        nonlocal flying, most_flying
        flying += 1
        most_flying = max(most_flying, flying)
        await asyncio.sleep(0.001)
        flying -= 1
        return "好"

    model = Fake(slow)

    def work() -> Iterator[Piece]:
        nonlocal pulled, most_live

        async def two(ask: Ask, i: int) -> Answer:
            nonlocal finished
            first, _ = await asyncio.gather(
                ask(model, question("甲", f"{i}a")), ask(model, question("乙", f"{i}b"))
            )
            finished += 1
            return first

        for i in range(60):
            pulled += 1
            most_live = max(most_live, pulled - finished)
            yield functools.partial(two, i=i)

    assert len(run(work(), models=[model], journal=journal, concurrency=6)) == 60
    assert most_flying == 6
    assert most_live <= 12


def test_the_same_run_again_asks_nothing_and_needs_no_model(journal: Journal) -> None:
    model = Fake()
    first = run(
        [piece(model, "a"), piece(model, "b")], models=[model], journal=journal, concurrency=2
    )
    dead = Fake(lambda _: pytest.fail("asked again"))
    again = run([piece(dead, "a"), piece(dead, "b")], models=[dead], journal=journal, concurrency=2)
    assert again == first
    assert dead.checks == 0


def test_a_failed_answer_is_kept_for_audit_and_asked_again_next_time(journal: Journal) -> None:
    replies = iter([failed("http 500"), failed("http 502"), Answer(status="ok", text="好")])
    model = Fake(lambda _: next(replies))
    for status in ("failed", "failed", "ok", "ok"):
        found = run([piece(model, "a")], models=[model], journal=journal, concurrency=1)
        assert found[0].status == status
    assert list(journal.keys()) == ["a!1", "a!2", "a"]
    assert journal.get("a!2", Answer).reason == "http 502"
    assert len(model.asked) == 3


def test_every_model_is_checked_before_the_first_request(journal: Journal) -> None:
    class Dead(Fake):
        async def check(self) -> None:
            raise ModelError("judge is dead")

    model, dead = Fake(), Dead()
    with pytest.raises(ModelError, match="judge is dead"):
        run(
            (judged(model, dead, str(i)) for i in range(9)),
            models=[model, dead],
            journal=journal,
            concurrency=4,
        )
    assert model.asked == []
    assert model.closes == dead.closes == 1


def at_rest(server: ChatServer) -> int:
    """What was served in all, once the requests that nobody waits for any more are through."""
    seen, quiet = -1, 0
    while quiet < 5:
        quiet = quiet + 1 if server.served == seen else 0
        seen = server.served
        time.sleep(0.05)
    return seen


def test_an_error_in_the_middle_stops_all_and_the_next_run_asks_only_the_rest(
    tmp_path: Path,
) -> None:
    server = ChatServer(ScriptedModel("echo"), faults=Faults(errors={503: 0.2}))
    pulled = 0

    def work(model: Model, break_at: int) -> Iterator[Callable[[Ask], Awaitable[str]]]:
        nonlocal pulled
        for i in range(60):
            pulled += 1
            if i == break_at:
                raise RuntimeError("the disk is full")
            yield judged(model, model, str(i))

    with serve_in_thread(server) as url:
        model = EndpointModel("scripted:echo", url, sleep=Naps())
        with (
            pytest.raises(RuntimeError, match="disk is full"),
            Journal(tmp_path / "j", config="c") as journal,
        ):
            run(work(model, 30), models=[model], journal=journal, concurrency=4)
        assert pulled == 31
        with Journal(tmp_path / "j", config="c") as journal:
            kept = len(journal)
            assert 2 * (30 - 4) <= kept <= 60
            served = at_rest(server)
            found = run(work(model, -1), models=[model], journal=journal, concurrency=4)
            assert server.served - served == 120 - kept
    assert found == [f"问{i}|评问{i}" for i in range(60)]


def test_one_failing_piece_cancels_the_others(journal: Journal) -> None:
    cancelled: list[str] = []

    async def forever(request: object) -> str:
        if request.key == "bad":  # type: ignore[attr-defined]
            raise ZeroDivisionError
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.append(request.key)  # type: ignore[attr-defined]
        return ""

    model = Fake(forever)
    keys = ["a", "b", "bad", "c"]
    with pytest.raises(ZeroDivisionError):
        run([piece(model, k) for k in keys], models=[model], journal=journal, concurrency=4)
    assert sorted(cancelled) == ["a", "b", "c"]
    assert model.closes == 1
    assert len(journal) == 0


def test_a_model_that_is_gone_ends_the_run(journal: Journal) -> None:
    model = Fake(lambda r: failed("connection", "refused") if int(r.key) >= 5 else "好")
    with pytest.raises(ModelError, match=f"{BREAK_AFTER} requests in a row were lost") as caught:
        run(
            (piece(model, str(i)) for i in range(500)),
            models=[model],
            journal=journal,
            concurrency=1,
        )
    assert "connection: refused" in str(caught.value)
    assert len(model.asked) == 5 + BREAK_AFTER
    keys = list(journal.keys())
    assert [k for k in keys if "!" not in k] == list("01234")


@pytest.mark.parametrize(
    "other", [failed("http 400"), failed("timeout"), Answer(status="ok", text="")]
)
def test_other_ends_prove_that_it_is_there(journal: Journal, other: Answer) -> None:
    model = Fake(lambda r: other if int(r.key) % BREAK_AFTER == 0 else failed("connection"))
    found = run(
        (piece(model, str(i)) for i in range(70)), models=[model], journal=journal, concurrency=1
    )
    assert len(found) == 70


def test_a_refused_key_in_the_middle_ends_the_run_too(journal: Journal) -> None:
    model = Fake(lambda _: failed("http 401", "key revoked"))
    with pytest.raises(ModelError, match="key revoked"):
        run(
            (piece(model, str(i)) for i in range(50)),
            models=[model],
            journal=journal,
            concurrency=4,
        )


def test_one_key_twice_at_once_and_strangers_are_refused(journal: Journal) -> None:
    async def slow(_: object) -> str:
        await asyncio.sleep(0.01)
        return "好"

    model = Fake(slow)
    with pytest.raises(JournalError, match="'a' is asked twice at once"):
        run([piece(model, "a"), piece(model, "a")], models=[model], journal=journal, concurrency=2)
    with pytest.raises(ValueError, match="not among the models"):
        run([piece(Fake(), "b")], models=[model], journal=journal, concurrency=2)
    with pytest.raises(ValueError, match="concurrency"):
        run([], models=[model], journal=journal, concurrency=0)


def test_inside_a_running_loop_it_says_what_to_do(journal: Journal) -> None:
    async def notebook() -> None:
        run([], models=[], journal=journal, concurrency=1)

    with pytest.raises(UsageError, match="running event loop"):
        asyncio.run(notebook())


def test_progress_counts_pieces_of_work(journal: Journal) -> None:
    model = Fake(lambda r: failed("http 400") if r.key == "b" else "好")
    with Progress("asking", 3) as progress:
        run(
            [piece(model, k) for k in "abc"],
            models=[model],
            journal=journal,
            concurrency=2,
            progress=progress,
        )
    assert progress.done == 3


def test_all_faults_at_once_still_give_every_answer_once(tmp_path: Path) -> None:
    faults = Faults(
        errors={429: 0.1, 500: 0.1}, malformed_rate=0.1, truncated_rate=0.1, reset_rate=0.1, seed=3
    )
    server = ChatServer(ScriptedModel("echo"), faults=faults)
    with serve_in_thread(server) as url, Journal(tmp_path / "j", config="c") as journal:
        model = EndpointModel("scripted:echo", url, retries=30, sleep=Naps())
        found = run(
            (judged(model, model, str(i)) for i in range(100)),
            models=[model],
            journal=journal,
            concurrency=16,
        )
        assert len(journal) == 200
    assert found == [f"问{i}|评问{i}" for i in range(100)]
    assert server.served == 200
    assert server.arrivals > 300


def jobs(tmp_path: Path, names: str, judge: Model, make: Callable[[str], Model]) -> list[Job[str]]:
    """A job of ten judged pieces for each letter, its journal left open for the test's end."""
    found = []
    for name in names:
        journal = Journal(tmp_path / f"{name}.jsonl", config=name)
        model = make(name)
        work = [judged(model, judge, str(i)) for i in range(10)]
        found.append(Job(name=name, work=work, models=[model, judge], journal=journal))
    return found


def test_jobs_share_a_judge_and_end_each_for_itself(tmp_path: Path) -> None:
    judge = Fake(name="judge")
    ended: list[list[str]] = []
    models = {
        "a": Fake(),
        "b": Fake(lambda _: failed("connection", "refused")),
        "c": Fake(lambda r: failed("http 500") if r.key == "3" else "好"),
        "d": Fake(),
    }

    def dies(_: object) -> None:
        raise OSError(28, "No space left on device")

    work = jobs(tmp_path, "abcd", judge, models.__getitem__)
    work[1] = replace(work[1], work=[judged(models["b"], models["b"], str(i)) for i in range(99)])
    work[0] = replace(work[0], then=ended.append)
    work[3] = replace(work[3], then=dies)
    with Progress("league", 129) as progress:
        found = run_jobs(work, concurrency=4, progress=progress)
    assert [type(end) for end in found] == [list, ModelError, list, OSError]
    assert ended == [found[0]]
    assert len(found[2]) == 10  # type: ignore[arg-type]
    assert "c: 1 failed" in progress._note
    assert "b: " in progress._note
    assert (judge.checks, judge.closes) == (1, 1)
    assert all((m.checks, m.closes) == (1, 1) for m in models.values())
    for job in work:
        job.journal.close()


def test_a_judge_that_gives_out_ends_every_job_that_needs_it(tmp_path: Path) -> None:
    judge = Fake(lambda _: failed("connection"), name="judge")
    work = jobs(tmp_path, "abcd", judge, lambda _: Fake())
    found = run_jobs(work, concurrency=2)
    assert all(isinstance(end, ModelError) for end in found)
    assert BREAK_AFTER <= len(judge.asked) <= BREAK_AFTER + 4 * 2
    for job in work:
        job.journal.close()


def test_an_error_of_the_code_ends_all_jobs(tmp_path: Path) -> None:
    judge = Fake(name="judge")
    work = jobs(tmp_path, "ab", judge, lambda n: Fake(lambda _: 1 / 0 if n == "b" else "好"))
    with pytest.raises(ZeroDivisionError):
        run_jobs(work, concurrency=2)
    assert judge.closes == 1
    for job in work:
        job.journal.close()


def test_models_behind_one_endpoint_share_its_limit(tmp_path: Path) -> None:
    """Two models and a judge at one address, of which one says 3: never more than 3 at once, and 3 in the end."""
    at_once = most = 0

    class Counting(ScriptedModel):
        async def complete(self, request: object) -> Answer:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.005)
            at_once -= 1
            return await super().complete(request)  # type: ignore[arg-type]

    with serve_in_thread(ChatServer(Counting("echo"))) as url:
        judge = EndpointModel("scripted:echo", url.replace("http:", "HTTP:"), name="judge")
        work = jobs(
            tmp_path, "ab", judge,
            lambda n: EndpointModel("scripted:echo", url, name=n, ceiling=3 if n == "b" else 7),
        )  # fmt: skip
        found = run_jobs(work, concurrency=9)
    assert all(isinstance(end, list) for end in found)
    assert most == 3
    assert judge.limiter is not None and judge.limiter.ceiling == 3
    for job in work:
        job.journal.close()


SESSION = """
import asyncio, sys
from pathlib import Path
from wardround.journal import Journal
from wardround.models.ask import run
from wardround.models.names import open_model
from wardround.records import Message, Request

def work(model, count):
    async def one(ask, i):
        text = (Message(role="user", content=f"item {i}"),)
        return (await ask(model, Request(key=str(i), messages=text))).text
    for i in range(count):
        yield lambda ask, i=i: one(ask, i)

model = open_model(sys.argv[1])
with Journal(Path(sys.argv[2]), config="c") as journal:
    try:
        found = run(work(model, int(sys.argv[3])), models=[model], journal=journal, concurrency=8)
    except KeyboardInterrupt:
        print("interrupted", len(journal), flush=True)
        raise SystemExit(130)
print(len(found), flush=True)
"""


def start_session(url: str, path: Path, count: int) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        SESSION,
        f"scripted:echo@{url}",
        str(path),
        str(count),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_lines(path: Path, lines: int) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if path.exists() and path.read_bytes().count(b"\n") > lines:
            return
        time.sleep(0.005)
    pytest.fail(f"{path} never got {lines} lines")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_session_goes_on_and_asks_only_what_was_in_flight_again(
    tmp_path: Path, number: signal.Signals
) -> None:
    count, counted = 120, tmp_path / "count"
    server = ChatServer(ScriptedModel("echo"), count_file=counted, faults=Faults(latency_ms=20))
    with serve_in_thread(server) as url:
        with start_session(url, tmp_path / "j", count) as running:
            wait_for_lines(tmp_path / "j", 40)
            stopped = time.monotonic()
            os.kill(running.pid, number)
            out, err = running.communicate(timeout=10)
            assert time.monotonic() - stopped < 3
        if number == signal.SIGINT:
            assert running.returncode == 130
            assert out.startswith("interrupted ")
            assert err == ""
        with start_session(url, tmp_path / "j", count) as running:
            out, err = running.communicate(timeout=30)
        assert (running.returncode, out, err) == (0, f"{count}\n", "")
    asked = Counter(counted.read_text().split())
    assert len(asked) == count
    assert sum(asked.values()) <= count + 8
    assert max(asked.values()) <= 2


def test_the_cost_of_a_call_stays_small(tmp_path: Path) -> None:
    """The runner's own share: 2,000 calls to a model that answers at once, journalled. CPU, not wall."""
    model = Fake(lambda _: "好")
    with Journal(tmp_path / "j", config="c") as journal:
        before = time.process_time()
        run(
            (piece(model, str(i)) for i in range(2000)),
            models=[model],
            journal=journal,
            concurrency=64,
        )
        spent = time.process_time() - before
    assert spent / 2000 < 0.0005
