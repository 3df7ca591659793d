import re
from pathlib import Path

import pytest

from service.dialects.pictures import PictureSource
from service.errors import InvalidSetting
from service.process.limits import usable_cores
from service.process.server import make_drop_in
from service.security.callers import Key, hash_key
from service.settings import Settings, describe_settings, read_settings, variable


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)


def test_the_defaults_serve_on_the_documented_ports_of_this_machine_alone() -> None:
    settings = read_settings()
    assert (settings.host, settings.http_port, settings.grpc_port) == ("127.0.0.1", 8000, 8001)
    assert settings.models_dir.name == "models"
    assert settings.slots == settings.choice.slots == usable_cores()
    assert settings.queue_limit == 32 * settings.slots


def test_variables_reach_the_backend_choice_and_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "RUNTIME": "onnx",
        "PRECISION": "int8",
        "PROVIDERS": "cuda;device_id=1, cpu",
        "FALLBACK": "prefer",
        "THREADS": "3",
        "THREADS_ALONE": "4",
        "SLOTS": "2",
        "MAX_BODY_MB": "1.5",
        "MAX_PIXELS": "1000",
        "QUEUE": "0",
    }.items():
        monkeypatch.setenv(f"BLITZ_{name}", value)
    settings = read_settings()
    choice = settings.choice
    assert (choice.runtime, choice.precision, choice.fallback) == ("onnx", "int8", "prefer")
    assert choice.providers == ("cuda;device_id=1", "cpu")
    assert (choice.threads, choice.threads_alone, choice.slots) == (3, 4, 2)
    assert (settings.limits.max_bytes, settings.limits.max_pixels) == (1_500_000, 1000)
    assert settings.max_body_bytes == 1_500_000
    assert settings.queue_limit == 0


def test_one_image_alone_has_the_threads_of_all_slots_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLITZ_THREADS", "2")
    monkeypatch.setenv("BLITZ_SLOTS", "3")
    assert read_settings().choice.widest == 6
    monkeypatch.setenv("BLITZ_THREADS_ALONE", "1")
    assert read_settings().choice.widest == 1


def test_workers_divide_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.settings.usable_cores", lambda: 8)
    for workers, slots in (("1", 8), ("3", 2), ("8", 1), ("9", 1)):
        monkeypatch.setenv("BLITZ_WORKERS", workers)
        assert read_settings().slots == slots
    monkeypatch.setenv("BLITZ_SLOTS", "5")
    assert read_settings().slots == 5


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (8, 1), (9, 2), (64, 8)])
def test_there_is_one_worker_for_every_eight_cores_and_one_where_an_admin_changes_models(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cores: int, workers: int
) -> None:
    monkeypatch.setattr("service.settings.usable_cores", lambda: cores)
    assert read_settings().workers == workers
    assert read_settings().slots == cores // workers
    monkeypatch.setenv("BLITZ_ADMIN_KEYS", f"boss:{hash_key('first')}")
    assert read_settings().workers == 1
    monkeypatch.delenv("BLITZ_ADMIN_KEYS")
    monkeypatch.setattr("service.settings.SECRETS", tmp_path)
    (tmp_path / "blitz_admin_keys").touch()
    assert read_settings().workers == 1


def test_settings_that_contradict_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLITZ_RUNTIME", "onnx")
    monkeypatch.setenv("BLITZ_DELEGATES", "/lib/edge.so")
    with pytest.raises(InvalidSetting, match="delegates belong to TFLite"):
        read_settings()


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLITZ_DEFAULT_MODEL", "")
    monkeypatch.setenv("BLITZ_HTTP_PORT", "")
    assert read_settings() == Settings()


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("HTTP_PORT", "http", "valid integer"),
        ("HTTP_PORT", "65536", "less than or equal to 65535"),
        ("GRPC_PORT", "-1", "greater than or equal to 0"),
        ("RUNTIME", "torch", "'auto', 'onnx', 'tflite', 'openvino' or 'ncnn'"),
        ("PRECISION", "fp8", "'auto', 'fp32', 'fp16', 'int8' or 'bf16'"),
        ("FALLBACK", "maybe", "'strict' or 'prefer'"),
        ("SLOTS", "0", "greater than or equal to 1"),
        ("THREADS", "1.5", "valid integer"),
        ("QUEUE", "-1", "greater than or equal to 0"),
        ("TIMEOUT_S", "0", "greater than 0"),
        ("TIMEOUT_S", "nan", "finite"),
        ("MAX_BODY_MB", "inf", "2000"),
        ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("LOG_FORMAT", "xml", "'json' or 'console'"),
    ],
)
def test_a_bad_value_is_refused_in_one_line_that_names_the_variable_and_what_is_accepted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, accepted: str
) -> None:
    monkeypatch.setenv(f"BLITZ_{name}", value)
    with pytest.raises(InvalidSetting) as refusal:
        read_settings()
    text = str(refusal.value)
    assert text.startswith(f"BLITZ_{name}={value}: ")
    assert accepted in text
    assert "\n" not in text


def test_every_fault_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLITZ_SLOTS", "none")
    monkeypatch.setenv("BLITZ_QUEUE", "none")
    with pytest.raises(InvalidSetting) as refusal:
        read_settings()
    assert [line[:11] for line in str(refusal.value).splitlines()] == ["BLITZ_SLOTS", "BLITZ_QUEUE"]


def test_an_unknown_variable_is_refused_with_the_one_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLITZ_HTTPPORT", "8000")
    with pytest.raises(InvalidSetting, match="BLITZ_HTTPPORT is not a setting; did you mean BLITZ_HTTP_PORT"):
        read_settings()


def test_an_unknown_variable_like_no_other_leads_to_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLITZ_COFFEE", "black")
    with pytest.raises(InvalidSetting, match="blitzmask settings"):
        read_settings()


def test_variables_of_others_are_nobodys_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLITZKRIEG_BOP", "hey ho")
    read_settings()


def test_every_setting_is_described_by_its_variable_value_and_meaning() -> None:
    rows = {
        name: (value, meaning) for name, value, meaning in describe_settings(Settings(providers=("a", "b")))
    }
    assert set(rows) == {variable(field) for field in Settings.model_fields}
    assert rows["BLITZ_PROVIDERS"][0] == "a,b"
    assert rows["BLITZ_HTTP_PORT"][0] == "8000"
    for name, (_, meaning) in rows.items():
        assert re.fullmatch(r"[A-Za-z].{10,}", meaning), name


def test_keys_are_read_with_their_names_and_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = hash_key("first"), hash_key("second")
    monkeypatch.setenv("BLITZ_API_KEYS", f"cam:{first}:20, {second.upper()},")
    monkeypatch.setenv("BLITZ_ADMIN_KEYS", f"boss:{first}")
    settings = read_settings()
    assert settings.api_keys == (Key("cam", first, 20), Key(second[:8], second))
    assert settings.admin_keys == (Key("boss", first),)
    rows = {name: value for name, value, _ in describe_settings(settings)}
    assert rows["BLITZ_API_KEYS"] == f"cam:{first}:20,{second[:8]}:{second}"


@pytest.mark.parametrize("name", ["API_KEYS", "ADMIN_KEYS"])
@pytest.mark.parametrize("value", ["swordfish", f"cam:{hash_key('x')},swordfish", "cam:swordfish:20"])
def test_a_key_that_stands_where_its_hash_should_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"BLITZ_{name}", value)
    with pytest.raises(InvalidSetting, match=rf"BLITZ_{name}=\.\.\.: entry \d is not a key") as refusal:
        read_settings()
    assert "swordfish" not in str(refusal.value)


def test_half_of_tls_is_refused_before_anything_is_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BLITZ_TLS_CERT", str(tmp_path / "cert.pem"))
    with pytest.raises(InvalidSetting, match="it needs its private key, as BLITZ_TLS_KEY"):
        read_settings()
    monkeypatch.setenv("BLITZ_TLS_KEY", str(tmp_path / "key.pem"))
    with pytest.raises(InvalidSetting, match=r"BLITZ_TLS_CERT=.*: it cannot be read: no such file"):
        read_settings()


def test_a_key_may_stand_in_a_file_that_is_named_after_its_setting(tmp_path: Path) -> None:
    (tmp_path / "blitz_api_keys").write_text(f"door:{hash_key('open')}\n")
    assert read_settings(_secrets_dir=tmp_path).api_keys == (Key("door", hash_key("open")),)


def test_a_variable_comes_before_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "blitz_api_keys").write_text(f"door:{hash_key('open')}\n")
    monkeypatch.setenv("BLITZ_API_KEYS", f"gate:{hash_key('open')}")
    assert [key.name for key in read_settings(_secrets_dir=tmp_path).api_keys] == ["gate"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "blitz_api_keys"
    secret.write_text("")

    def refuse(path: Path, *_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(
        InvalidSetting, match=f"Permission denied: '{secret}': let the service's user read it"
    ):
        read_settings(_secrets_dir=tmp_path)


def test_other_servers_are_named_and_their_token_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLITZ_DROP_IN", "deepstack, cvat")
    monkeypatch.setenv("BLITZ_LABEL_STUDIO_URL", "http://studio:8080/")
    monkeypatch.setenv("BLITZ_LABEL_STUDIO_TOKEN", "s3cret")
    settings = read_settings()
    assert settings.drop_in == ("deepstack", "cvat")
    assert "s3cret" not in str(describe_settings(settings))
    drop_in = make_drop_in(settings)
    assert (drop_in.deepstack, drop_in.cvat) == (True, True)
    assert drop_in.label_studio == PictureSource("http://studio:8080", "s3cret", settings.max_body_bytes)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DROP_IN", "deepstack,frigate"),
        ("LABEL_STUDIO_URL", "studio:8080"),
        ("LABEL_STUDIO_URL", "http://user:word@studio"),
        ("LABEL_STUDIO_URL", "http://studio/projects"),
    ],
)
def test_a_server_that_cannot_be_stood_in_for_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"BLITZ_{name}", value)
    with pytest.raises(InvalidSetting, match=f"BLITZ_{name}="):
        read_settings()
