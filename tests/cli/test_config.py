"""bargein.toml: order of the sources, errors that name the remedy, no secret in what is printed."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from engine.audio import BargeIn, Gate, Hearing, Policy
from engine.cli import config
from engine.cli.config_keys import BY_NAME, KEYS, USED
from engine.cli.main import main, parsed, parser
from engine.errors import ConfigError

COMMANDS = {"file": ["file", "in.wav"], "serve": ["serve"], "talk": ["talk"], "doctor": ["doctor"]}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with nothing set."""
    for name in [key.environment for key in KEYS] + ["BARGEIN_CONFIG", "OPENAI_API_KEY", "XDG_CONFIG_DIRS"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "etc"))
    return tmp_path


def write(home: Path, text: str, folder: str = "config") -> Path:
    path = home / folder / "bargein" / "bargein.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_option_then_environment_then_file_then_default(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parsed(["serve"]).port == 8765
    write(home, "[serve]\nport = 1111\n")
    assert parsed(["serve"]).port == 1111
    monkeypatch.setenv("BARGEIN_SERVE_PORT", "2222")
    assert parsed(["serve"]).port == 2222
    assert parsed(["serve", "--port", "3333"]).port == 3333


def test_a_word_in_place_of_a_number(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parsed(["talk"]).latency_ms == "auto"
    write(home, "[device]\nlatency_ms = 40\n")
    assert parsed(["talk"]).latency_ms == 40.0
    monkeypatch.setenv("BARGEIN_DEVICE_LATENCY_MS", "low")
    assert parsed(["talk"]).latency_ms == "low"
    assert parsed(["talk", "--latency-ms", "auto"]).latency_ms == "auto"
    assert parsed(["talk", "--latency-ms", "30"]).latency_ms == 30.0
    with pytest.raises(SystemExit):
        parsed(["talk", "--latency-ms", "soon"])


def test_the_users_file_stands_before_the_systems(home: Path) -> None:
    write(home, '[session]\nvoice = "system"\n', "etc")
    assert parsed(["file", "a.wav"]).voice == "system"
    write(home, '[session]\nvoice = "mine"\n')
    assert parsed(["file", "a.wav"]).voice == "mine"


def test_the_file_that_is_named_must_be_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARGEIN_CONFIG", str(home / "none.toml"))
    with pytest.raises(ConfigError, match=r"BARGEIN_CONFIG is .*none\.toml', which does not exist"):
        config.settings()


def test_the_same_options_of_several_commands_have_one_key(home: Path) -> None:
    write(home, '[session]\nmodel = "m"\nformat = "pcmu"\n[server]\nurl = "ws://h/v1"\nresponder = "script:x"\n')
    options = parsed(["file", "a.wav"])
    assert (options.model, options.format, options.server) == ("m", "pcmu", "ws://h/v1")
    assert (options.responder, options.inside) == (None, "script:x")  # no quarrel with the server that is named
    served = parsed(["serve"])
    assert (served.model, served.responder) == ("m", "script:x")


def test_the_servers_own_variable_wins_over_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, '[server]\nurl = "ws://file/v1"\n')
    monkeypatch.setenv("OPENAI_BASE_URL", "https://environment/v1")
    assert parsed(["file", "a.wav"]).server is None  # which means: look at OPENAI_BASE_URL
    assert {each.key.name: each.source for each in config.settings()}["server.url"] == "OPENAI_BASE_URL"


def test_ears_of_the_file(home: Path) -> None:
    write(home, '[barge_in]\npolicy = "local"\nconfirm_ms = 200\n[gate]\nhold_ms = 500\n')
    assert config.ears(parsed(["file", "a.wav"])) == {
        "barge_in": BargeIn(policy=Policy.LOCAL, confirm_ms=200),
        "gate": Gate(hold_ms=500),
    }
    assert config.ears(parser().parse_args(["file", "a.wav"])) == {"barge_in": BargeIn(), "gate": Gate()}


def test_hearing_of_the_file_and_of_options(home: Path) -> None:
    assert config.hearing(parsed(["talk"])) == Hearing(echo="auto")
    write(home, '[device]\nnoise_reduction = "far_field"\nnoise_strength = 1.5\nagc_dbfs = -23\nhighpass_hz = 80\n')
    kept: dict[str, Any] = {"highpass_hz": 80, "noise_reduction": "far_field", "noise_strength": 1.5, "agc_dbfs": -23}
    assert config.hearing(parsed(["talk"])) == Hearing("auto", **kept)
    options = parsed(["talk", "--noise-reduction", "off", "--agc", "-20", "--highpass", "100", "--echo", "off"])
    assert config.hearing(options) == Hearing(highpass_hz=100, noise_strength=1.5, agc_dbfs=-20)


def test_the_doors_of_the_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(home, '[serve]\nfront = "asgi"\ntls_cert = "c.pem"\nallowed_host = ["a.test", "b.test:80"]\n')
    served = parsed(["serve"])
    assert (served.front, served.tls_cert, served.tls_key) == ("asgi", str(path.parent / "c.pem"), None)
    assert (served.allowed_host, served.allow_origin) == (["a.test", "b.test:80"], ())
    options = parsed(["serve", "--allowed-host", "c.test", "--allowed-host", "d.test", "--allow-origin", "https://x"])
    assert (options.allowed_host, options.allow_origin) == (["c.test", "d.test"], ["https://x"])  # in their place
    monkeypatch.setenv("BARGEIN_SERVE_ALLOWED_HOST", "e.test, f.test")
    assert parsed(["serve"]).allowed_host == ["e.test", "f.test"]


def test_a_path_is_seen_from_the_file(home: Path) -> None:
    path = write(home, '[server]\nkey_file = "key"\n')
    assert parsed(["file", "a.wav"]).key_file == str(path.parent / "key")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[device]\nmicrofone = "x"\n', ["unknown key 'device.microfone'", "nearest is 'device.microphone'"]),
        ('microphone = "x"\n', ["unknown key 'microphone'", "'device.microphone'"]),
        ("[divice]\nrate = 8000\n", ["unknown key 'divice.rate'", "'device.rate'"]),
        ("[device]\nrate = 4000\n", ["device.rate is 4000", "8000 to 192000"]),
        ('[device]\nrate = "fast"\n', ["device.rate is 'fast'", "a whole number"]),
        ("[device]\nrate = true\n", ["device.rate is True"]),
        ('[device]\nlatency_ms = "lowest"\n', ["latency_ms is 'lowest'", "a number or 'auto' or 'low'"]),
        ("[device]\nlatency_ms = 0.5\n", ["latency_ms is 0.5", "1 to 2000"]),
        ('[device]\necho = "loud"\n', ["device.echo is 'loud'", "auto, aec, half_duplex, off"]),
        ("[device]\nloudspeaker_channels = [0, 99]\n", ["loudspeaker_channels", "0 to 31"]),
        ('[serve]\nallowed_host = "a.test"\n', ["serve.allowed_host is 'a.test'", "a list of texts"]),
        ("[serve]\nallow_origin = [1]\n", ["serve.allow_origin", "a list of texts"]),
        ('[serve]\nfront = "best"\n', ["serve.front is 'best'", "auto, asgi, bare"]),
        ("[device\n", ["is no TOML", "line 1"]),
        ("[talk]\nplain = 1\n", ["talk.plain is 1", "true or false"]),
    ],
)
def test_a_wrong_file_is_one_line_and_2(
    home: Path, text: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(home, text)
    assert main(["config"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("bargein: ") and told.count("\n") == 1
    assert all(word in told for word in [*words, str(path)]), told


def test_a_wrong_file_does_not_keep_help_back(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(home, "nonsense = 1\n")
    assert main(["file", "--help"]) == 0
    assert main(["serve"]) == 2
    assert "nonsense" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [("BARGEIN_SERVE_PORT", "many", "a whole number"), ("BARGEIN_TALK_PLAIN", "perhaps", "true or false")],
)
def test_a_wrong_variable_names_itself(
    name: str, value: str, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    assert main(["config"]) == 2
    told = capsys.readouterr().err
    assert f"{name} is {value!r}" in told and word in told


@pytest.mark.parametrize(
    "text",
    [
        '[server]\nkey = "sk-verysecret"\n',
        '[server]\napi_key = "verysecret"\n',
        '[server]\nurl = "wss://me:verysecret@host/v1?api-key=verysecret"\n',
        '[session]\ninstructions = "use sk-verysecret"\n',
        '[device]\nrate = "sk-verysecret"\n',
        "a = sk-verysecret\n",
    ],
)
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_no_secret_is_printed(home: Path, text: str, more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    write(home, text)
    main(["config", *more])
    told = capsys.readouterr()
    assert "verysecret" not in told.out + told.err
    if "key =" in text.replace("api-key=", ""):
        assert "no place in a settings file" in told.err and "server.key_file" in told.err


def test_config_lists_every_key_with_value_source_and_default(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(home, '[device]\nmicrophone = "USB*"\n')
    monkeypatch.setenv("BARGEIN_DEVICE_BLOCK_MS", "20")
    assert main(["config", "--json"]) == 0
    listed = {line["key"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert set(listed) == set(BY_NAME)
    assert (listed["device.microphone"]["value"], listed["device.microphone"]["source"]) == ("USB*", "file")
    assert (listed["device.block_ms"]["value"], listed["device.block_ms"]["default"]) == (20, 10)
    assert listed["device.block_ms"]["source"] == "BARGEIN_DEVICE_BLOCK_MS"
    assert main(["config", "device"]) == 0
    table = capsys.readouterr().out
    assert str(path) in table and '"USB*"' in table and "serve.port" not in table


def test_keys_and_options_agree(home: Path) -> None:
    """A key's default is that of the option for which it stands, and the option is there."""
    for command, arguments in COMMANDS.items():
        options = vars(parser().parse_args(arguments))
        for name, option in USED[command].items():
            section, _, field = option.partition(".")
            assert section in options, f"{command}: {option}"
            if not field and command != "serve" and name != "server.url":
                assert options[option] == BY_NAME[name].default, name
    assert {key.name for key in KEYS if key.name.startswith("barge_in.")} == {
        f"barge_in.{field.name}" for field in fields(BargeIn)
    }
