"""The page's rate conversion, run in the browser: how clean it is, and that no way of cutting the input matters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.playground.conftest import Open
from tests.playground.served import Served

RATES = [8000, 16000, 22050, 44100, 48000, 88200, 96000, 192000, 44117]

CONVERT = """
  const { Resampler } = await part("resampler.js");
  const [rateIn, rateOut, hertz, seconds] = given;
  const turn = 2 * Math.PI * hertz / rateIn;
  const input = Float32Array.from({ length: rateIn * seconds }, (_, n) => 0.5 * Math.sin(turn * n));
  const output = new Float32Array(Math.ceil(rateOut * seconds) + 16);
  const resampler = new Resampler(rateIn, rateOut);
  const count = resampler.process(input, input.length, output);
  return { sound: [...output.subarray(0, count)], latency: resampler.latency / rateIn };
"""


@pytest.fixture(scope="module")
def page(chromium: Any, served: Served) -> Any:
    """A page to run modules in."""
    tab = chromium.new_context().new_page()
    tab.goto(served.page)
    return tab


def convert(page: Any, rate_in: int, rate_out: int, hertz: float, seconds: float = 0.5) -> tuple[Any, float]:
    """A sine of 0.5 converted: its samples after the beginning, and the delay in seconds."""
    body = f"const part = (name) => import(`/playground/${{name}}`); {CONVERT}"
    made = page.evaluate(f"async (given) => {{ {body} }}", [rate_in, rate_out, hertz, seconds])
    return np.array(made["sound"]), made["latency"]


def noise_db(sound: Any, hertz: float, rate: int) -> tuple[float, float, float]:
    """Amplitude of the sine in it, its phase at the first sample, and the rest beneath it in dB."""
    start = rate // 20
    times = np.arange(start, sound.size) / rate
    basis = np.stack([np.sin(2 * np.pi * hertz * times), np.cos(2 * np.pi * hertz * times)], axis=1)
    (sine, cosine), *_ = np.linalg.lstsq(basis, sound[start:], rcond=None)
    rest = sound[start:] - basis @ np.array([sine, cosine])
    size = float(np.hypot(sine, cosine))
    return size, float(np.arctan2(cosine, sine)), float(20 * np.log10(np.sqrt(2 * np.mean(rest**2)) / size))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("share", [0.05, 0.4, 0.87])
@pytest.mark.parametrize("way", ["in", "out"])
def test_what_is_in_the_band_passes_clean(page: Any, rate: int, share: float, way: str) -> None:
    rate_in, rate_out = (rate, 24000) if way == "in" else (24000, rate)
    hertz = share * min(rate_in, rate_out) / 2
    sound, latency = convert(page, rate_in, rate_out, hertz)
    size, phase, rest = noise_db(sound, hertz, rate_out)
    assert abs(20 * np.log10(size / 0.5)) < 0.01
    assert rest < -80
    late = (phase + 2 * np.pi * hertz * latency) / (2 * np.pi)
    assert abs(late - round(late)) < 1e-3, "it comes as late as it says"


@pytest.mark.parametrize("rate", [44100, 48000, 96000, 44117])
@pytest.mark.parametrize("hertz", [12100, 15000, 20000])
def test_what_would_alias_is_taken_out(page: Any, rate: int, hertz: int) -> None:
    sound, _ = convert(page, rate, 24000, hertz)
    assert 20 * np.log10(np.abs(sound[1200:]).max() / 0.5) < -85


def test_going_up_makes_no_images(page: Any) -> None:
    sound, _ = convert(page, 24000, 48000, 10000)
    _, _, rest = noise_db(sound, 10000, 48000)
    assert rest < -80  # the image would be at 14 kHz


@pytest.mark.parametrize(("rate_in", "rate_out"), [(48000, 24000), (44100, 24000), (24000, 44100), (24000, 44117)])
def test_any_way_of_cutting_gives_the_same(open_tab: Open, served: Served, rate_in: int, rate_out: int) -> None:
    script = """
      const { Resampler } = await part("resampler.js");
      const [rateIn, rateOut] = given;
      let state = 7;
      const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
      const input = Float32Array.from({ length: 20000 }, () => random() * 2 - 1);
      const whole = new Float32Array(60000);
      const length = new Resampler(rateIn, rateOut).process(input, input.length, whole);
      let wrong = 0;
      for (let trial = 0; trial < 8; trial += 1) {
        const cut = new Resampler(rateIn, rateOut);
        const piece = new Float32Array(8192);
        let done = 0;
        let made = 0;
        while (done < input.length) {
          const count = Math.min(input.length - done, Math.floor(random() * (trial + 1) * 300));
          const got = cut.process(input.subarray(done, done + count), count, piece);
          for (let n = 0; n < got; n += 1) wrong += piece[n] === whole[made + n] ? 0 : 1;
          done += count;
          made += got;
        }
        wrong += made === length ? 0 : 1;
      }
      const pulled = new Resampler(rateIn, rateOut);  // as the loudspeaker asks: so many outputs at a time
      const block = new Float32Array(500);
      for (let at = 0, made = 0; made + 500 < length; made += 500) {
        const count = pulled.needed(500);
        const got = pulled.process(input.subarray(at, at + count), count, block, 500);
        at += count;
        wrong += got === 500 ? 0 : 1;
        for (let n = 0; n < got; n += 1) wrong += block[n] === whole[made + n] ? 0 : 1;
      }
      return { wrong, length };
    """
    told = open_tab(served.page).run(script, rate_in, rate_out)
    assert told["wrong"] == 0
    assert told["length"] > 20000 * rate_out / rate_in - 2
