"""vLLM as a child process, played by a script that keeps to its command line and its /tokenize."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from wardround.errors import UsageError
from wardround.models import vllm
from wardround.models.vllm import Serving, command

pytestmark = pytest.mark.torch

PLAYED = """#!{python}
import http.server, json, os, sys
sys.path[:0] = {path!r}
from pathlib import Path
Path({said!r}).write_text(json.dumps([sys.argv[1:], os.environ.get("VLLM_API_KEY", "")]))
if "--die" in sys.argv:
    sys.exit(3)
from transformers import AutoTokenizer
from wardround.models.loaded import prompt_ids
from wardround.records import Message
tokenizer = AutoTokenizer.from_pretrained(sys.argv[2])
if "--chat-template" in sys.argv:
    tokenizer.chat_template = Path(sys.argv[sys.argv.index("--chat-template") + 1]).read_text()
if "--odd" in sys.argv:
    tokenizer.chat_template = "sys\\n" + tokenizer.chat_template
class Handler(http.server.BaseHTTPRequestHandler):
    def reply(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.reply({{}})
    def do_POST(self):
        assert self.headers.get("Authorization", "") in ("", "Bearer sesame")
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.reply({{"tokens": prompt_ids(tokenizer, [Message(**m) for m in asked["messages"]])}})
    def log_message(self, *_):
        pass
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def played(tmp_path: Path) -> Path:
    """A directory with the command in it; what it was called with comes to `said` beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "vllm"
    said = str(tmp_path / "said")
    script.write_text(PLAYED.format(python=sys.executable, path=sys.path, said=said))
    script.chmod(0o755)
    return folder


def start(
    played: Path, checkpoint: Path, *more: str, **variables: str
) -> tuple[subprocess.Popen[str], int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [sys.executable, "-m", "wardround.cli", "serve", str(checkpoint), "--backend", "vllm"]
    environment = os.environ | {"PATH": f"{played}:{os.environ['PATH']}"} | variables
    return subprocess.Popen(
        [*line, "--port", str(port), *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=environment,
    ), port  # fmt: skip


def test_it_is_launched_checked_and_ended(
    played: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    running, port = start(
        played, tiny_checkpoint, "--name", "doctor", "--api-key-env", "KEY", "--vllm-args",
        "--max-model-len 128", KEY="sesame",
    )  # fmt: skip
    with running:
        assert running.stdout is not None
        assert running.stderr is not None
        url = running.stdout.readline().strip()
        assert url == f"http://127.0.0.1:{port}/v1", running.stderr.read()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as reply:
            assert reply.status == 200
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=60) == 0
        assert "doctor is served by vLLM" in running.stderr.read()
    argv, key = json.loads((tmp_path / "said").read_text())
    assert argv[:6] == ["serve", str(tiny_checkpoint), "--host", "127.0.0.1", "--port", str(port)]
    assert argv[6:8] == ["--served-model-name", "doctor"]
    template = str(tiny_checkpoint / "chat_template.jinja")
    assert argv[8:] == ["--chat-template", template, "--max-model-len", "128"]
    assert (key, "sesame" in argv) == ("sesame", False)
    with socket.socket() as again:  # the child is gone too
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("option", "words"),
    [("--odd", "of a chat that were"), ("--die", "vLLM ended with status 3")],
)
def test_other_tokens_or_an_early_end_are_errors(
    option: str, words: str, played: Path, tiny_checkpoint: Path
) -> None:
    running, _ = start(played, tiny_checkpoint, f"--vllm-args={option}")
    out, said = running.communicate(timeout=120)
    assert (running.returncode, out) == (1, "")
    assert words in said


def test_adapters_come_with_their_rank(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm, "executable", lambda: "vllm")
    adapter = tmp_path / "lora"
    adapter.mkdir()
    config = {"base_model_name_or_path": str(tiny_checkpoint), "r": 20}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    beside = Serving(
        checkpoint=str(tiny_checkpoint), name="base", host="127.0.0.1", port=1,
        adapters={"heart": str(adapter)},
    )  # fmt: skip
    line = command(beside)
    assert line[line.index("--enable-lora") :] == [
        "--enable-lora", "--max-lora-rank", "32", "--lora-modules", f"heart={adapter}",
    ]  # fmt: skip
    itself = command(Serving(checkpoint=str(adapter), name="heart", host="127.0.0.1", port=1))
    assert itself[:3] == ["vllm", "serve", str(tiny_checkpoint)]
    assert itself[itself.index("--served-model-name") + 1] == "heart-base"
    assert itself[-1] == f"heart={adapter}"
    (adapter / "adapter_config.json").write_text("{}")
    with pytest.raises(UsageError, match="not a LoRA directory"):
        command(beside)


def test_without_it_the_hint_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm, "executable", lambda: None)
    assert not vllm.fits()
    with pytest.raises(UsageError, match="not installed"):
        command(Serving(checkpoint="x", name="x", host="127.0.0.1", port=1))
