import subprocess
import sys
from pathlib import Path

import pytest

from wardround.errors import InputError, UsageError
from wardround.models.config import configured
from wardround.models.endpoint import EndpointModel
from wardround.models.ledger import FREE, Price
from wardround.models.names import ModelOptions, open_model, price
from wardround.models.scripted import SCRIPTED, ScriptedModel

CONFIG = """
[models.judge]
endpoint = "https://host.example/v1/"
model = "big-one"
api_key_env = "HOSPITAL_KEY"
price_in = 2.0
price_out = 8

[models.plain]
endpoint = "http://127.0.0.1:8000/v1"
"""


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WARDROUND_CONFIG", raising=False)
    return tmp_path


def test_an_endpoint_by_name_and_url() -> None:
    model = open_model(
        "scripted:echo@http://127.0.0.1:9/v1/", options=ModelOptions(timeout_s=3, retries=1)
    )
    assert isinstance(model, EndpointModel)
    assert model.name == model.model == "scripted:echo"
    assert model.identity["url"] == "http://127.0.0.1:9/v1"
    assert (model._timeout_s, model._retries) == (3, 1)
    assert open_model("org/m@x:v2@https://u:p@h/v1").identity == {
        "kind": "endpoint",
        "url": "https://h/v1",
        "model": "org/m@x:v2",
    }


def test_a_script() -> None:
    model = open_model("scripted:verdict=3")
    assert isinstance(model, ScriptedModel)
    assert model.identity == {"kind": "scripted", "script": "verdict", "parameter": "3"}


def test_configured_models(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured() == {}
    (empty_folder / "wardround.toml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.setenv("HOSPITAL_KEY", "abcdefgh")
    model = open_model("judge")
    assert isinstance(model, EndpointModel)
    assert (model.name, model.model, model.url) == ("judge", "big-one", "https://host.example/v1")
    assert model._authorization == "Bearer abcdefgh"
    assert open_model("plain").identity["model"] == "plain"
    assert list(configured()) == ["judge", "plain"]
    assert price("judge") == Price(per_in=2.0, per_out=8.0)
    assert price("plain") is None
    assert price("scripted:echo") == FREE
    assert price("judge@http://h/v1") is None


def test_the_configuration_can_lie_elsewhere(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_folder / "other.toml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.setenv("WARDROUND_CONFIG", str(empty_folder / "other.toml"))
    assert list(configured()) == ["judge", "plain"]
    monkeypatch.setenv("WARDROUND_CONFIG", str(empty_folder / "none.toml"))
    with pytest.raises(UsageError, match=r"none\.toml"):
        configured()


@pytest.mark.parametrize(
    "text",
    [
        "[models.x]\nmodel = 'm'",
        "[models.x]\nendpoint = 3",
        "[models.x]\nendpoint = 'http://h/v1'\napi_key = 'abcdefgh'",
        "[models",
    ],
)
def test_a_bad_configuration_names_its_file(empty_folder: Path, text: str) -> None:
    (empty_folder / "wardround.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"wardround\.toml") as caught:
        open_model("x")
    assert "abcdefgh" not in str(caught.value)


@pytest.mark.parametrize("spec", ["qwen", "remote:qwen", "", "http://h/v1", "local"])
def test_unknown_names_list_what_there_is(empty_folder: Path, spec: str) -> None:
    (empty_folder / "wardround.toml").write_text(CONFIG, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        open_model(spec)
    assert "judge, plain" in caught.value.hint
    assert all(f"scripted:{name}" in caught.value.hint for name in SCRIPTED)


def test_an_endpoint_needs_a_name() -> None:
    with pytest.raises(UsageError, match="no model name") as caught:
        open_model("@http://u:secretword@h/v1")
    assert "secretword" not in str(caught.value)


def test_naming_a_model_loads_nothing_heavy() -> None:
    code = (
        "import sys; from wardround.models.names import open_model; open_model('scripted:echo'); "
        "print({'aiohttp', 'torch', 'transformers', 'numpy'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
