"""The process in which pocketsphinx runs: it holds the interpreter's lock while it decodes, which no loop may feel.

Started as a script by `sphinx.py`, with nothing of this package imported. Standard input carries requests, each a line
of JSON and, where it says so, as many bytes of PCM (mono int16, 16 kHz); standard output one line of JSON for each.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any, BinaryIO

RATE = 16_000
MENU, PHONES, WORDS = "menu", "phones", "words"


class Worker:
    """One decoder: acoustic model and dictionary once, and the searches that were asked for."""

    def __init__(self, model: str, dictionary: str, language_model: str) -> None:
        import pocketsphinx

        found = pocketsphinx.get_model_path
        self._language_model = language_model or found("en-us/en-us.lm.bin")
        self._decoder = pocketsphinx.Decoder(
            hmm=model or found("en-us/en-us"),
            dict=dictionary or found("en-us/cmudict-en-us.dict"),
            lm=None,
            samprate=RATE,
            loglevel="FATAL",
        )

    def learn(self, words: dict[str, str], used: list[str]) -> dict[str, Any]:
        """Add pronunciations; which of the words used have none."""
        for word, phones in words.items():
            self._decoder.add_word(word, phones, True)
        return {"unknown": [word for word in used if self._decoder.lookup_word(word) is None]}

    def menu(self, grammar: str) -> dict[str, Any]:
        """Take a JSGF grammar, and the loop of all phones that its scores are compared with."""
        self._decoder.add_jsgf_string(MENU, grammar)
        self._decoder.add_allphone_file(PHONES, None)
        return {}

    def language(self) -> dict[str, Any]:
        """Take the language model."""
        self._decoder.add_lm_file(WORDS, self._language_model)
        return {}

    def decode_menu(self, sound: bytes) -> dict[str, Any]:
        """The best phrase; by how much its score per frame (natural logarithm, times 1000) lies above that of any
        phones at all, mostly below 0; and the share of the speech that its words cover.
        """
        text, score, segments, frames = self._decode(MENU, sound)
        _, free, phones, _ = self._decode(PHONES, sound)
        if not text or not score or not free:
            return {"text": "", "ratio": 0.0, "cover": 0.0}
        spoken = sum(end - start + 1 for word, start, end in phones if not word.startswith(("SIL", "+", "<")))
        covered = sum(end - start + 1 for word, start, end in segments if not word.startswith(("<", "[", "+")))
        ratio = 1000 * (math.log(score) - math.log(free)) / max(frames, 1)
        return {"text": text, "ratio": ratio, "cover": covered / max(spoken, 1)}

    def decode(self, sound: bytes) -> dict[str, Any]:
        """The words."""
        text, *_ = self._decode(WORDS, sound)
        return {"text": text}

    def _decode(self, search: str, sound: bytes) -> tuple[str, float, list[tuple[str, int, int]], int]:
        decoder = self._decoder
        decoder.activate_search(search)
        decoder.start_stream()  # forget the noise of the turn before: it was another caller's
        decoder.start_utt()
        decoder.process_raw(sound, False, True)
        decoder.end_utt()
        found = decoder.hyp()
        segments = [(part.word, part.start_frame, part.end_frame) for part in (decoder.seg() or ())]
        return (found.hypstr, found.best_score, segments, decoder.n_frames()) if found else ("", 0.0, segments, 0)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the input ends. A failure is an answer with an error."""
    worker: Worker | None = None
    while line := requests.readline():
        request = json.loads(line)
        sound = requests.read(request.pop("bytes", 0))
        try:
            name = request.pop("do")
            if name == "load":
                worker, answer = Worker(**request), {}
            elif name in ("decode", "decode_menu"):
                answer = getattr(worker, name)(sound)
            else:
                answer = getattr(worker, name)(**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
