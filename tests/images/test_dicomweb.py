"""The DICOMweb client against a small archive of ours, and against Orthanc where it is installed."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.images.pictures import chest, dicom
from wardround.errors import UsageError, WardroundError
from wardround.images.dicomweb import VARIABLE, fetch, find, store
from wardround.images.verdict import read_sr, verdict_on, write_sr


class _Archive(BaseHTTPRequestHandler):
    """Two studies' worth of PS3.18, enough for a client to be held to it."""

    objects: ClassVar[list[bytes]] = []
    secret: ClassVar[str] = ""
    asked: ClassVar[list[str]] = []

    def log_message(self, *_: Any) -> None:
        pass

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _let_in(self) -> bool:
        wanted = "Basic " + base64.b64encode(self.secret.encode()).decode()
        if self.secret and self.headers.get("Authorization") != wanted:
            self._send(401, "text/plain", b"no")
            return False
        return True

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if not self._let_in():
            return
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path.startswith("/broken"):
            self._send(200, "application/dicom+json", b"<html>")
        elif "/instances?" in self.path:
            first = int(self.path.rpartition("offset=")[2])
            found = [
                {t: {"vr": "UI", "Value": [v]} for t, v in zip(("0020000D", "0020000E", "00080018"), ("1.2.3.4", "1.2.3.4.5", f"1.9.{k}"), strict=True)}
                for k in range(len(self.objects))
            ]  # fmt: skip
            self._send(200, "application/dicom+json", json.dumps(found[first:]).encode())
        else:
            data = self.objects[int(self.path.rpartition(".")[2])]
            body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n--b--\r\n"
            self._send(200, 'multipart/related; type="application/dicom"; boundary=b', body)

    def do_POST(self) -> None:
        if not self._let_in():
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        taken = (
            [{"ok": True}] * body.count(b"Content-Type: application/dicom")
            if b"DICM" in body
            else []
        )
        self._send(200, "application/dicom+json", json.dumps({"00081199": {"vr": "SQ", "Value": taken}}).encode())  # fmt: skip


@pytest.fixture
def archive() -> Iterator[str]:
    _Archive.objects = [dicom(chest()), dicom(chest(260))]
    _Archive.secret, _Archive.asked = "", []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Archive)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_fetch_once(archive: str, tmp_path: Path) -> None:
    found = fetch(archive + "/", tmp_path / "in", {"Modality": "DX"})
    assert [p.name for p in found] == ["1.9.0.dcm", "1.9.1.dcm"]
    assert [p.read_bytes() for p in found] == _Archive.objects
    assert "Modality=DX" in _Archive.asked[0]
    before = len(_Archive.asked)
    assert fetch(archive, tmp_path / "in") == found
    assert len(_Archive.asked) == before + 1  # the list alone


def test_store_must_be_taken_whole(archive: str) -> None:
    store(archive, {"a": _Archive.objects[0], "b": _Archive.objects[1]})
    with pytest.raises(WardroundError, match="took 0 of 1"):
        store(archive, {"a": b"no dicom"})


def test_secrets_come_from_the_environment_alone(
    archive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _Archive.secret = "doctor:hunter2"
    with pytest.raises(WardroundError, match="401") as e:
        fetch(archive, tmp_path)
    assert VARIABLE in e.value.hint
    monkeypatch.setenv(VARIABLE, "doctor:hunter2")
    assert len(fetch(archive, tmp_path)) == 2
    with pytest.raises(UsageError) as wrong:
        fetch("http://doctor:hunter2@host/dicom-web", tmp_path)
    assert "hunter2" not in str(wrong.value)


def test_what_is_no_archive(archive: str, tmp_path: Path) -> None:
    for url, said in ((f"{archive}/moved", "redirects"), (f"{archive}/broken", "not a DICOMweb reply")):  # fmt: skip
        with pytest.raises(WardroundError, match=said):
            fetch(url, tmp_path)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with pytest.raises(WardroundError, match="refused"):
        fetch(f"http://127.0.0.1:{port}", tmp_path)
    with pytest.raises(UsageError, match="not a DICOMweb URL"):
        fetch("ftp://host/x", tmp_path)


# -- Orthanc --------------------------------------------------------------------------------------------------

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@contextmanager
def orthanc(tmp_path: Path) -> Iterator[str]:
    """Orthanc on free loopback ports with an empty store; yields its base URL."""
    command = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if command is None or not PLUGIN.is_file():
        pytest.skip("Orthanc with its DICOMweb plug-in is not installed (apt-get install orthanc orthanc-dicomweb)")  # fmt: skip
    with socket.socket() as a, socket.socket() as b:
        a.bind(("127.0.0.1", 0))
        b.bind(("127.0.0.1", 0))
        http, dimse = a.getsockname()[1], b.getsockname()[1]
    settings = {
        "Name": "test", "StorageDirectory": str(tmp_path / "store"), "IndexDirectory": str(tmp_path / "store"),
        "HttpPort": http, "DicomPort": dimse, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "DicomServerEnabled": False, "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    file = tmp_path / "orthanc.json"
    file.write_text(json.dumps(settings))
    base = f"http://127.0.0.1:{http}"
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen([command, str(file)], stdout=log, stderr=log)
    try:
        for _ in range(150):
            try:
                with urllib.request.urlopen(f"{base}/system", timeout=2):
                    break
            except OSError:
                if process.poll() is not None:
                    pytest.skip(f"Orthanc does not start here: {(tmp_path / 'log').read_text()[-300:]}")  # fmt: skip
                time.sleep(0.2)
        else:
            pytest.skip("Orthanc does not answer within 30 s")
        yield base
    finally:
        process.terminate()
        process.wait(20)


def test_orthanc_in_and_out(tmp_path: Path) -> None:
    with orthanc(tmp_path) as base:
        url = f"{base}/dicom-web"
        sent = {"1": dicom(chest()), "2": dicom(chest(260))}
        store(url, sent)
        found = fetch(url, tmp_path / "in", {"Modality": "DX"})
        assert len(found) == 2
        image = found[0].read_bytes()
        verdict = verdict_on(image, ("apex_cut",), "model-a")
        store(url, {"verdict": write_sr(verdict, image)})
        reports = fetch(url, tmp_path / "sr", {"Modality": "SR"})
        assert [read_sr(p.read_bytes()) for p in reports] == [verdict]
        assert {study for study, _, _ in find(url)} == {"1.2.3.4"}
