"""Pages and pictures that have their place elsewhere in the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]


def on_files(files: Any, config: Any) -> Any:
    files.append(
        File.generated(
            config, "timeline.png", abs_src_path=str(ROOT / "examples" / "timeline.png")
        )
    )
    files.append(
        File.generated(
            config, "figures.md", abs_src_path=str(ROOT / "bench" / "results.md")
        )
    )
    for picture in sorted((ROOT / "bench").glob("*.svg")):
        files.append(File.generated(config, picture.name, abs_src_path=str(picture)))
    return files
