"""Artifacts: directories with a manifest. Every step reads some and writes one.

Life of an artifact. `begin` makes the directory and takes its lock; while work goes on it holds
`unsealed.json` (kind, configuration, inputs) and whatever the step writes. `Workspace.seal` digests every
file, writes `manifest.json` by one atomic rename and only then removes `unsealed.json`. So a directory with
no manifest is unfinished work: `open_artifact` refuses it, and `begin` with the same kind, configuration and
inputs goes on with it; under any other configuration `begin` raises `ConfigMismatchError`.

Digests. `config_digest` covers kind, configuration and the digests of all inputs. `digest` covers that and
every *content* file; files that differ between equal runs (journals with latencies, logs) are listed and
checked too, but declared volatile and kept out of it. Two runs that did the same work have the same `digest`.
`report.html` is derived from the rest by `wardround show` and is not part of the artifact.

Lineage is the chain of `inputs` digests; `lineage.verify` walks it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from wardround import __version__
from wardround.errors import ArtifactError, ConfigMismatchError, NotSealedError, UsageError
from wardround.journal import Journal, lock
from wardround.records import SCHEMA_VERSION, Record, decode, encode

MANIFEST = "manifest.json"
UNSEALED = "unsealed.json"
DERIVED = frozenset({"report.html"})
WORK = "work"


class FileEntry(Record, frozen=True, kw_only=True):
    """One file: path relative to the artifact, SHA-256 in hex, size in bytes, part of the content digest?"""

    path: str
    sha256: str
    bytes: int
    content: bool = True


class InputRef(Record, frozen=True, kw_only=True):
    """One input: its role ("source", "base", …), kind ("file", "directory" or an artifact kind), the path as
    seen from the artifact, and its digest (SHA-256 of the file, or the artifact's own digest)."""

    role: str
    kind: str
    path: str
    digest: str


class Manifest(Record, frozen=True, kw_only=True):
    """What `manifest.json` holds. `labels` are the sentences every report of this artifact must show."""

    schema: int
    kind: str
    digest: str
    config: dict[str, Any]
    config_digest: str
    inputs: tuple[InputRef, ...]
    files: tuple[FileEntry, ...]
    counts: dict[str, int]
    labels: tuple[str, ...] = ()
    cost: dict[str, float] = {}
    seed: int | None = None
    software: str = f"wardround {__version__}"
    commit: str = ""
    created: str = ""
    seconds: float = 0.0
    sessions: int = 1


class _Unsealed(Record, frozen=True, kw_only=True):
    kind: str
    config: dict[str, Any]
    config_digest: str
    inputs: tuple[InputRef, ...]
    seconds: float = 0.0
    sessions: int = 1


class Artifact(Record, frozen=True, kw_only=True):
    """A sealed artifact: where it is and its manifest."""

    path: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """Path of a file in it; raises `ArtifactError` when the manifest does not list it."""
        if not any(f.path == name for f in self.manifest.files):
            raise ArtifactError(
                f"{self.path}: this {self.manifest.kind} artifact has no file {name}"
            )
        return self.path / name

    def has(self, name: str) -> bool:
        """Whether the manifest lists the file."""
        return any(f.path == name for f in self.manifest.files)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex, read in blocks."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def digest_of(value: object) -> str:
    """SHA-256 in hex of a value's canonical JSON."""
    return hashlib.sha256(encode(value)).hexdigest()


def walk(path: Path) -> list[Path]:
    """Every file below `path`, sorted."""
    return sorted(p for p in path.rglob("*") if p.is_file())


def ref(path: Path | str, role: str, *, seen_from: Path) -> InputRef:
    """Describe an input file or directory as seen from the artifact directory `seen_from`.

    An artifact gives its own kind and digest and must be sealed; a plain directory (a Hugging Face
    checkpoint, say) gives the digest of its sorted file names and contents.
    """
    path = Path(path)
    if not path.exists():
        raise UsageError(f"{path}: no such file or directory", hint="check the path")
    relative = os.path.relpath(path.resolve(), seen_from.resolve())
    if path.is_file():
        return InputRef(role=role, kind="file", path=relative, digest=sha256_file(path))
    if (path / MANIFEST).exists() or (path / UNSEALED).exists():
        manifest = open_artifact(path).manifest
        return InputRef(role=role, kind=manifest.kind, path=relative, digest=manifest.digest)
    return InputRef(role=role, kind="directory", path=relative, digest=directory_digest(path))


def directory_digest(path: Path) -> str:
    """Digest of a plain directory: its sorted file names and their contents."""
    return digest_of([(str(p.relative_to(path)), sha256_file(p)) for p in walk(path)])


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that a reader sees the old file or the new one, never a piece."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    os.replace(temporary, path)


class Workspace:
    """An artifact being written. Made by `begin`; ends by `seal`, or stays unsealed for a later session.

    `done` is the manifest when the very same work was already sealed here: the caller has nothing to do.
    """

    def __init__(self, path: Path, state: _Unsealed, *, done: Manifest | None) -> None:
        self.path = path
        self.kind = state.kind
        self.config_digest = state.config_digest
        self.done = done
        self.resumed = state.sessions > 1
        self._state = state
        self._lock_fd = -1
        self._owned = False
        self._started = time.monotonic()
        self._volatile: set[str] = set()

    def file(self, name: str) -> Path:
        """Path for a content file, its folder made."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def volatile(self, name: str) -> Path:
        """Path for a file or folder that may differ between equal runs: listed, but not in the digest."""
        self._volatile.add(name)
        return self.file(name)

    def work(self) -> Path:
        """A folder for what only the work itself needs (training states): never part of the artifact, and
        removed by `seal` once the manifest is written, so a kill before that loses none of it."""
        (self.path / WORK).mkdir(exist_ok=True)
        return self.path / WORK

    def journal(self, name: str = "journal.jsonl", *, sync_lines: int = 64) -> Journal:
        """The journal `name`, bound to this artifact's configuration; `sync_lines` as in `Journal`."""
        return Journal(self.volatile(name), config=self.config_digest, sync_lines=sync_lines)

    def write_json(self, name: str, value: object) -> None:
        """Write one JSON file, indented, keys sorted."""
        write_atomically(self.file(name), msgspec.json.format(encode(value), indent=1) + b"\n")

    def write_jsonl(self, name: str, rows: Iterable[object]) -> int:
        """Write rows one a line as they come; returns their number. The file appears only when whole."""
        path = self.file(name)
        temporary = path.with_name(path.name + ".part")
        count = 0
        with open(temporary, "wb") as f:
            for row in rows:
                f.write(encode(row) + b"\n")
                count += 1
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
        return count

    def seal(
        self,
        *,
        counts: Mapping[str, int],
        labels: Iterable[str] = (),
        cost: Mapping[str, float] | None = None,
        seed: int | None = None,
    ) -> Artifact:
        """Digest every file, write the manifest, and close. After this the directory is an artifact."""
        files = tuple(self._entry(p) for p in walk(self.path) if self._belongs(p))
        manifest = Manifest(
            schema=SCHEMA_VERSION,
            kind=self.kind,
            digest=content_digest(self.kind, self.config_digest, files),
            config=self._state.config,
            config_digest=self.config_digest,
            inputs=self._state.inputs,
            files=files,
            counts=dict(counts),
            labels=tuple(labels),
            cost=dict(cost or {}),
            seed=seed,
            commit=_commit(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(self._state.seconds + time.monotonic() - self._started, 3),
            sessions=self._state.sessions,
        )
        data = msgspec.json.format(encode(manifest), indent=1) + b"\n"
        write_atomically(self.path / MANIFEST, data)
        shutil.rmtree(self.path / WORK, ignore_errors=True)
        (self.path / UNSEALED).unlink()
        self.close()
        self.done = manifest
        return Artifact(path=self.path, manifest=manifest)

    def _belongs(self, path: Path) -> bool:
        if path.name.endswith(".part"):
            path.unlink()
            return False
        name = path.relative_to(self.path)
        return name.parts[0] != WORK and str(name) not in {MANIFEST, UNSEALED, *DERIVED}

    def _entry(self, path: Path) -> FileEntry:
        name = path.relative_to(self.path).as_posix()
        volatile = any(name == v or name.startswith(v + "/") for v in self._volatile)
        return FileEntry(
            path=name, sha256=sha256_file(path), bytes=path.stat().st_size, content=not volatile
        )

    def take_lock(self) -> None:
        """Hold the directory against other processes until `seal` or `close`."""
        fd = os.open(self.path / UNSEALED, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            lock(fd, self.path)
        except BaseException:
            os.close(fd)
            raise
        self._lock_fd = fd

    def save_state(self) -> None:
        """Write `unsealed.json` in place (its descriptor carries the lock, so it is not replaced)."""
        os.ftruncate(self._lock_fd, 0)
        os.pwrite(self._lock_fd, encode(self._state), 0)
        os.fsync(self._lock_fd)
        self._owned = True

    def close(self) -> None:
        """Free the lock; unless it was sealed, the directory stays unsealed, its time so far kept."""
        if self._lock_fd >= 0:
            if self._owned and (self.path / UNSEALED).exists():
                spent = self._state.seconds + time.monotonic() - self._started
                self._state = msgspec.structs.replace(self._state, seconds=round(spent, 3))
                with contextlib.suppress(OSError):
                    self.save_state()
            os.close(self._lock_fd)
            self._lock_fd = -1

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def begin(
    path: Path | str, *, kind: str, config: dict[str, Any], inputs: Iterable[InputRef] = ()
) -> Workspace:
    """Start or go on with the artifact at `path`.

    Raises `ConfigMismatchError` when `path` holds work of another kind, configuration or inputs (naming
    what differs), `UsageError` when it holds files that are no artifact's, `BusyError` when another process
    works there.
    """
    path = Path(path)
    refs = tuple(inputs)
    config_digest = digest_of([kind, config, [(r.role, r.kind, r.digest) for r in refs]])
    state = _Unsealed(kind=kind, config=config, config_digest=config_digest, inputs=refs)
    if (path / MANIFEST).exists():
        manifest = open_artifact(path).manifest
        _same_work(path, state, manifest)
        return Workspace(path, state, done=manifest)
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path}: is a file", hint="name a directory to write")
    if path.is_dir() and any(path.iterdir()) and not (path / UNSEALED).exists():
        raise UsageError(
            f"{path}: holds files that are not an unfinished artifact",
            hint="name a new or empty directory; nothing there was touched",
        )
    path.mkdir(parents=True, exist_ok=True)
    workspace = Workspace(path, state, done=None)
    workspace.take_lock()
    try:
        previous = _read_unsealed(path)
        if previous is not None:
            _same_work(path, state, previous)
            state = msgspec.structs.replace(state, sessions=previous.sessions + 1)
            workspace = _continue(workspace, state)
        workspace.save_state()
    except BaseException:
        workspace.close()
        raise
    return workspace


def _continue(workspace: Workspace, state: _Unsealed) -> Workspace:
    resumed = Workspace(workspace.path, state, done=None)
    resumed._lock_fd = workspace._lock_fd
    return resumed


def _read_unsealed(path: Path) -> _Unsealed | None:
    """The state left by an earlier session; None when new, or killed before its state was whole."""
    data = (path / UNSEALED).read_bytes()
    try:
        return decode(data, _Unsealed)
    except msgspec.DecodeError:
        if all(p.name == UNSEALED for p in path.iterdir()):
            return None
        raise ArtifactError(
            f"{path / UNSEALED}: cannot be read, so what this directory holds is unknown",
            hint="choose another --out, or remove the directory",
        ) from None


def _same_work(path: Path, now: _Unsealed, then: _Unsealed | Manifest) -> None:
    if now.config_digest == then.config_digest:
        return
    different = []
    if now.kind != then.kind:
        different.append(f"kind: {then.kind} → {now.kind}")
    for key in sorted({*now.config, *then.config}):
        a, b = then.config.get(key), now.config.get(key)
        if encode(a) != encode(b):
            different.append(f"{key}: {_short(a)} → {_short(b)}")
    a_inputs = {(r.role, r.digest) for r in then.inputs}
    b_inputs = {(r.role, r.digest) for r in now.inputs}
    different += sorted(f"input {role}: {digest[:12]}" for role, digest in a_inputs ^ b_inputs)
    raise ConfigMismatchError(
        f"{path}: holds work done under another configuration ({'; '.join(different)})",
        hint="choose another --out, or repeat the command exactly as it was",
    )


def _short(value: object) -> str:
    text = encode(value).decode()
    return text if len(text) <= 60 else text[:57] + "…"


def content_digest(kind: str, config_digest: str, files: Iterable[FileEntry]) -> str:
    """The artifact's own digest: kind, configuration digest and its content files."""
    content = sorted((f.path, f.sha256) for f in files if f.content)
    return digest_of([SCHEMA_VERSION, kind, config_digest, content])


def _commit() -> str:
    """Git commit of the running code, with "+dirty" when the tree differs; "" outside a checkout."""
    here = Path(__file__).resolve().parent
    if shutil.which("git") is None or not (here.parents[1] / ".git").exists():
        return ""
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+dirty", "--exclude=*"],
            cwd=here, capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""


def open_artifact(path: Path | str, kind: str | None = None) -> Artifact:
    """A sealed artifact. Raises `NotSealedError` for unfinished work, `ArtifactError` for anything else."""
    path = Path(path)
    if not path.exists():
        raise UsageError(f"{path}: no such directory", hint="check the path")
    if not (path / MANIFEST).exists():
        if (path / UNSEALED).exists():
            raise NotSealedError(
                f"{path}: unfinished, never sealed",
                hint="run the command that was writing it again; it goes on where it stopped",
            )
        raise ArtifactError(f"{path}: not an artifact (no {MANIFEST})", hint="check the path")
    try:
        manifest = decode((path / MANIFEST).read_bytes(), Manifest)
    except msgspec.DecodeError as e:
        raise ArtifactError(
            f"{path / MANIFEST}: not a manifest ({e})", hint="restore the directory from a copy"
        ) from e
    if manifest.schema > SCHEMA_VERSION:
        raise ArtifactError(
            f"{path}: written by a newer version (schema {manifest.schema}, here {SCHEMA_VERSION})",
            hint="upgrade wardround",
        )
    if kind is not None and manifest.kind != kind:
        raise ArtifactError(f"{path}: a {manifest.kind} artifact; a {kind} is needed here")
    return Artifact(path=path, manifest=manifest)
