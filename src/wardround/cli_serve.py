"""`wardround serve`: a checkpoint behind an OpenAI-compatible server."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

from wardround.cli_common import positive
from wardround.errors import UsageError

LAST_PORT = 65535


def arguments(p: argparse.ArgumentParser) -> None:
    """The command's options."""
    p.add_argument("checkpoint", metavar="CHECKPOINT", help="directory, or scripted:NAME")
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=int, default=8000, help="0 takes a free one (not with vLLM)")
    p.add_argument("--name", help="name it is served under (default: the directory's)")
    p.add_argument(
        "--backend", choices=("auto", "vllm", "transformers"), default="auto",
        help="auto: vLLM when it is installed and there is a GPU",
    )  # fmt: skip
    p.add_argument("--batch-size", type=int, default=32, metavar="N", help="answers made at once")
    p.add_argument(
        "--queue-limit", type=int, default=256, metavar="N", help="requests in at once, then 503"
    )
    p.add_argument(
        "--api-key-env",
        default="",
        metavar="VAR",
        help="clients must send the key in this variable",
    )
    p.add_argument(
        "--adapter", action="append", default=[], metavar="NAME=DIR",
        help="vLLM: serve this LoRA too, under its name; may be repeated",
    )  # fmt: skip
    p.add_argument("--vllm-args", default="", metavar="ARGS", help="more options for `vllm serve`")


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop; returns the exit status."""
    positive(args, "batch_size", "queue_limit")
    if not 0 <= args.port <= LAST_PORT:  # said before the weights are loaded
        raise UsageError(
            f"--port {args.port}: no port", hint=f"1 to {LAST_PORT}; 0 takes a free one"
        )
    key = _key(args.api_key_env)
    if _on_vllm(args):
        return _vllm(args, key)
    if args.adapter or args.vllm_args:
        raise UsageError(
            "--adapter and --vllm-args are for vLLM",
            hint="without it, serve an adapter's directory itself, or merge it",
        )
    from wardround.models import server
    from wardround.models.names import ModelOptions, open_model

    spec = args.checkpoint if ":" in args.checkpoint else f"local:{args.checkpoint}"
    model = open_model(spec, options=ModelOptions(batch_size=args.batch_size))
    model.name = args.name or model.name
    chat = server.ChatServer(
        model, host=args.host, port=args.port, queue_limit=args.queue_limit, api_key=key
    )
    server.serve(model, server=chat, as_json=args.json)
    return 0


def _key(variable: str) -> str:
    key = os.environ.get(variable, "") if variable else ""
    if variable and not key:
        raise UsageError(
            f"--api-key-env {variable}: not set", hint=f"export {variable}=… and start again"
        )
    return key


def _on_vllm(args: argparse.Namespace) -> bool:
    """Whether vLLM is to serve: asked for, or there and able to."""
    directory = ":" not in args.checkpoint or args.checkpoint.startswith("local:")
    if args.backend == "vllm" and not directory:
        raise UsageError(f"--backend vllm: {args.checkpoint} is no checkpoint directory")
    if args.backend != "auto" or not directory:
        return bool(args.backend == "vllm")
    from wardround.models.vllm import fits

    return fits()


def _vllm(args: argparse.Namespace, key: str) -> int:
    from wardround.models.local import LocalModel
    from wardround.models.vllm import Serving, serve

    path = Path(args.checkpoint.removeprefix("local:"))
    model = LocalModel(path)  # only to refuse what is no checkpoint; nothing is loaded
    pairs = [text.partition("=") for text in args.adapter]
    wrong = [name for name, _, where in pairs if not name or not Path(where).is_dir()]
    if wrong or args.port == 0:
        what = f"--adapter {wrong[0]}: not NAME=DIR" if wrong else "--port 0: vLLM needs a number"
        raise UsageError(what, hint="see wardround serve --help")
    serving = Serving(
        checkpoint=str(path.resolve()), name=args.name or model.name, host=args.host, port=args.port,
        adapters={name: str(Path(where).resolve()) for name, _, where in pairs},
        options=tuple(shlex.split(args.vllm_args)), api_key=key,
    )  # fmt: skip
    serve(serving, as_json=args.json)
    return 0
