"""What an installation decides, as one plain record; `[web]` of `wardround.toml`, then the command line."""

from __future__ import annotations

from urllib.parse import urlsplit

from wardround.records import Record

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Provider(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One OpenID Connect provider, `[web.oidc.NAME]`.

    `link_by`: the claim that names an invited account at the first login ("email" counts only when the provider
    says it is verified). `roles_claim` with `roles` (claim value → our roles) lets in people who were not invited.
    """

    issuer: str
    client_id: str
    client_secret_env: str = ""
    label_zh: str = ""
    label_en: str = ""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    link_by: str = "email"
    roles_claim: str = ""
    roles: dict[str, tuple[str, ...]] = {}


class Settings(Record, frozen=True, kw_only=True):
    """Times in minutes. `base_url` is what people type; its scheme decides on secure cookies and HSTS."""

    base_url: str = "http://127.0.0.1:8000"
    hosts: tuple[str, ...] = ()
    session_minutes: int = 12 * 60
    idle_minutes: int = 2 * 60
    invitation_minutes: int = 7 * 24 * 60
    body_limit: int = 2_000_000
    upload_limit: int = 10_000_000
    title: str = ""
    oidc: dict[str, Provider] = {}

    @property
    def https(self) -> bool:
        """Whether people reach it by https."""
        return self.base_url.startswith("https://")

    @property
    def host(self) -> str:
        """Host, with a port that is not the scheme's own, as browsers send it."""
        return urlsplit(self.base_url).netloc.lower()

    def knows(self, host: str) -> bool:
        """Whether a Host header is one of ours; on a loopback installation any port of it."""
        host = host.lower()
        if host == self.host or host in self.hosts:
            return True
        name = urlsplit(f"//{host}").hostname or ""
        return name in LOOPBACK and urlsplit(self.base_url).hostname in LOOPBACK

    def cookie(self, name: str) -> str:
        """A cookie's full name. `__Host-` where it can be: no sibling host can set one of that name."""
        return f"__Host-wardround_{name}" if self.https else f"wardround_{name}"
