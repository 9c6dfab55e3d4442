"""HTTP calls to one host, on libcurl: what `endpoint` needs of a client and no more.

libcurl does the waiting for its sockets in the running event loop, keeps connections, and speaks TLS and to proxies. No
redirect is followed, no cookie kept, and of the environment only the certificates of SSL_CERT_FILE and SSL_CERT_DIR are
read. libcurl and not aiohttp, which takes twice as much of the processor for a call (decision 21).
"""

from __future__ import annotations

import ssl
import string
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

import pycurl

MOST_IDLE = 1024
"""Connections that are kept: no fewer than may be in flight at once."""
LITTLE, MUCH = 16_384, 524_288
"""Bytes of the buffer that a body goes through, one for each call: a text's, and a picture's."""


class CallError(Exception):
    """A call without a whole reply. `there`: a reply had begun; `late`: it was sent, and nothing came in time."""

    def __init__(self, words: str, *, there: bool = False, late: bool = False) -> None:
        super().__init__(words)
        self.there, self.late = there, late


class Reply:
    """A whole reply, whatever its status."""

    def __init__(self, status: int, head: Sequence[bytes], data: bytes) -> None:
        self.status, self.data = status, data
        self._head = head

    def header(self, name: str) -> str:
        """The last header of this name, "" where there is none."""
        found = ""
        for line in self._head:
            key, _, value = line.partition(b":")
            if key.strip().lower() == name.lower().encode():
                found = value.strip().decode("latin-1")
        return found

    @property
    def content_type(self) -> str:
        """Without its parameters."""
        return self.header("content-type").partition(";")[0].strip().lower()


class Calls:
    """All calls of one event loop, on connections that are used again."""

    def __init__(self, headers: Mapping[str, str], proxy: str | None, connect_s: float) -> None:
        self._lines = [f"{k}: {v}".encode() for k, v in headers.items()]
        self._proxy, self._connect_ms = proxy or "", max(1, round(connect_s * 1000))
        self._multi = pycurl.AsyncCurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, MOST_IDLE)
        self._free: list[pycurl.Curl] = []

    async def call(self, url: str, timeout_s: float, body: Sequence[bytes] = ()) -> Reply:
        """One POST of the body's pieces, or a GET without any. `CallError` when there is no whole reply."""
        easy = self._free.pop() if self._free else self._easy()
        head: list[bytes] = []
        data: list[bytes] = []
        try:
            _aim(easy, url, timeout_s, body)
            easy.setopt(pycurl.HEADERFUNCTION, head.append)
            easy.setopt(pycurl.WRITEFUNCTION, data.append)
            await self._multi.perform(easy)
        except pycurl.error as e:
            code, words = e.args
            late = code == pycurl.E_OPERATION_TIMEDOUT and easy.getinfo(pycurl.REQUEST_SIZE) > 0
            if code == pycurl.E_SEND_FAIL_REWIND:  # see _reader
                words = "connection lost before a reply"
            # Not whether there is a `head`: a proxy's is in it too.
            there = easy.getinfo(pycurl.RESPONSE_CODE) > 0
            raise CallError(words or f"curl error {code}", there=there, late=late) from None
        self._free.append(easy)
        return Reply(easy.getinfo(pycurl.RESPONSE_CODE), head, b"".join(data))

    async def close(self) -> None:
        """Close all connections; what is under way is cancelled."""
        await self._multi.aclose()
        for easy in self._free:
            easy.close()
        self._free.clear()

    def _easy(self) -> pycurl.Curl:
        easy = pycurl.Curl()
        easy.setopt(pycurl.NOSIGNAL, 1)
        easy.setopt(pycurl.TCP_KEEPALIVE, 1)  # a model may think for minutes, and routers forget
        easy.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        easy.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        easy.setopt(pycurl.USERAGENT, "wardround")
        easy.setopt(pycurl.ACCEPT_ENCODING, "gzip, deflate")
        easy.setopt(pycurl.HTTPHEADER, [*self._lines, b"Expect:"])
        easy.setopt(pycurl.CONNECTTIMEOUT_MS, self._connect_ms)
        easy.setopt(pycurl.PROXY, self._proxy)  # "" is none, where unset would be the environment's
        easy.setopt(pycurl.NOPROXY, "")
        paths = ssl.get_default_verify_paths()
        if paths.cafile:
            easy.setopt(pycurl.CAINFO, paths.cafile)
        if paths.capath:
            easy.setopt(pycurl.CAPATH, paths.capath)
        if not (paths.cafile or paths.capath):
            easy.setopt(pycurl.SSL_OPTIONS, pycurl.SSLOPT_NATIVE_CA)
        return easy


def _aim(easy: pycurl.Curl, url: str, timeout_s: float, body: Sequence[bytes]) -> None:
    easy.setopt(pycurl.URL, quote(url, safe=string.punctuation))
    easy.setopt(pycurl.TIMEOUT_MS, max(1, round(timeout_s * 1000)))
    if not body:
        easy.setopt(pycurl.HTTPGET, 1)
        return
    size = sum(map(len, body))
    easy.setopt(pycurl.POST, 1)
    easy.setopt(pycurl.POSTFIELDSIZE_LARGE, size)
    easy.setopt(pycurl.UPLOAD_BUFFERSIZE, LITTLE if size < 4 * LITTLE else MUCH)
    easy.setopt(pycurl.READFUNCTION, _reader(body))


def _reader(pieces: Sequence[bytes]) -> Callable[[int], bytes]:
    """Hands out the pieces one after the other, so that none is copied into one long text.

    It can't be wound back, or libcurl would send a request whose connection was lost once more by itself, and uncounted.
    """
    at, place = 0, 0

    def read(size: int) -> bytes:
        nonlocal at, place
        while at < len(pieces):
            if found := pieces[at][place : place + size]:
                place += len(found)
                return found
            at, place = at + 1, 0
        return b""

    return read
