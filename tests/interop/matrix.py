"""The matrix of clients for the documentation: `python -m tests.interop.matrix` after `make test-interop`.

results.json keeps what was run last, client by client, with versions and outcomes; results.md is the page made of it.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from engine import __version__
from tests.interop.environments import BUILD, environments

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).with_name("results.md")
OUTCOMES = BUILD / "outcomes.json"
CONTRACT = BUILD / "contract.json"
OWN_TESTS = ["realtime/test_client_secrets.py"]
"""Files of tests/api_resources in the official package's source distribution that test_contract.py runs."""
LEFT_OUT = {
    "realtime/test_calls.py": "the server has no calls: WebRTC and SIP are not offered yet",
    "realtime/translations": "the server does not translate, and says so",
}
"""What of the same folder is not, and why."""
COLUMNS = {
    "A spoken turn": ("speech_is_understood", "answers_are_spoken"),
    "A tool call": ("a_tool_is_called_and_its_result_spoken_about",),
    "An interruption": ("an_interruption_leaves_what_was_heard",),
    "Nothing refused": ("nothing_is_refused", "every_property_is_known", "it_comes_to_its_end"),
    "Types": ("every_event_is_of_the_official_types",),
}
HEAD = """# Clients of others

Realtime clients that nobody here wrote, each in a conversation with `bargein serve`, as anybody starts it: in a process
of its own, on this machine, over a socket. The server has a key, and every client shows it in its own way;
@openai/agents-realtime shows a client secret instead. `make test-interop` holds these conversations, and so does
continuous integration.

- **A spoken turn**: speech goes in in real time, the turn's end is detected, its words reach the client, and so do the
  answer's words and every sample of its sound.
- **A tool call**: the model calls a function, the client answers it, and the answer is spoken about.
- **An interruption**: somebody speaks while an answer plays. The response is cancelled, the client takes back what was
  not heard, and what the server keeps of that answer is what was heard, to the millisecond, without its words.
- **Nothing refused**: no error from the server, no property of an event that it does not know.
- **Types**: every event of the server is what the official Python package has types for, whoever the client is.

"""

POINTING = """\
Where the server has no keys, a client's may be anything. A session's model is fixed by its address: both packages for
agents send a model with every update of the session too, and unless it is the same one the whole update is refused,
tools and voice included. The official npm package always encrypts: the environment variable NODE_EXTRA_CA_CERTS names
the certificate, whose place `bargein serve --tls self-signed` says."""


def record() -> dict[str, Any]:
    """results.json with what has just been run in the place of what was known of that."""
    outcomes = _read(OUTCOMES)
    results = _read(RESULTS) or {"clients": {}, "own_tests": {}}
    for client in environments().values():
        for driver in client.drivers:
            name = driver.partition(".")[0]
            if outcomes.get(name, {}).get("it_comes_to_its_end", "skipped") != "skipped":
                results["clients"][name] = {
                    "client": client.title,
                    "versions": client.versions,
                    "runtime": _runtime(client.kind),
                    "url": client.url.replace("{port}", "8765"),
                    "server": " ".join(("bargein serve", *client.server)),
                    "bargein": __version__,
                    "outcomes": outcomes[name],
                }
    if passed := _read(CONTRACT):
        results["own_tests"] = {"version": environments()["contract"].versions[0], "passed": passed}
    return results


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def _runtime(kind: str) -> str:
    if kind == "pip":
        return f"Python {platform.python_version()}"
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return "Node " + said.strip("v\n")


def page(results: dict[str, Any]) -> str:
    """The page in Markdown."""
    lines = ["| Client | Run as | " + " | ".join(COLUMNS) + " |", "| --- | --- |" + " --- |" * len(COLUMNS)]
    for name, result in results["clients"].items():
        cells = [_cell(result["outcomes"], checks) for checks in COLUMNS.values()]
        versions = ", ".join(f"`{version}`" for version in result["versions"])
        lines.append(f"| {versions} | `{name}`, {result['runtime']} | " + " | ".join(cells) + " |")
    lines += ["", "## Pointing a client here", "", POINTING, ""]
    lines += ["| Client | Its address | Server |", "| --- | --- | --- |"]
    seen = {result["client"]: result for result in results["clients"].values()}
    lines += [f"| {title} | `{result['url']}` | `{result['server']}` |" for title, result in seen.items()]
    return "\n".join([HEAD + lines[0], *lines[1:], "", *_own_tests(results["own_tests"])]) + "\n"


def _own_tests(ran: dict[str, Any]) -> list[str]:
    """What of the official package's own tests was run."""
    told = [f"- `{file}`: {ran['passed'][file]} passed." for file in OWN_TESTS]
    return [
        "## The official package's own tests",
        "",
        f"Tests of requests in the source distribution of `{ran['version']}`, with our server in the place of theirs:",
        "",
        *told,
        *(f"- `{file}` is left out: {why}." for file, why in LEFT_OUT.items()),
    ]


def _cell(outcomes: dict[str, str], checks: tuple[str, ...]) -> str:
    if all(outcomes.get(check) == "skipped" for check in checks):
        return "-"
    failed = [check.replace("_", " ") for check in checks if outcomes.get(check) != "passed"]
    return "no: " + ", ".join(failed) if failed else "yes"


def main() -> int:
    """Write both."""
    results = record()
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(results), encoding="utf-8")
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
