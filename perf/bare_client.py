"""The yardstick of the wire benches: aiohttp and nothing else. Each item is answered, then its answer judged; with
--ready each line is a request's body, sent as it is (`build.py`).

No journal, no retries, no statistics, no report: what any evaluation on aiohttp must spend at the least. Prints
the seconds and CPU seconds of the calls alone as its last line of JSON.

    python perf/bare_client.py ITEMS.jsonl http://127.0.0.1:PORT/v1 64 [--ready]
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
from loopback import MODEL

SYSTEM = "你是一名资深临床医师，负责公正地评审医学助手写给医生的回答。"
ASKED = "请评价待评回答与参考答案在医学内容上的一致程度，最后一行单独给出评分 [[n]]。"


async def _chat(session: aiohttp.ClientSession, url: str, messages: list[dict[str, str]]) -> str:
    body = {"model": MODEL, "messages": messages, "max_tokens": 1024, "temperature": 0.0}
    return await _post(session, url, json.dumps(body, ensure_ascii=False).encode())


async def _post(session: aiohttp.ClientSession, url: str, data: bytes) -> str:
    async with session.post(url, data=data) as reply:
        completion: dict[str, Any] = json.loads(await reply.read())
    text: str = completion["choices"][0]["message"]["content"]
    return text


async def _item(session: aiohttp.ClientSession, url: str, item: dict[str, str]) -> str:
    answer = await _chat(session, url, [{"role": "user", "content": item["input"]}])
    prompt = "\n\n".join([ASKED, item["input"], item["output"], answer])
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}]
    return await _chat(session, url, messages)


async def _all(path: str, base: str, concurrency: int, ready: bool) -> int:
    with open(path, "rb") as f:
        items: Iterator[Any] = iter([line if ready else json.loads(line) for line in f])
    url = base + "/chat/completions"
    verdicts = []
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def worker() -> None:
            for item in items:
                one = _post if ready else _item
                verdicts.append(await one(session, url, item))

        await asyncio.gather(*(worker() for _ in range(concurrency)))
    return len(verdicts)


def main() -> None:
    path, base, concurrency, *more = sys.argv[1:]
    wall, cpu = time.perf_counter(), time.process_time()
    done = asyncio.run(_all(path, base, int(concurrency), "--ready" in more))
    spent = {"items": done, "calls_s": time.perf_counter() - wall}
    print(json.dumps(spent | {"calls_cpu_s": time.process_time() - cpu}))


if __name__ == "__main__":
    main()
