"""`bargein secret` and `bargein call` as a user runs them, against a service on loopback."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.cli.main import main
from tests.cli import servers
from tests.cli.harness import environment, run
from tests.rest.service import EPHEMERAL, KEY, Reply, Service, base_of, problem, serving


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service with two calls that ring; the environment names it and its key."""
    made = Service("rtc_1", "rtc_2")
    with servers.running(base_of(made)) as base:
        monkeypatch.setenv("OPENAI_BASE_URL", base)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield made


def test_a_secret_is_all_that_is_printed(service: Service) -> None:
    ran = run("secret", "create", "--expires-after", "60", "--model", "m", env=environment(**named(service)))
    assert (ran.code, ran.out) == (0, EPHEMERAL + "\n")
    assert "opens sessions for" in ran.err
    assert EPHEMERAL not in ran.err
    assert service.asked[0].json == {
        "expires_after": {"anchor": "created_at", "seconds": 60},
        "session": {"type": "realtime", "model": "m"},
    }


def named(service: Service) -> dict[str, str]:
    """What the fixture has put into this process's environment."""
    import os

    return {name: os.environ[name] for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY")}


def test_a_secret_as_json(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["secret", "create", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["value"] == EPHEMERAL
    assert told["expires_at"] == 1_900_000_600
    assert told["session"]["object"] == "realtime.session"
    assert service.asked[0].json == {}


def test_a_session_from_a_file_with_more_set_in_it(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "session.json"
    path.write_text(json.dumps({"model": "gpt-realtime", "audio": {"output": {"speed": 1.2}}}))
    given = ["--session", str(path), "--model", "gpt-realtime-2", "--voice", "marin", "--instructions", "Hi."]
    assert main(["call", "accept", "rtc_1", *given]) == 0
    assert service.up["rtc_1"] == {
        "type": "realtime",
        "model": "gpt-realtime-2",
        "instructions": "Hi.",
        "audio": {"output": {"speed": 1.2, "voice": "marin"}},
    }
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "bargein: accepted rtc_1 (request req_1)\n")


def test_a_session_from_stdin(service: Service) -> None:
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "bargein", "call", "accept", "rtc_1", "--session", "-"],
        input='{"model": "m"}', text=True, capture_output=True, env=environment(**named(service)), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert service.up["rtc_1"]["model"] == "m"


def test_the_other_actions(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["call", "reject", "rtc_2", "--status", "486"],
        ["call", "accept", "rtc_1"],
        ["call", "refer", "rtc_1", "tel:+14155550123"],
    ):
        assert main(arguments) == 0
    service.up["rtc_3"] = None
    assert main(["call", "hangup", "rtc_3"]) == 0
    assert service.ended == {"rtc_2": "486", "rtc_1": "tel:+14155550123", "rtc_3": "hangup"}
    assert [line.split(" (")[0] for line in capsys.readouterr().err.splitlines()] == [
        "bargein: rejected rtc_2",
        "bargein: accepted rtc_1",
        "bargein: referred rtc_1 to tel:+14155550123",
        "bargein: hung up rtc_3",
    ]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (problem(401, "invalid_api_key", f"Incorrect API key provided: {KEY}."), "check OPENAI_API_KEY"),
        (problem(403, None, "No."), "check its project"),
        (problem(404, "call_id_not_found", "No session found."), "the call is over"),
        (problem(429, "insufficient_quota", "You exceeded your quota."), "billing"),
        (problem(400, "unknown_parameter", "Unknown parameter: 'x'."), "Unknown parameter: 'x'"),
        (Reply(200, b"x", breaks=True), "may have been done"),
    ],
)
def test_a_refusal_is_one_line_with_the_remedy_and_1(
    service: Service, reply: Reply, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    service.script.append(reply)
    assert main(["call", "refer", "rtc_1", "tel:1"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert told in shown.err
    assert KEY not in shown.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["secret"],
        ["call"],
        ["secret", "create", "--expires-after", "9"],
        ["secret", "create", "--expires-after", "soon"],
        ["secret", "create", "--key", "sk-123"],
        ["secret", "create", "--session", "/no/such.json"],
        ["secret", "create", "--session", __file__],
        ["secret", "create", "--server", "ftp://host"],
        ["secret", "create", "--ca", "/no/such.pem"],
        ["secret", "create", "--timeout", "0"],
        ["secret", "create", "--key-file", "/no/such/key"],
        ["call", "accept"],
        ["call", "reject", "rtc_1", "--status", "200"],
        ["call", "refer", "rtc_1"],
        ["call", "refer", "rtc_1", "nowhere"],
        ["call", "hangup", "a/b"],
    ],
)
def test_wrong_usage_is_one_line_and_2(
    arguments: list[str], service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("bargein: ") and told.err.count("\n") == 1
    assert "sk-123" not in told.err
    assert service.asked == []


def test_without_a_key_nobody_elsewhere_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["secret", "create"]) == 2
    assert "set OPENAI_API_KEY, or name a file with --key-file" in capsys.readouterr().err


def test_a_key_from_a_file(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-0123456789")
    (tmp_path / "key").write_text(KEY + "\n")
    assert main(["call", "hangup", "rtc_1", "--key-file", str(tmp_path / "key")]) == 1  # it was not up
    assert service.asked[0].headers["authorization"] == f"Bearer {KEY}"


def test_without_the_extra_its_name_is_told(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    assert main(["call", "hangup", "rtc_1"]) == 2
    assert "pip install 'bargein[rest]'" in capsys.readouterr().err


def test_an_authority_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(tmp_path / "key"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "chain"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "api-key").write_text(KEY)
    with servers.running(serving(Service(), (str(tmp_path / "key"), str(tmp_path / "chain")))) as root:
        given = ["secret", "create", "--server", root + "/v1", "--key-file", str(tmp_path / "api-key")]
        assert main([*given, "--ca", str(tmp_path / "ca.pem")]) == 0
        assert capsys.readouterr().out == EPHEMERAL + "\n"
