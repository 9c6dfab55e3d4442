"""From a name on the command line to a model.

    NAME@http(s)://host/v1   an OpenAI-compatible endpoint that serves NAME
    local:PATH               a Hugging Face directory
    scripted:NAME            a deterministic offline stand-in
    NAME                     a table of wardround.toml

What a table holds is described in `config`.
"""

from __future__ import annotations

import re
from pathlib import Path

from wardround.errors import UsageError
from wardround.models import Model
from wardround.models.config import CONFIG, ConfiguredModel, configured
from wardround.models.ledger import FREE, Price
from wardround.records import Record

AT_URL = re.compile(r"@(?=https?://)")
FORMS = "NAME@http://host/v1, local:PATH or scripted:NAME"


class ModelOptions(Record, frozen=True, kw_only=True):
    """How models are used; none of it changes what they answer. `timeout_s` and `retries` are an endpoint's
    (seconds per try, tries after the first), `batch_size` a local model's."""

    timeout_s: float = 120.0
    retries: int = 5
    batch_size: int = 8


def price(spec: str) -> Price | None:
    """What a model's tokens cost: nothing where it runs here (local, scripted), None where nobody said."""
    if AT_URL.search(spec) is None and spec.partition(":")[0] in {"local", "scripted"}:
        return FREE
    found = None if AT_URL.search(spec) else configured().get(spec)
    return None if found is None else found.price()


def checkpoint(spec: str) -> Path | None:
    """The artifact behind a configured endpoint, where its table names one."""
    found = None if AT_URL.search(spec) else configured().get(spec)
    return Path(found.checkpoint) if found is not None and found.checkpoint else None


def open_model(spec: str, *, options: ModelOptions | None = None) -> Model:
    """The model that `spec` names. Nothing is connected or loaded yet: that is `check`'s part.

    `UsageError` for a name that is none, or a path without a model.
    """
    options = options or ModelOptions()
    at = AT_URL.search(spec)
    if at is not None:
        return _endpoint(spec[: at.start()], spec[at.end() :], options)
    kind, colon, rest = spec.partition(":")
    if colon and kind == "scripted":
        from wardround.models.scripted import ScriptedModel

        return ScriptedModel(rest)
    if colon and kind == "local":
        from wardround.models.local import LocalModel

        return LocalModel(Path(rest), batch_size=options.batch_size)
    found = configured().get(spec)
    if found is None:
        raise _unknown(spec)
    return open_configured(spec, found, options=options)


def open_configured(
    name: str, table: ConfiguredModel, *, options: ModelOptions | None = None
) -> Model:
    """The model of one table, shown under the table's name. Nothing is connected or loaded yet."""
    options = options or ModelOptions()
    if table.endpoint:
        return _endpoint(
            table.model or name, table.endpoint, options, name=name,
            api_key_env=table.api_key_env, ceiling=table.concurrency,
        )  # fmt: skip
    spec = f"local:{table.path}" if table.path else f"scripted:{table.scripted}"
    model = open_model(spec, options=options)
    model.name = name
    return model


def _endpoint(
    model: str,
    url: str,
    options: ModelOptions,
    *,
    name: str = "",
    api_key_env: str = "",
    ceiling: int = 0,
) -> Model:
    if not model:
        raise UsageError("no model name before the @ of its URL", hint=f"a model is {FORMS}")
    from wardround.models.endpoint import EndpointModel

    return EndpointModel(
        model, url, name=name, api_key_env=api_key_env, ceiling=ceiling,
        timeout_s=options.timeout_s, retries=options.retries,
    )  # fmt: skip


def _unknown(spec: str) -> UsageError:
    from wardround.models.scripted import SCRIPTED

    names = ", ".join(configured())
    scripted = ", ".join(f"scripted:{n}" for n in SCRIPTED)
    known = f"in {CONFIG}: {names}" if names else f"no models in {CONFIG}"
    return UsageError(
        f"no model named {spec!r}", hint=f"a model is {FORMS}; {known}; offline: {scripted}"
    )
