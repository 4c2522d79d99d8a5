"""What do `import engine` and the default install cost, beside openai, openai-agents and numpy?

Time: from just before the import to just after it, in a fresh interpreter, median of several that take turns. Memory:
the most that interpreter ever had resident, less that of an empty one. The interpreter starts with what the
environment's .pth files import, the same for all. An editable install would run its build check at the import: it is
switched off.
Installed size: the files each distribution lists, without .pyc, found by walking the requirements that hold here.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

Row = tuple[str, float, float, float, str]

RUNS = 9
MIB = 2**20
MODULES = ["engine", "openai", "agents.realtime", "numpy"]
PEERS = ["openai[realtime]", "openai-agents"]
UNWANTED = ["sounddevice", "soxr", "matplotlib", "yaml", "espeakng_loader"]
"""What only some programs need: `import engine` must leave it alone."""

CHILD = """
import json, sys, time
for finder in sys.meta_path:
    if hasattr(finder, "rebuild_flag"):  # of an editable install
        finder.rebuild_flag = False
before = set(sys.modules)
begin = time.perf_counter()
if sys.argv[1]:
    __import__(sys.argv[1])
seconds = time.perf_counter() - begin
try:  # ru_maxrss would hold what the parent had before exec
    kib = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
except OSError:
    import resource
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
print(json.dumps([seconds * 1000, kib / 1024, sorted(set(sys.modules) - before)]))
"""


def child(module: str) -> tuple[float, float, list[str]]:
    """Milliseconds, MiB and modules of one fresh interpreter that imports `module` ("" imports nothing)."""
    result = subprocess.run([sys.executable, "-P", "-c", CHILD, module], capture_output=True, check=True, text=True)
    milliseconds, mib, modules = json.loads(result.stdout)
    return milliseconds, mib, modules


def installed(module: str) -> bool:
    return importlib.util.find_spec(module.partition(".")[0]) is not None


def import_rows() -> list[Row]:
    names = ["", *filter(installed, MODULES)]
    milliseconds: dict[str, list[float]] = {name: [] for name in names}
    mib: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        child(name)  # fills the file caches
    for name in names * RUNS:
        spent, memory, _ = child(name)
        milliseconds[name].append(spent)
        mib[name].append(memory)
    time_of = {name: statistics.median(values) for name, values in milliseconds.items()}
    empty = statistics.median(mib[""])
    memory_of = {name: statistics.median(values) - empty for name, values in mib.items()}
    rows: list[Row] = []
    for peer in names[2:]:
        for what, figures, unit in (("time", time_of, "ms"), ("memory", memory_of, "MiB")):
            ratio = figures[peer] / figures["engine"]
            rows.append((f"import engine, beside {peer}: {what}", figures["engine"], figures[peer], ratio, unit))
    nan = float("nan")
    return [*rows, ("import engine, whole process beside an empty one", memory_of["engine"] + empty, empty, nan, "MiB")]


def closure(root: str) -> dict[str, importlib.metadata.Distribution]:
    """What `root`, such as "openai[realtime]", needs here, itself included. Raises PackageNotFoundError."""
    found: dict[str, importlib.metadata.Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(root)]
    while waiting:
        wanted = waiting.pop()
        name, extras = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found[name] = importlib.metadata.distribution(name)
        for line in found[name].requires or []:
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                waiting.append(requirement)
    return found


def installed_bytes(distribution: importlib.metadata.Distribution) -> int:
    listed = [Path(str(entry.locate())) for entry in distribution.files or []]
    if canonicalize_name(distribution.name) == "bargein" and not any(path.parent.name == "engine" for path in listed):
        listed += editable_files()
    return sum(path.stat().st_size for path in listed if path.suffix != ".pyc" and path.is_file())


def editable_files() -> list[Path]:
    """What a wheel would hold: an editable install lists only its hook."""
    import engine

    core = importlib.import_module("engine._native")
    return [*Path(str(engine.__file__)).parent.rglob("*.py"), Path(str(core.__file__))]


def packages(root: str) -> dict[str, float] | None:
    """Installed MiB by name of distribution, or None when `root` or a part of it is not installed."""
    try:
        return {name: installed_bytes(found) / MIB for name, found in sorted(closure(root).items())}
    except importlib.metadata.PackageNotFoundError as error:
        print(f"imports: {root} is left out: {error}", file=sys.stderr)
        return None


def package_rows() -> list[Row]:
    mine = packages("bargein")
    rows: list[Row] = []
    for root in PEERS if mine else []:
        peer = packages(root)
        if mine is None or peer is None:
            continue
        size, peer_size = sum(mine.values()), sum(peer.values())
        rows += [
            (f"default install, beside {root}: packages", len(mine), len(peer), len(peer) / len(mine), ""),
            (f"default install, beside {root}: size", size, peer_size, peer_size / size, "MiB"),
        ]
    return rows


def main() -> list[Row]:
    for name in MODULES:
        if not installed(name):
            print(f"imports: {name} is left out: not installed", file=sys.stderr)
    return import_rows() + package_rows()


def notes() -> list[str]:
    """The lists behind the figures."""
    lines = []
    for root in ("bargein", *PEERS):
        sizes = packages(root)
        if sizes is not None:
            lines.append(f"{root} installs: " + ", ".join(f"{name} {mib:.1f} MiB" for name, mib in sizes.items()) + ".")
    modules = child("engine")[2]
    outside = sorted({name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) - {"engine"})
    lines.append(f"`import engine` loads {len(modules)} modules; outside the standard library: {', '.join(outside)}.")
    unwanted = [name for name in UNWANTED if name in modules]
    if unwanted:
        return [*lines, f"UNWANTED, and loaded: {', '.join(unwanted)}."]
    return [*lines, f"Not loaded, as it should be: {', '.join(UNWANTED)}."]


def show(rows: list[Row]) -> None:
    print(f"{'imports':52} {'bargein':>9} {'peer':>9} {'ratio':>7}")
    for name, mine, peer, ratio, unit in rows:
        print(f"{name:52} {mine:9.1f} {peer:9.1f} {'' if math.isnan(ratio) else f'{ratio:.1f}x':>7}  {unit}")


if __name__ == "__main__":
    show(main())
    print(*notes(), sep="\n")
