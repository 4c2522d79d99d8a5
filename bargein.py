"""The command `bargein` and `python -m bargein`: sees that the package `engine` is ours, then hands over to it.

bargein's import package has a common name. A stranger's engine.py or engine/ in the current directory or on PYTHONPATH
can hide it; this module stands beside ours, under a name of its own, and says which file is in the way before anything
of that file runs.
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType

USAGE_ERROR = 2
AGAIN = "install it again: python -m pip install --force-reinstall bargein"


def main() -> int:
    """Run the command line; returns the exit code. 2 and one line on stderr when `engine` is not ours or not whole."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)  # nothing is open yet; engine.cli puts gentler handlers in place
    problem = _in_the_way()
    if problem is None:
        try:
            from engine.cli.main import main as command

            return command()
        except ImportError as error:
            if "--debug" in sys.argv:
                raise
            problem = _broken(error)
    print(f"bargein: {problem}", file=sys.stderr)
    return USAGE_ERROR


def _leave(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)


def _in_the_way() -> str | None:
    """What is wrong with the package that `import engine` would give; None when it is ours. Imports nothing of it."""
    from importlib.util import find_spec

    ours = Path(__file__).resolve().parent / "engine" / "__init__.py"
    try:
        spec = find_spec("engine")
    except (ImportError, ValueError):  # already imported by somebody, without a spec
        spec = None
    if spec is None:
        return f"its package `engine` is missing; {AGAIN}"
    found = spec.origin or next(iter(spec.submodule_search_locations or ()), "engine")
    if not ours.exists():
        return f"its package `engine` is missing (import finds {found}); {AGAIN}"
    if spec.origin and Path(spec.origin).resolve() == ours:
        return None
    return (
        f"{found} is in the way: it has the name of bargein's own package `engine`; "
        "start bargein from another directory, rename that file, or take its directory off PYTHONPATH"
    )


def _broken(error: ImportError) -> str:
    words = str(error).split(" (most likely")[0]
    if "_native" in words and "cannot import name" in words:
        words = "the C core, engine._native, is missing"
    return f"the installation is broken: {words.splitlines()[0]}; {AGAIN}"


if __name__ == "__main__":
    sys.exit(main())
