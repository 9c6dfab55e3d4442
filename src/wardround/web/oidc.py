"""Logging in by OpenID Connect: authorization code with PKCE, state and nonce; the ID token checked in full.

A person is the provider's issuer and subject, never a name or an e-mail address. The first login links to an account
an administrator has opened (by an e-mail address the provider has verified, or a claim that names the account), or
opens one where the installation maps a claim to roles. Whoever fits neither is refused.

What must be remembered between leaving and coming back (state, nonce, verifier, where to) travels in a cookie of ten
minutes that only this browser has; coming back with another state is refused.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from httpx2 import Client, HTTPError
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from wardround.errors import RefusedError, UsageError, WardroundError
from wardround.records import Record
from wardround.web.settings import LOOPBACK, Provider
from wardround.web.words import said

ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)
LEEWAY = 60  # seconds the provider's clock may be off
FRESH = 3600  # seconds a provider's description and keys are kept
PENDING_SECONDS = 600
TIMEOUT = 10.0


class ProviderError(WardroundError):
    """The provider can't be reached, or doesn't keep to the standard. `why` is for the log."""

    why = ""


class NotProvenError(RefusedError):
    """What a provider sent back doesn't hold. `why` is for the log; a person reads the same each time."""

    why = ""


class Pending(Record, frozen=True, kw_only=True):
    """A login that has left for the provider."""

    provider: str
    state: str
    nonce: str
    verifier: str
    target: str


class Known(Record, frozen=True, kw_only=True):
    """Who a provider says somebody is; `claims` are those of a checked ID token."""

    provider: str
    issuer: str
    subject: str
    claims: dict[str, Any]

    @property
    def verified_email(self) -> str:
        """The e-mail address, when the provider says that it is verified; else empty."""
        email = self.claims.get("email")
        return (
            email.strip().lower()
            if isinstance(email, str) and self.claims.get("email_verified") is True
            else ""
        )


def begin(name: str, provider: Provider, redirect: str, target: str) -> tuple[str, Pending]:
    """The provider's address to send the browser to, and what to remember until it comes back."""
    described = _described(provider)
    pending = Pending(
        provider=name, state=secrets.token_urlsafe(32), nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48), target=target,
    )  # fmt: skip
    with _client(provider, described, redirect) as client:
        url, _ = client.create_authorization_url(
            described["authorization_endpoint"], state=pending.state, nonce=pending.nonce,
            code_verifier=pending.verifier,
        )  # fmt: skip
    return str(url), pending


def finish(provider: Provider, pending: Pending, params: dict[str, str], redirect: str) -> Known:
    """Who came back. `RefusedError` for an answer that isn't to our question or a token that doesn't hold."""
    if not secrets.compare_digest(params.get("state", ""), pending.state):
        raise refused("state")
    described = _described(provider)
    if params.get("iss", provider.issuer) != provider.issuer:
        raise refused("iss")
    if "error" in params or "code" not in params:
        raise refused(params.get("error", "no code")[:60])
    try:
        with _client(provider, described, redirect) as client:
            token = client.fetch_token(
                described["token_endpoint"], code=params["code"], code_verifier=pending.verifier,
                grant_type="authorization_code",
            )  # fmt: skip
    except OAuthError as e:
        raise refused(e.error or "token") from None
    except (HTTPError, ValueError) as e:
        raise _down(provider, e) from None
    claims = _checked(provider, described, token, pending.nonce)
    return Known(
        provider=pending.provider,
        issuer=provider.issuer,
        subject=str(claims["sub"]),
        claims=dict(claims),
    )


def _checked(
    provider: Provider, described: dict[str, Any], token: dict[str, Any], nonce: str
) -> CodeIDToken:
    """The ID token's claims: signature, algorithm, issuer, audience, times, nonce, at_hash."""
    raw = token.get("id_token")
    if not isinstance(raw, str):
        raise refused("no id_token")
    offered = described.get("id_token_signing_alg_values_supported") or ["RS256"]
    allowed = [a for a in ALGORITHMS if a in offered]
    try:
        try:
            decoded = jwt.decode(raw, _keys(provider, described), algorithms=allowed)
        except (JoseError, ValueError):  # perhaps signed with a key made since
            decoded = jwt.decode(raw, _keys(provider, described, anew=True), algorithms=allowed)
        claims = CodeIDToken(
            decoded.claims, decoded.header,
            options={
                "iss": {"essential": True, "value": provider.issuer},
                "aud": {"essential": True, "value": provider.client_id},
                "sub": {"essential": True},
            },
            params={
                "nonce": nonce, "client_id": provider.client_id,
                "access_token": token.get("access_token"),
            },
        )  # fmt: skip
        claims.validate(leeway=LEEWAY)
    except (JoseError, ValueError, TypeError) as e:
        raise refused(type(e).__name__) from None
    audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if set(audience) != {provider.client_id} or not str(claims["sub"]):
        raise refused("aud")
    return claims


def roles_by_claim(provider: Provider, claims: dict[str, Any]) -> list[str]:
    """The roles a provider's claim gives here; empty where none is mapped."""
    if not provider.roles_claim:
        return []
    value: Any = claims
    for step in provider.roles_claim.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    values = value if isinstance(value, list) else [value]
    found = {role for v in values if isinstance(v, str) for role in provider.roles.get(v, ())}
    return sorted(found)


def refused(why: str) -> NotProvenError:
    """The one error for every answer that doesn't hold."""
    error = said(
        NotProvenError,
        "登录没有通过校验，请重新登录。",
        "This login did not pass the checks. Please log in again.",
    )
    error.why = why
    return error


def _down(provider: Provider, why: object) -> ProviderError:
    error = said(
        ProviderError, "统一登录服务暂时无法使用，请稍后再试，或用密码登录。",
        "The login service can't be used right now. Try again later, or log in with a password.",
    )  # fmt: skip
    error.why = f"{provider.issuer}: {type(why).__name__ if isinstance(why, Exception) else why}"
    return error


_lock = threading.Lock()
_kept: dict[tuple[str, str], tuple[float, Any]] = {}


def _fetch(url: str, *, anew: bool = False) -> Any:
    """A JSON document of a provider, kept for an hour."""
    with _lock:
        at, found = _kept.get(("json", url), (0.0, None))
    if found is not None and not anew and time.monotonic() - at < FRESH:
        return found
    with Client(timeout=TIMEOUT, follow_redirects=False) as client:
        reply = client.get(url, headers={"Accept": "application/json"})
        reply.raise_for_status()
        found = msgspec.json.decode(reply.content)
    with _lock:
        _kept[("json", url)] = (time.monotonic(), found)
    return found


def _described(provider: Provider) -> dict[str, Any]:
    """The provider's own description (discovery), which must be of this very issuer and, but on loopback, https."""
    try:
        found = _fetch(provider.issuer.rstrip("/") + "/.well-known/openid-configuration")
    except (HTTPError, msgspec.DecodeError) as e:
        raise _down(provider, e) from None
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    if not isinstance(found, dict) or found.get("issuer") != provider.issuer:
        raise _down(provider, "describes another issuer")
    if not all(isinstance(found.get(n), str) and _safe(found[n]) for n in names):
        raise _down(provider, "endpoints missing or not https")
    return found


def _safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def _keys(provider: Provider, described: dict[str, Any], *, anew: bool = False) -> KeySet:
    """Its public keys for signatures. Symmetric keys are left out: they'd let anybody sign who knows our secret."""
    try:
        found = _fetch(described["jwks_uri"], anew=anew)
        keys = [k for k in found["keys"] if k.get("kty") != "oct" and k.get("use", "sig") == "sig"]
        return KeySet.import_key_set({"keys": keys})
    except (HTTPError, msgspec.DecodeError, KeyError, TypeError) as e:
        raise _down(provider, e) from None


def _client(provider: Provider, described: dict[str, Any], redirect: str) -> OAuth2Client:
    secret = os.environ.get(provider.client_secret_env, "") if provider.client_secret_env else ""
    methods = described.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
    return OAuth2Client(
        provider.client_id, secret or None, scope=" ".join(provider.scopes), redirect_uri=redirect,
        token_endpoint_auth_method=method if secret else "none", code_challenge_method="S256",
        timeout=TIMEOUT, follow_redirects=False,
    )  # fmt: skip


def check(providers: dict[str, Provider]) -> None:
    """`UsageError` for a provider that can't be right; nothing is asked of it."""
    for name, p in providers.items():
        if not _safe(p.issuer):
            raise UsageError(
                f"[web.oidc.{name}]: the issuer must be https", hint=f"it says {p.issuer}"
            )
        if p.client_secret_env and not os.environ.get(p.client_secret_env):
            raise UsageError(
                f"[web.oidc.{name}]: {p.client_secret_env} is not set",
                hint="export the client's secret under that name",
            )
