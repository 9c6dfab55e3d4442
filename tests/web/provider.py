"""A small real OpenID Connect provider for tests: discovery, authorization page, token endpoint, keys, RS256.

It keeps to the standard (PKCE is checked, a code works once, for one redirect address) unless a test twists it:
`twist["claims"]` changes the ID token's claims, `twist["header"]` its header, and so on, as named below.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Form, Request
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from tests.web.world import served

CLIENT, SECRET = "wardround", "a secret of the test's own"


class OidcProvider:
    """People who can log in (`people`: subject → claims), what was issued, and how it is to misbehave."""

    def __init__(self) -> None:
        self.issuer = ""
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.people: dict[str, dict[str, Any]] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.used: list[str] = []
        self.twist: dict[str, Any] = {}
        self.app = FastAPI()
        self.app.get("/.well-known/openid-configuration")(self.describe)
        self.app.get("/keys")(self.keys)
        self.app.get("/authorize")(self.authorize)
        self.app.post("/authorize")(self.grant)
        self.app.post("/token")(self.token)

    def describe(self) -> Any:
        base = self.issuer
        return {
            "issuer": self.twist.get("issuer", base), "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": self.twist.get("token_endpoint", f"{base}/token"), "jwks_uri": f"{base}/keys",
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": self.twist.get("algorithms", ["RS256"]),
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }  # fmt: skip

    def keys(self) -> Any:
        return {"keys": [self.key.as_dict(private=False)]}

    def authorize(self, request: Request) -> Response:
        """The login page: one button for each person; `login_hint` logs in at once, as tests without a browser do."""
        asked = dict(request.query_params)
        assert asked["client_id"] == CLIENT and asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256" and "openid" in asked["scope"].split()
        assert len(asked["state"]) >= 32 and len(asked["nonce"]) >= 32
        if "login_hint" in asked:
            return self._back(asked, asked["login_hint"])
        fields = "".join(
            f'<input type="hidden" name="{k}" value="{v}">'
            for k, v in asked.items()
            if '"' not in v
        )
        buttons = "".join(f'<button name="person" value="{p}">{p}</button>' for p in self.people)
        return HTMLResponse(f'<h1>Provider</h1><form method="post">{fields}{buttons}</form>')

    async def grant(self, request: Request) -> Response:
        form = {k: str(v) for k, v in (await request.form()).items()}
        return self._back(form, form["person"])

    def _back(self, asked: dict[str, str], person: str) -> Response:
        code = secrets.token_urlsafe(24)
        self.codes[code] = {**asked, "person": person}
        state = self.twist.get("state", asked["state"])
        extra = f"&iss={self.twist['iss']}" if "iss" in self.twist else ""
        return RedirectResponse(
            f"{asked['redirect_uri']}?code={code}&state={state}{extra}", status_code=303
        )

    def token(
        self, request: Request, grant_type: Annotated[str, Form()], code: Annotated[str, Form()],
        redirect_uri: Annotated[str, Form()], code_verifier: Annotated[str, Form()],
    ) -> Response:  # fmt: skip
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        asked = self.codes.pop(code, None)
        digest = hashlib.sha256(code_verifier.encode()).digest()
        challenge = _part(digest)
        fits = (
            asked is not None
            and asked["redirect_uri"] == redirect_uri
            and asked["code_challenge"] == challenge
        )
        if grant_type != "authorization_code" or asked is None or not fits:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        self.used.append(code)
        access = secrets.token_urlsafe(24)
        body = {"access_token": access, "token_type": "Bearer", "expires_in": 300}
        if "no_id_token" not in self.twist:
            body["id_token"] = self._id_token(asked, access)
        return JSONResponse(body)

    def _id_token(self, asked: dict[str, str], access: str) -> str:
        at = int(time.time())
        half = _part(hashlib.sha256(access.encode()).digest()[:16])
        claims: dict[str, Any] = {
            "iss": self.issuer, "sub": asked["person"], "aud": CLIENT, "iat": at, "exp": at + 300,
            "nonce": asked["nonce"], "at_hash": half,
            **self.people[asked["person"]], **self.twist.get("claims", {}),
        }  # fmt: skip
        claims = {k: v for k, v in claims.items() if v is not None}
        if self.twist.get("alg") == "none":
            return _by_hand({"alg": "none", "typ": "JWT"}, claims) + "."
        if self.twist.get("alg") == "HS256":  # signed with what everybody can read: the public key
            body = _by_hand({"alg": "HS256", "kid": "one"}, claims)
            made = hmac.new(self.key.as_pem(private=False), body.encode(), hashlib.sha256).digest()
            return f"{body}.{_part(made)}"
        key = self.twist.get("key", self.key)
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, key, algorithms=["RS256"])


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _by_hand(*parts: object) -> str:
    """Header and claims of a token as no library would write them."""
    return ".".join(_part(json.dumps(p).encode()) for p in parts)


@contextmanager
def running() -> Iterator[OidcProvider]:
    """The provider behind a real server on a free port of its own."""
    provider = OidcProvider()
    with served(provider.app) as url:
        provider.issuer = url
        yield provider
