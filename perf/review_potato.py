"""Potato for `perf/review.py`: started as its users start it, driven as its page drives it, as kindly as it allows.

An annotator logs in by name, reads the page, saves all of an item in one `/updateinstance` (its page sends one for
each pause in clicking) and asks for the next one, with the page in the answer (its page fetches that separately).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from wardround.review.study import NewItem

ITEM = re.compile(r'<input id="instance_id"[^>]* value="([^"]+)"')


@contextlib.contextmanager
def serving(
    venv: Path,
    folder: Path,
    fields: Sequence[str],
    items: Iterator[NewItem],
    people: int,
    overlap: int,
) -> Iterator[tuple[str, int]]:
    """`potato start` on a free port over the same items; its address and process id."""
    folder.mkdir()
    count = 0
    with (folder / "items.jsonl").open("w", encoding="utf-8") as out:
        for item in items:
            text = "<br>".join(p.text for p in (*item.body, *(item.content or ())))
            out.write(json.dumps({"id": item.key, "text": text}, ensure_ascii=False) + "\n")
            count += 1
    scale = {"annotation_type": "likert", "min_label": "1", "max_label": "5", "size": 5}
    config = {
        "annotation_task_name": "bench", "task_dir": ".", "output_annotation_dir": "out", "site_dir": "default",
        "output_annotation_format": "json", "data_files": ["items.jsonl"], "require_password": False,
        "item_properties": {"id_key": "id", "text_key": "text"}, "assignment_strategy": "random",
        "num_annotators_per_item": overlap, "max_annotations_per_user": count * overlap // people,
        "annotation_schemes": [
            *({"name": f, "description": f, **scale} for f in fields),
            {"annotation_type": "text", "name": "comment", "description": "comment"},
        ],
    }  # fmt: skip
    (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [venv / "bin" / "potato", "start", "config.yaml", "-p", str(port), "--host", "127.0.0.1"],
            cwd=folder, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            _await(process, port, folder)
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _await(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    until = time.monotonic() + 90
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
            return
        if process.poll() is not None or time.monotonic() > until:
            said = (folder / "log").read_text(errors="replace")[-2000:]
            raise SystemExit(f"Potato did not start: {said}")
        time.sleep(0.1)


async def annotate(
    address: str, fields: Sequence[str], people: int, seconds: float, comment: str,
    cpu: Callable[[], float] = lambda: 0.0,
) -> tuple[list[float], float, list[str], float]:  # fmt: skip
    """All annotators at once until the time or their work is up: latencies of save and next, seconds, troubles, and
    by how much `cpu` rose. With 0 seconds they only log in."""
    import aiohttp

    latencies: list[float] = []
    trouble: list[str] = []
    ready = asyncio.Barrier(people)
    span, used = [0.0, 0.0], [0.0, 0.0]

    async def one(number: int) -> None:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as http:
            async with http.post(f"{address}/auth", data={"email": f"r{number}"}) as reply:
                text = await reply.text()
            if number == 0 and not seconds:  # its first save loads libraries, for seconds
                await _save(http, address, _body(fields, _item(text), 4, comment))
            await ready.wait()
            if not span[0]:
                span[0], used[0] = time.perf_counter(), cpu()
            turn = 0
            while time.perf_counter() - span[0] < seconds and ITEM.search(text):
                turn += 1
                start = time.perf_counter()
                body = _body(fields, _item(text), 4 + turn % 2, comment)
                said = await _save(http, address, body)
                following = {"action": "next_instance", "instance_id": body["instance_id"]}
                async with http.post(f"{address}/annotate", json=following) as reply:
                    text = await reply.text()
                latencies.append(time.perf_counter() - start)
                if said or reply.status != 200:
                    trouble.append(said or f"{reply.status} {text[:200]}")
            span[1], used[1] = time.perf_counter(), cpu()

    await asyncio.gather(*(one(i) for i in range(people)))
    return latencies, span[1] - span[0], trouble, used[1] - used[0]


def _item(page: str) -> str:
    found = ITEM.search(page)
    if found is None:
        raise SystemExit(f"Potato showed no item: {page[:500]}")
    return found[1]


def _body(fields: Sequence[str], item: str, value: int, comment: str) -> dict[str, Any]:
    scores = {f"{f}:{value}": str(value) for f in fields}
    annotations = {**scores, "comment:text_box": comment}
    return {"instance_id": item, "annotations": annotations, "span_annotations": []}


async def _save(http: Any, address: str, body: dict[str, Any]) -> str:
    """Save one item; what was wrong, or nothing."""
    async with http.post(f"{address}/updateinstance", json=body) as reply:
        said: str = await reply.text()
    stored = reply.status == 200 and json.loads(said).get("status") == "success"
    return "" if stored else f"{reply.status} {said[:200]}"


def stored(folder: Path) -> int:
    """How many items Potato's files hold as annotated, over all annotators."""
    states = [json.loads(p.read_text()) for p in folder.glob("out/*/user_state.json")]
    return sum(len(s["instance_id_to_label_to_value"]) for s in states)
