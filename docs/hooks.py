"""Pages and pictures that have their place elsewhere in the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]


def elsewhere() -> dict[str, Path]:
    """Name in the site to its source."""
    found = {
        "figures.md": ROOT / "bench" / "results.md",
        "clients.md": ROOT / "tests" / "interop" / "results.md",
    }
    found |= {picture.name: picture for picture in sorted((ROOT / "bench").glob("*.svg"))}
    return found | {
        picture.name: picture for picture in sorted((ROOT / "examples").glob("*.png"))
    }


def on_files(files: Any, config: Any) -> Any:
    for name, source in elsewhere().items():
        files.append(File.generated(config, name, abs_src_path=str(source)))
    return files
