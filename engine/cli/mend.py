"""What is wrong with a machine's sound, each in one line with the command that mends it."""

from __future__ import annotations

import os
import shutil
import subprocess

from engine.cli.devices import SOUND_FOLDER, remedy
from engine.cli.probe import Trial

ASK_S = 5.0


def no_device() -> str:
    """There is no device at all."""
    return f"there is no sound device: {remedy()}"


def beforehand(named: bool) -> list[str]:
    """What can be seen without opening anything; of the sound server's default devices, unless others are `named`."""
    problems = []
    cards = sorted(SOUND_FOLDER.glob("pcm*")) if SOUND_FOLDER.is_dir() else []
    if cards and not any(os.access(card, os.R_OK | os.W_OK) for card in cards):
        problems.append(f"{cards[0]} may not be used by this user: sudo usermod -aG audio $USER, then log in anew")
    problems += [
        f"the sound server's default {what} is muted: pactl set-{kind}-mute @DEFAULT_{kind.upper()}@ 0"
        for kind, what in (("sink", "loudspeaker"), ("source", "microphone"))
        if not named and _ask("pactl", f"get-{kind}-mute", f"@DEFAULT_{kind.upper()}@").endswith("yes")
    ]
    return problems


def of(trial: Trial) -> list[str]:
    """What a trial shows."""
    hidden, name = bool(trial.opened.unknown), trial.opened.microphone
    if trial.silent:
        command = "pactl set-source-mute @DEFAULT_SOURCE@ 0" if hidden else "amixer sset Capture cap"
        return [f"the microphone {name!r} gives nothing but zeros, it is muted or not connected: {command}"]
    if trial.clipped:
        command = "pactl set-source-volume @DEFAULT_SOURCE@ -6dB" if hidden else "amixer sset Capture 6dB-"
        return [f"the microphone {name!r} is too loud, {trial.clipped} samples are clipped: {command}"]
    return []


def unheard(trial: Trial) -> str:
    """The microphone hears something, but not the loudspeaker."""
    command = "pactl set-sink-mute @DEFAULT_SINK@ 0" if trial.opened.unknown else "amixer sset Master unmute 60%"
    return (
        f"the chirps were not heard: with headphones that is as it should be, else {trial.opened.loudspeaker!r} is "
        f"muted, too soft or not connected: {command}"
    )


def _ask(*command: str) -> str:
    """What a tool of the system says; "" when it is not there or does not answer."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=ASK_S, check=False, env={**os.environ, "LC_ALL": "C"}
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


__all__ = ["beforehand", "no_device", "of"]
