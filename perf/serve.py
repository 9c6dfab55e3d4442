"""Serving: `wardround serve` beside `transformers serve`, the same tiny checkpoint, in one run.

A Qwen3-shaped model of random weights (4 layers × 256, vocabulary 8,192, fp32) is made in a temporary directory and
served by three processes on the CPU: ours, `transformers serve` as it starts by itself, and with
`--continuous-batching`. One aiohttp client asks each for greedy answers of 64 tokens, 1, 8 and 32 at once; servers
take turns within a round, another one first each time, so that a busy machine is busy for all. Figures are generated
tokens, as the replies count them, for a second on the clock and for a second of the server's processor time, which
holds better on a shared machine; medians over the rounds, which end after --seconds. A first round, not counted,
loads the model. How many answers are the same word for word is said too.

    python perf/serve.py                 about a minute on two cores, less than two when they are busy
    python perf/serve.py --json          the last line is JSON with ratio_1, ratio_8 and ratio_32

The ratio is ours against the better of the two at that concurrency.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

AT_ONCE = (1, 8, 32)
TOKENS = 64
START_S = 90.0
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CB = ("--continuous-batching", "--cb-block-size", "32", "--cb-num-blocks", "512")


def make(path: Path) -> Path:
    """The checkpoint: random weights, a byte-level tokenizer with a chat template."""
    import tokenizers
    import torch
    import transformers

    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    )  # fmt: skip
    bpe.train_from_iterator(["患者咳嗽三天，伴有发热。", "建议到呼吸内科就诊。"] * 4, trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = TEMPLATE
    config = transformers.Qwen3Config(
        vocab_size=8192, hidden_size=256, intermediate_size=768, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, head_dim=64, max_position_embeddings=2048,
        tie_word_embeddings=True, initializer_range=0.1, eos_token_id=2, bos_token_id=None,
        pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(1)
    transformers.Qwen3ForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.contextmanager
def server(name: str, checkpoint: Path, threads: int, log: Path) -> Iterator[tuple[str, int]]:
    """A running server's base URL and process id; it may still be starting."""
    port = free_port()
    if name == "wardround":
        command = ["-m", "wardround.cli", "serve", str(checkpoint), "--backend", "transformers"]
        command += ["--port", str(port)]
    else:
        command = ["-m", "transformers.cli.transformers", "serve", checkpoint.name]
        command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
        command += CB if name.endswith("cb") else ()
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_CACHE": str(log.parent / "hub"),
    }  # fmt: skip
    with open(log, "wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=checkpoint.parent, env=environment, stdout=out,
            stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def wait(url: str, log: Path) -> None:
    """Until the server answers."""
    end = time.monotonic() + START_S
    while True:
        for path in ("/health", "/v1/models"):
            with (
                contextlib.suppress(urllib.error.URLError, OSError),
                urllib.request.urlopen(url + path, timeout=5),
            ):
                return
        if time.monotonic() > end:
            sys.exit(f"no server at {url}:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.2)


async def ask(url: str, model: str, count: int, round_: int) -> tuple[float, int, list[str]]:
    """(seconds, tokens, texts) of `count` requests at once; alone, eight one after another."""
    import aiohttp

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(120)) as session:

        async def one(k: int) -> tuple[int, str]:
            text = f"第{round_}轮，患者{k}：咳嗽{k}天，体温38.{k % 10}℃，应就诊于哪个科室？"
            body = {
                "model": model, "messages": [{"role": "user", "content": text}],
                "max_tokens": TOKENS, "temperature": 0,
            }  # fmt: skip
            async with session.post(f"{url}/v1/chat/completions", json=body) as reply:
                found = json.loads(await reply.read())
                if reply.status != 200:
                    sys.exit(f"{url}: {reply.status} {found}")
                tokens = found["usage"]["completion_tokens"]
                return tokens, found["choices"][0]["message"]["content"]

        start = time.perf_counter()
        if count == 1:
            made = [await one(k) for k in range(8)]
        else:
            made = list(await asyncio.gather(*(one(k) for k in range(count))))
        return time.perf_counter() - start, sum(n for n, _ in made), [t for _, t in made]


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(
    urls: dict[str, tuple[str, int]], model: str, rounds: int, until: float
) -> dict[str, Any]:
    """Tokens a second by server and concurrency, and the share of answers that agree with ours."""
    speed: dict[str, dict[int, list[float]]] = {who: {n: [] for n in AT_ONCE} for who in urls}
    thrift: dict[str, dict[int, list[float]]] = {who: {n: [] for n in AT_ONCE} for who in urls}
    same: dict[str, list[bool]] = {who: [] for who in urls}
    for round_ in range(rounds + 1):
        if round_ > 1 and time.monotonic() > until:
            break
        for count in AT_ONCE:
            if not round_ and count != AT_ONCE[1]:
                continue
            said: dict[str, list[str]] = {}
            order = list(urls)[round_ % len(urls) :] + list(urls)[: round_ % len(urls)]
            for who in order:
                url, pid = urls[who]
                before = cpu_seconds(pid)
                spent, tokens, said[who] = asyncio.run(ask(url, model, count, round_))
                if round_:
                    thrift[who][count].append(tokens / (cpu_seconds(pid) - before))
                    speed[who][count].append(tokens / spent)
            for who, texts in said.items():
                same[who] += [a == b for a, b in zip(texts, said["wardround"], strict=True)]

    def medians(found: dict[str, dict[int, list[float]]]) -> dict[str, dict[int, float]]:
        return {
            who: {n: round(statistics.median(v), 1) for n, v in by.items()}
            for who, by in found.items()
        }

    return {
        "tokens_per_s": medians(speed),
        "tokens_per_cpu_s": medians(thrift),
        "same_words": {who: round(statistics.mean(v), 3) for who, v in same.items()},
    }


def show(found: dict[str, Any], what: str, ratio: str) -> None:
    """One table; ours against the better of the others goes into `found` under `ratio`_N."""
    print(f"{what:<18}" + "".join(f"{n:>8} at once" for n in AT_ONCE))
    for who, by in found[what].items():
        print(f"{who:<18}" + "".join(f"{by[n]:>16.0f}" for n in AT_ONCE))
    for n in AT_ONCE:
        best = max(by[n] for who, by in found[what].items() if who != "wardround")
        found[f"{ratio}_{n}"] = round(found[what]["wardround"][n] / best, 2)
    print(
        f"{'ratio to the best':<18}" + "".join(f"{found[f'{ratio}_{n}']:>16.2f}" for n in AT_ONCE)
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Serving beside transformers serve.")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="no new round after so many")
    parser.add_argument("--threads", type=int, default=1, help="of each server")
    options = parser.parse_args()
    until = time.monotonic() + options.seconds
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end with us
    names = ("wardround", "transformers", "transformers cb")
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (root / "hub").mkdir()
        checkpoint = make(root / "tiny")
        logs = {who: root / f"{who}.log" for who in names}
        urls = {
            who: stack.enter_context(server(who, checkpoint, options.threads, logs[who]))
            for who in names
        }
        for who in names:
            wait(urls[who][0], logs[who])
        found = measure(urls, checkpoint.name, options.rounds, until)
        shutil.rmtree(root / "hub", ignore_errors=True)
    show(found, "tokens_per_s", "ratio")
    show(found, "tokens_per_cpu_s", "cpu_ratio")
    for who in names[1:]:
        print(f"{who}: {found['same_words'][who]:.0%} of its answers are ours word for word")
    if options.json:
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
