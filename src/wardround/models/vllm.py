"""`wardround serve` on vLLM: `vllm serve` as a child process, where it is installed and there is a GPU.

The child gets the checkpoint's own chat template, is kept from fetching anything, and is asked how it tokenises
two chats before anybody else may ask it anything: other ids than those of the checkpoint's own tokenizer and
template, which training used, end the server with words. Requests go to vLLM directly; its log goes to
stderr. An API key reaches it in its environment, never on its command line.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wardround.errors import ModelError, UsageError
from wardround.models.loaded import ADAPTER, adapter_base, prompt_ids
from wardround.models.replies import announce
from wardround.records import Message, Record

START_S = 1800.0
"""Seconds a large checkpoint may take to load."""
END_S = 30.0
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The largest LoRA ranks vLLM can be set to."""
CHATS = (
    (Message(role="user", content="患者咳嗽三天，体温38.5℃，应就诊于哪个科室？"),),
    (
        Message(role="user", content="Blood pressure 150/95 mmHg.\n考虑什么？"),
        Message(role="assistant", content="考虑高血压。"),
        Message(role="user", content="  如何处理？"),
    ),
)


class Serving(Record, frozen=True, kw_only=True):
    """What is served where. `adapters` maps a name to a LoRA directory; `options` are vLLM's own."""

    checkpoint: str
    name: str
    host: str
    port: int
    adapters: dict[str, str] = {}
    options: tuple[str, ...] = ()
    api_key: str = ""


def executable() -> str | None:
    """The `vllm` command beside this Python, or on the PATH."""
    here = os.path.dirname(sys.executable)
    return shutil.which("vllm", path=here) or shutil.which("vllm")


def fits() -> bool:
    """Whether vLLM is installed and there is a GPU for it."""
    if executable() is None or importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def command(serving: Serving) -> list[str]:
    """The child's command line. A checkpoint that is an adapter is served over its base."""
    found = executable()
    if found is None:
        raise UsageError(
            "vLLM is not installed", hint="pip install vllm, or --backend transformers"
        )
    path, adapters, name = Path(serving.checkpoint), dict(serving.adapters), serving.name
    base = adapter_base(path)
    if base is not None:
        adapters = {serving.name: str(path), **adapters}
        name = f"{serving.name}-base"
    line = [
        found, "serve", str(base or path), "--host", serving.host, "--port", str(serving.port),
        "--served-model-name", name,
    ]  # fmt: skip
    template = path / "chat_template.jinja"
    if template.is_file():
        line += ["--chat-template", str(template)]
    if adapters:
        rank = max(_rank(Path(p)) for p in adapters.values())
        line += ["--enable-lora", "--max-lora-rank", str(rank), "--lora-modules"]
        line += [f"{name}={path}" for name, path in adapters.items()]
    return [*line, *serving.options]


def _rank(adapter: Path) -> int:
    """The smallest rank vLLM can be set to that this adapter fits."""
    try:
        rank = int(json.loads((adapter / ADAPTER).read_bytes())["r"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise UsageError(
            f"{adapter}: not a LoRA directory ({ADAPTER} with a rank)",
            hint="--adapter NAME=DIR names what `wardround tune` wrote unmerged, or peft did",
        ) from e
    fitting = [r for r in RANKS if r >= rank]
    if not fitting:
        raise UsageError(f"{adapter}: rank {rank} is more than vLLM takes ({RANKS[-1]})")
    return fitting[0]


def serve(serving: Serving, *, start_s: float = START_S, as_json: bool = False) -> None:
    """Serve until Ctrl-C or SIGTERM; the base URL is the first line on stdout once it answers."""
    line = command(serving)
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    if serving.api_key:
        environment["VLLM_API_KEY"] = serving.api_key
    with _signals() as stop:
        # A session of its own: Ctrl-C reaches us, and we end it in order.
        child = subprocess.Popen(line, env=environment, stdout=sys.stderr, start_new_session=True)
        try:
            host = "127.0.0.1" if serving.host in {"0.0.0.0", "::"} else serving.host
            host = f"[{host}]" if ":" in host else host
            root = f"http://{host}:{serving.port}"
            if _ready(child, f"{root}/health", stop, start_s):
                _same_tokens(serving, root)
                announce(serving.name, f"{root}/v1", as_json=as_json, by="vLLM")
            while not stop.wait(0.2):
                if child.poll() is not None:
                    raise _died(child)
        finally:
            _end(child)


@contextlib.contextmanager
def _signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set while this is open."""
    stop = threading.Event()
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda *_: stop.set())
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ready(child: subprocess.Popen[bytes], url: str, stop: threading.Event, start_s: float) -> bool:
    """Wait until the child answers; False when told to stop before."""
    waited = 0.0
    while not stop.wait(0.25):
        waited += 0.25
        if child.poll() is not None:
            raise _died(child)
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(url, timeout=5),
        ):
            return True
        if waited > start_s:
            raise ModelError(f"vLLM did not answer within {start_s:g} s", hint="see its log above")
    return False


def _died(child: subprocess.Popen[bytes]) -> ModelError:
    return ModelError(
        f"vLLM ended with status {child.returncode}",
        hint="see its log above; --backend transformers serves without it",
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then after a while SIGKILL, to the child and what it started."""
    for number, wait in ((signal.SIGTERM, END_S), (signal.SIGKILL, END_S)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(wait)
            return


def _same_tokens(serving: Serving, root: str) -> None:
    """`ModelError` unless vLLM makes of `CHATS` the ids that the checkpoint's own template does."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(
        serving.checkpoint, local_files_only=True, trust_remote_code=False
    )
    for chat in CHATS:
        ours, theirs = prompt_ids(tokenizer, chat), _tokenized(serving, root, chat)
        if ours != theirs:
            raise ModelError(
                f"vLLM makes {len(theirs)} tokens of a chat that were {len(ours)} in training, or others",
                hint="put the template it was tuned with into the checkpoint as chat_template.jinja",
            )


def _tokenized(serving: Serving, root: str, chat: Sequence[Message]) -> list[int]:
    messages = [{"role": m.role, "content": m.text} for m in chat]
    body: Mapping[str, Any] = {
        "model": serving.name, "messages": messages, "add_generation_prompt": True,
    }  # fmt: skip
    headers = {"Content-Type": "application/json"}
    if serving.api_key:
        headers["Authorization"] = f"Bearer {serving.api_key}"
    asked = urllib.request.Request(f"{root}/tokenize", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(asked, timeout=60) as reply:
            return [int(t) for t in json.loads(reply.read())["tokens"]]
    except (urllib.error.URLError, OSError, ValueError, KeyError) as e:
        raise ModelError(f"vLLM can't be asked how it tokenises: {e}") from e
