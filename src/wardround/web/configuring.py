"""`[web]` of `wardround.toml`:

[web]
base_url = "https://review.hospital.example"   # what people type
hosts = ["review"]                             # other names it is reached under
title = "…"                                    # in the browser's tab
session_minutes = 720                          # a login ends after this long in any case
idle_minutes = 120                             # … or after this long unused
invitation_minutes = 10080

[web.oidc.hospital]
issuer = "https://login.hospital.example"
client_id = "wardround"
client_secret_env = "WARDROUND_OIDC_SECRET"    # the variable's name; left out for a public client
label_zh = "医院统一认证"
label_en = "hospital login"
link_by = "email"                              # or a claim that names the account, "preferred_username"
roles_claim = "groups"                         # with `roles`, lets in people nobody has invited
roles = { "medical-reviewers" = ["reviewer"] }
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from wardround.errors import InputError
from wardround.models.config import config_path
from wardround.store.people import ROLES
from wardround.web.settings import Provider, Settings

HINT = "see `wardround web --help` and docs/web.md for what [web] may hold"


class _Web(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    base_url: str = ""
    hosts: tuple[str, ...] = ()
    title: str = ""
    session_minutes: int = 12 * 60
    idle_minutes: int = 2 * 60
    invitation_minutes: int = 7 * 24 * 60
    oidc: dict[str, Provider] = {}


def configured() -> Settings | None:
    """The settings of `wardround.toml`; None where there is no file or no `[web]` in it.

    Without `base_url` in the file it is empty here: the caller knows where it serves.
    """
    path = config_path()
    return None if path is None else read(path)


def read(path: Path) -> Settings | None:
    """The settings of one file; `InputError` for what can't be."""
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        if "web" not in data:
            return None
        found = msgspec.convert(data["web"], _Web)
        _check(found)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError, ValueError) as e:
        raise InputError(f"[web]: {e}", path=path, hint=HINT) from e
    values = {f: getattr(found, f) for f in found.__struct_fields__}
    return Settings(**values)


def _check(web: _Web) -> None:
    for name, provider in web.oidc.items():
        if not name.isascii() or not name.replace("-", "").isalnum():
            raise ValueError(f"oidc.{name}: letters, digits and - only")
        unknown = {r for roles in provider.roles.values() for r in roles} - set(ROLES)
        if unknown:
            raise ValueError(f"oidc.{name}.roles: no role named {sorted(unknown)[0]}")
        if bool(provider.roles) != bool(provider.roles_claim):
            raise ValueError(f"oidc.{name}: roles and roles_claim belong together")
    for field in ("session_minutes", "idle_minutes", "invitation_minutes"):
        if getattr(web, field) < 1:
            raise ValueError(f"{field} must be 1 or more")
