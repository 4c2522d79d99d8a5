"""The picture of `bargein talk` in the README: `python -m tests.device.picture examples/talk.png`.

The real program in a real terminal, over the virtual devices of PulseAudio and against the server inside; needs what
the tests of this folder need, pyte and Pillow.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from tests.cli.terminal import OnTerminal
from tests.device.soundserver import SoundServer
from tests.device.test_content import write_wav
from tests.device.test_conversation import DATA, caller

FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono{}.ttf"
WIDE, HIGH, MARGIN = 10, 21, 14
PAPER, INK = "#16181d", "#d8dce4"
NAMED = {
    "black": "#3b4048", "red": "#e06c75", "green": "#8fc379", "brown": "#e5c07b", "blue": "#61afef",
    "magenta": "#c678dd", "cyan": "#56b6c2", "white": INK, "default": INK, "brightred": "#ff7b86",
    "yellow": "#e5c07b",
    "brightgreen": "#a6e08d", "brightbrown": "#ffd98f", "brightyellow": "#ffd98f", "brightblue": "#7cc4ff",
    "brightmagenta": "#e29bff", "bfightmagenta": "#e29bff", "brightcyan": "#7ce0ee", "brightblack": "#7b828e",
    "brightwhite": "#ffffff",
}  # fmt: skip


def colour(name: str) -> str:
    """Of a cell, as an image wants it."""
    return NAMED.get(name) or (f"#{name}" if len(name) == 6 else INK)


def draw(screen: Any, path: Path) -> None:
    """The screen as an image."""
    width, height = screen.columns * WIDE + 2 * MARGIN, screen.lines * HIGH + 2 * MARGIN
    image = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(image)
    fonts = {bold: ImageFont.truetype(FONT.format("-Bold" if bold else ""), 16) for bold in (False, True)}
    for row in range(screen.lines):
        for column in range(screen.columns):
            cell = screen.buffer[row][column]
            ink, paper = colour(cell.fg), PAPER if cell.bg == "default" else colour(cell.bg)
            if cell.reverse:
                ink, paper = paper, ink
            x, y = MARGIN + column * WIDE, MARGIN + row * HIGH
            if paper != PAPER:
                pen.rectangle((x, y, x + WIDE - 1, y + HIGH - 1), fill=paper)
            eighths = "▏▎▍▌▋▊▉█".find(cell.data) + 1 if cell.data.strip() else 0
            if eighths > 1 or cell.data == "█":  # a font's own blocks leave seams
                pen.rectangle((x, y + 4, x + WIDE * eighths // 8 - 1, y + HIGH - 5), fill=ink)
            elif cell.data.strip():
                pen.text((x, y + 1), cell.data, ink, fonts[cell.bold])
    image.save(path, optimize=True)


def main(path: Path) -> None:
    """Talk, interrupt, and take the picture while the answer is being interrupted."""
    with tempfile.TemporaryDirectory() as folder:
        server = SoundServer(Path(folder) / "sound")
        server.start()
        try:
            write_wav(Path(folder) / "caller.wav", caller())
            arguments = ("talk", "--microphone", "vmic", "--loudspeaker", "vspk", "--server", "inside")
            brain = ("--responder", f"script:{DATA / 'demo.yaml'}")
            with OnTerminal(*arguments, *brain, columns=100, rows=26, environment=server.environment) as talk:
                talk.shows("listening")
                speaking = server.speak(Path(folder) / "caller.wav")
                talk.shows("interrupted after", "hearing you")
                draw(talk.screen, path)
                print(talk.text)
                talk.press("q")
                print(talk.end(), talk.given_back)
                speaking.wait(60)
        finally:
            server.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
