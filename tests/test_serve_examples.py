"""examples/serve and the page about it: what they say is there, and HAProxy carries a session as the page has it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from engine.cli.main import parser
from engine.rest import Client
from engine.server import Access, Credentials, Server, ServerOptions, serve
from engine.server.responders import Text
from engine.server.voices import ToneVoice
from engine.server.web.keys import KeyRing, Keys, digest_of, read_file
from tests.server.harness import Says
from tests.server.web.http import until

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "examples" / "serve"
PAGE = (ROOT / "docs" / "guide" / "running.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAME = "voice.example.com"
KEY = "sk-kitchen-0123456789"


# ---- systemd


def unit() -> dict[str, list[str]]:
    """The settings of all sections."""
    found: dict[str, list[str]] = {}
    for line in (HERE / "bargein-serve.service").read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_the_unit_starts_a_command_that_is_there() -> None:
    settings = unit()
    program, *arguments = settings["ExecStart"][0].split()
    options = parser().parse_args(arguments)
    assert program.endswith("/bin/bargein") and options.command == "serve"
    assert int(settings["TimeoutStopSec"][0]) > options.drain, "systemd waits for the drain"
    assert settings["ExecReload"] == ["/bin/kill -HUP $MAINPID"] and settings["KillSignal"] == ["SIGTERM"]
    assert options.keys_file in (HERE / "bargein-serve.service").read_text().partition("[Unit]")[0], "it says how"
    assert settings["WantedBy"] == ["multi-user.target"]


def test_systemd_agrees_that_it_may_do_little(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is absent")
    path = tmp_path / "bargein-serve.service"
    path.write_text((HERE / path.name).read_text().replace("/opt/bargein/bin/bargein", "/bin/true"))

    def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([tool, *arguments, str(path)], capture_output=True, text=True, timeout=60, check=False)

    assert path.name not in analyze("verify").stderr
    judged = analyze("security", "--offline=true", "--no-pager", "--threshold=20")
    if "unrecognized option" in judged.stderr:
        pytest.skip("systemd-analyze is too old to judge a file")
    assert judged.returncode == 0, judged.stdout[-300:]


# ---- the container


def container() -> dict[str, list[str]]:
    """The instructions, each with what follows."""
    found: dict[str, list[str]] = {}
    text = (HERE / "Containerfile").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            assert name in {
                "FROM",
                "COPY",
                "RUN",
                "USER",
                "ENV",
                "EXPOSE",
                "STOPSIGNAL",
                "HEALTHCHECK",
                "ENTRYPOINT",
                "CMD",
            }
            found.setdefault(name, []).append(rest.strip())
    return found


def test_the_container_starts_a_command_that_is_there() -> None:
    made = container()
    program, *arguments = json.loads(made["ENTRYPOINT"][0]) + json.loads(made["CMD"][0])
    options = parser().parse_args(arguments)
    assert program in PROJECT["scripts"] and options.command == "serve"
    assert made["EXPOSE"] == [str(options.port)] and options.keys_file and options.allowed_host
    assert made["STOPSIGNAL"] == ["SIGTERM"] and made["USER"][0] not in ("root", "0")
    assert "apt" not in str(made["RUN"]), "the wheels bring all they need"


def test_the_container_is_built_from_the_wheel() -> None:
    made = container()
    pattern = made["COPY"][0].split()[0]
    wheel = f"dist/bargein-{PROJECT['version']}-cp311-abi3-linux_x86_64.whl"
    assert fnmatch(wheel, pattern)
    makefile = (ROOT / "Makefile").read_text()
    assert "--outdir dist" in makefile.partition("\nwheel:")[2].partition("\n\n")[0]
    extras = re.search(r"\[([a-z,]+)\]", made["RUN"][0])
    assert extras and set(extras[1].split(",")) <= set(PROJECT["optional-dependencies"])
    version = re.search(r"python:(3\.\d+)-slim", made["FROM"][0])
    assert version and f"Programming Language :: Python :: {version[1]}" in PROJECT["classifiers"]


def test_the_container_s_health_is_what_the_server_says() -> None:
    interval, _, command = container()["HEALTHCHECK"][0].partition(" CMD ")
    assert "--interval" in interval
    python, flag, code = json.loads(command)
    assert (python, flag) == ("python", "-c")

    async def healthy(server: Server) -> int:
        port = server.url.rpartition(":")[2].partition("/")[0]
        process = await asyncio.create_subprocess_exec(
            sys.executable, flag, code.replace("8765", port), stderr=asyncio.subprocess.DEVNULL
        )
        return await process.wait()

    async def main() -> None:
        async with serve(voice=ToneVoice(), credentials=keyed()) as server:
            assert await healthy(server) == 0
            server.site.draining = True
            assert await healthy(server) == 1

    asyncio.run(main())


# ---- the page and what else lies there


def test_the_page_has_the_configuration_that_is_tried_here() -> None:
    assert f"```\n{(HERE / 'haproxy.cfg').read_text()}```" in PAGE
    for path in re.findall(r"examples/serve/[\w.-]+", PAGE):
        assert (ROOT / path).exists(), path


def test_the_page_names_options_endpoints_and_series_that_are_there(tmp_path: Path) -> None:
    known = {text for action in _serve_actions() for text in action.option_strings}
    named = set(re.findall(r"`(?:bargein serve )?(--[a-z-]+)", PAGE))
    assert named and named <= known, named - known
    for line in re.findall(r"^bargein (serve .+)$", PAGE, re.MULTILINE):
        parser().parse_args(line.split())
    listed = PAGE.partition("```\nkitchen")[2].partition("```")[0]
    (tmp_path / "keys").write_text("kitchen" + listed)
    assert len(read_file(tmp_path / "keys")) == 2

    async def main() -> None:
        async with serve(voice=ToneVoice()) as server:
            text = server.site.metrics.text()
            assert set(re.findall(r"`?(bargein_\w+)", PAGE)) <= set(re.findall(r"bargein_\w+", text))
            lines = server.site.routes.lines()
            for path in re.findall(r"^\| `(?:GET|POST) (/\S+?)`", PAGE, re.MULTILINE):
                assert any(line.endswith(f" {path}") for line in lines), path

    asyncio.run(main())


def _serve_actions() -> list[Any]:
    commands: Any = next(action for action in parser()._actions if action.choices)
    found: list[Any] = commands.choices["serve"]._actions
    return found


def test_prometheus_asks_with_a_key() -> None:
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load((HERE / "prometheus.yml").read_text())["scrape_configs"][0]
    assert job["authorization"]["type"] == "Bearer" and job["authorization"]["credentials_file"]
    assert job["static_configs"][0]["targets"] == ["127.0.0.1:8765"], "and the path is /metrics, as it is by default"


# ---- HAProxy


def keyed() -> Credentials:
    return Credentials(KeyRing(Keys({digest_of(KEY): "kitchen"})))


def need_haproxy() -> str:
    tool = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if tool is None:
        assert "haproxy" not in os.environ.get("BARGEIN_REQUIRE", "").split(","), "BARGEIN_REQUIRE has haproxy"
        pytest.skip("haproxy is absent")
    return tool


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def written(folder: Path, port: int, behind: int) -> tuple[Path, Path]:
    """The configuration with other ports and a certificate, and who has signed that."""
    authority = trustme.CA()
    issued = authority.issue_cert(NAME, "127.0.0.1")
    pem = folder / "voice.pem"
    pem.write_bytes(issued.private_key_pem.bytes() + b"".join(each.bytes() for each in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    text = (HERE / "haproxy.cfg").read_text()
    for before, after in (
        ("bind :443", f"bind 127.0.0.1:{port}"),
        (f"/etc/haproxy/{NAME}.pem", str(pem)),
        ("127.0.0.1:8765", f"127.0.0.1:{behind}"),
        ("check inter 1s", "check inter 100ms"),
    ):
        assert before in text
        text = text.replace(before, after)
    (folder / "haproxy.cfg").write_text(text)
    return folder / "haproxy.cfg", folder / "ca.pem"


def test_haproxy_takes_the_configuration(tmp_path: Path) -> None:
    tool = need_haproxy()
    config, _ = written(tmp_path, 8443, 8765)
    done = subprocess.run([tool, "-c", "-f", config], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr


@contextmanager
def proxied(tool: str, config: Path, log: Path) -> Iterator[None]:
    with log.open("w") as out:
        process = subprocess.Popen([tool, "-db", "-f", config], stdout=out, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.kill()
            process.wait()


@asynccontextmanager
async def behind(folder: Path) -> AsyncIterator[tuple[Server, int, Path]]:
    """The server with HAProxy before it: the server, HAProxy's port, and whom to trust."""
    tool = need_haproxy()
    brain, options = Says([Text("Yes.")]), ServerOptions(burst=1000)
    access = Access(hosts=(NAME,))
    async with serve(responder=brain, options=options, voice=ToneVoice(), credentials=keyed(), access=access) as server:
        port = free_port()
        config, ca = written(folder, port, int(server.url.rpartition(":")[2].partition("/")[0]))
        with proxied(tool, config, folder / "log"):
            async with asyncio.timeout(60):
                while await status(port, ca, "/healthz") != 200:  # noqa: ASYNC110 - nobody is told
                    await asyncio.sleep(0.05)
            yield server, port, ca


async def status(port: int, ca: Path, path: str, key: str = KEY) -> int:
    """What a GET through HAProxy is answered with; 0 when nobody answers."""
    trusting = ssl.create_default_context(cafile=str(ca))
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=NAME)
    except OSError:
        return 0
    lines = [f"GET {path} HTTP/1.1", f"Host: {NAME}", f"Authorization: Bearer {key}", "Connection: close", "", ""]
    writer.write("\r\n".join(lines).encode())
    try:
        return int((await reader.readline()).split()[1])
    finally:
        writer.transport.abort()


async def turn(socket: Any) -> None:
    await socket.send(json.dumps({"type": "response.create", "response": {"output_modalities": ["text"]}}))
    while (event := json.loads(await socket.recv()))["type"] != "response.done":
        assert event["type"] != "error", event
    assert event["response"]["status"] == "completed"


def test_a_session_and_a_drain_through_haproxy(tmp_path: Path) -> None:
    async def main() -> None:
        async with behind(tmp_path) as (server, port, ca):
            trusting = ssl.create_default_context(cafile=str(ca))
            async with Client(KEY, base_url=f"https://127.0.0.1:{port}/v1", ca=str(ca), retries=0) as rest:
                secret = (await rest.create_client_secret({"type": "realtime", "instructions": "Be brief."})).value
            url = f"wss://{NAME}:{port}/v1/realtime"
            to: dict[str, Any] = {"host": "127.0.0.1", "port": port, "ssl": trusting, "proxy": None}
            async with connect(url, additional_headers={"Authorization": f"Bearer {secret}"}, **to) as socket:
                assert json.loads(await socket.recv())["session"]["instructions"] == "Be brief."
                await turn(socket)
                assert [await status(port, ca, path) for path in ("/v1/models", "/none")] == [200, 404]
                for path in ("/metrics", "/metrics?x=1", "/%6detrics", "/metrics/"):
                    assert await status(port, ca, path) == 404, "not from here, whatever key"
                assert await status(port, ca, "/v1/models", "sk-other-0123456789") == 401
                with pytest.raises(InvalidStatus) as refused:
                    async with connect(url, **to):
                        pass
                assert refused.value.response.status_code == 401
                server.site.draining = True
                while await status(port, ca, "/v1/models") != 503:  # noqa: ASYNC110 - nobody is told
                    await asyncio.sleep(0.05)
                await turn(socket)
            await until(lambda: not server.sessions)
        log = (tmp_path / "log").read_text()
        assert "/v1/realtime" in log and KEY not in log and secret not in log

    async def bounded() -> None:
        async with asyncio.timeout(120):
            await main()

    asyncio.run(bounded())
