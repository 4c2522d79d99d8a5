"""The longer words of `--help`."""

from __future__ import annotations

EXIT_CODES = """\
exit codes:
  0    done
  1    it failed: server absent, refusing or lost, a response failed, or a fault in bargein
  2    wrong usage or setting, or a file that cannot be read or written
  130  stopped by Ctrl-C (143 by SIGTERM); what was written until then is whole and can be read
  141  whoever read the output has gone
"""

MAIN = f"""\
environment:
  OPENAI_API_KEY   the key; never an option, because options are visible to everyone in the list of processes
  OPENAI_BASE_URL  the server, when --server does not name one
  BARGEIN_...      a setting each (`bargein config --json` has their names); BARGEIN_CONFIG names the file itself

settings:
  An option wins over the environment, that over bargein.toml (in $XDG_CONFIG_HOME/bargein, else ~/.config/bargein),
  that over the default. `bargein config` lists them all.

examples:
  bargein demo                                  a spoken conversation, a picture and a recording, in out/
  bargein file question.wav --out answer.wav    ask with a file, keep the answer
  bargein talk                                  talk with this machine's microphone and loudspeaker
  bargein transcribe talk.wav --out talk.srt    what is said, as text and captions
  bargein devices                               microphones and loudspeakers, by name
  bargein doctor                                try them, and find the settings to use
  bargein config                                every setting, and where its value comes from
  bargein serve                                 a Realtime server on this machine
  bargein secret create --expires-after 60      a short-lived key for a browser or a device
  bargein call hangup rtc_123                   end a telephone call

{EXIT_CODES}"""

DEMO = f"""\
Leaves in the folder: conversation.wav (left = microphone, right = loudspeaker), timeline.png and events.jsonl.

examples:
  bargein demo
  bargein demo --fast --out /tmp/demo           in seconds, on a virtual clock
  bargein demo --wav me.wav                     your own voice

{EXIT_CODES}"""

FILE = f"""\
Each settled turn is one line: role, words ("(speech)" where there is no transcript), how much of an interrupted reply
was heard, and the time from the end of the speech to the first sound of its answer.

The server is --server, else OPENAI_BASE_URL, else the hosted service if there is a key, else the server inside.
The file may be PCM, float or G.711 WAV, 8 to 192 kHz; it is spoken in real time and followed by silence until every
answer has been heard.

examples:
  bargein file question.wav --out answer.wav --fast
  bargein file call.wav --format pcmu --conversation both.wav --events events.jsonl
  bargein file question.wav --server ws://127.0.0.1:8765/v1/realtime
  OPENAI_API_KEY=... bargein file question.wav --out answer.wav --instructions "Be brief."
  bargein file question.wav --fast --json | jq -r 'select(.role == "assistant").text'

{EXIT_CODES}"""

SERVE = f"""\
Prints `listening on ws://HOST:PORT/v1/realtime and http://HOST:PORT/` when clients may come. Without keys it serves
this machine only; with keys (--keys-file, or BARGEIN_API_KEYS) everybody has to show one, or a client secret made with
one. SIGHUP reads keys and certificate again. On stderr there is a line for every turn and session (--log). Ctrl-C ends
it, SIGTERM lets sessions finish first (--drain); both with exit code 0.

responders:
  echo             your own voice comes back
  parrot           what was understood of your words (--speech)
  classifier:PATH  the menu of a kiosk, offline (extra `recogniser`): examples/kiosk.yaml
  chat:PATH        a language model behind /v1/chat/completions (extra `rest`): examples/chat.yaml
  proxy:URL        another Realtime server; echo answers while its line is down
  NAME[:ARGUMENT]  a brain of another package (entry points `bargein.responders`)
  script:PATH      rules in a YAML file; the first rule whose conditions all hold is taken:

    rules:
      - match: {{turn: 1}}                        # or text: REGEX, tool: NAME, output: REGEX, instructions: REGEX
        do: [{{say: "Hello."}}]                   # or text: ..., delay: SECONDS, stop: max_output_tokens
      - match: {{text: "weather"}}
        do: [{{call: {{name: get_weather, arguments: {{city: Paris}}}}}}]
      - match: {{text: "break"}}
        do: [{{fail: {{code: rate_limit_exceeded, message: "Slow down."}}}}]
    default: [{{say: "You said {{text}}"}}]         # when no rule matches

examples:
  bargein serve
  bargein serve --port 0 --responder script:rules.yaml
  bargein serve --responder classifier:examples/kiosk.yaml
  bargein serve --responder parrot --speech examples/speech.yaml
  bargein serve --trace-file trace.jsonl
  bargein serve --tls self-signed
  bargein serve --host 0.0.0.0 --allowed-host voice.example.com --keys-file keys.txt --tls-cert c.pem --tls-key k.pem
  bargein file question.wav --server ws://127.0.0.1:8765/v1/realtime --out answer.wav

{EXIT_CODES}"""

TALK = """\
A screen with levels, speech, transcripts, times and costs; lines where there is no terminal, with --plain or --json.
Keys: m mute, space talk and send (push to talk), i interrupt, h hold, + and - volume, q quit.

The server is --server, else OPENAI_BASE_URL, else the hosted service if there is a key, else the server inside.
The loudspeaker's echo is cancelled (--echo auto); with headphones --echo off is 5 ms sooner.
A device that is unplugged is waited for.
Needs the extras `device` and, for the screen, `talk`: pip install 'bargein[device,talk]'; and PortAudio.

examples:
  bargein talk                                  with the server inside
  bargein talk --microphone "USB*" --loudspeaker HDMI --noise-reduction far_field
  OPENAI_API_KEY=... bargein talk --instructions "Be brief."
  bargein talk --push-to-talk --server ws://127.0.0.1:8765/v1/realtime
  bargein talk --json < /dev/null | jq .        a service; examples/pi has a systemd unit

exit codes:
  0    ended by q, Ctrl-C or SIGTERM
  1    no device, no server, or the server ended it
  2    wrong usage or setting
"""

DEVICES = f"""\
The name is what --microphone, --loudspeaker and engine.Device take, whole, in part, or as a pattern (USB*). Of a device
behind a sound server, rate and channels are the server's.

Needs the extra `device` (pip install 'bargein[device]') and PortAudio (apt-get install libportaudio2).

examples:
  bargein devices
  bargein devices --json | jq -r 'select(.inputs > 0).name'

{EXIT_CODES}"""

DOCTOR = f"""\
Opens microphone and loudspeaker, listens to the room, plays chirps (they can be heard) and finds them in what the
microphone hears: round trip, delay and level of the echo, drift, noise floor, clipping; then with every processor busy,
at several blocks, what is lost, flagged or not: the chirps betray pieces that a sound server drops without a word.
Where there is an echo, some seconds of speech show whether the canceller learns it.
Without names it tries the default devices, then each sound card. Takes half a minute. What is missing comes with the
command that mends it.

The echo mode is "auto" when the microphone hears the loudspeaker, "half_duplex" when the canceller cannot learn that,
"off" when it does not (headphones).

examples:
  bargein doctor
  bargein doctor --microphone "USB*" --write    keep what was found in bargein.toml
  bargein doctor --json | jq 'select(.type == "advice")'

{EXIT_CODES}"""

CONFIG = f"""\
The file is $BARGEIN_CONFIG, else bargein/bargein.toml in $XDG_CONFIG_HOME (~/.config), else in $XDG_CONFIG_DIRS
(/etc/xdg). A key is section.name, in the file:

  [device]
  microphone = "USB*"
  latency_ms = 40

Its variable is BARGEIN_DEVICE_MICROPHONE. Secrets do not belong there: server.key_file names a file with the key.

examples:
  bargein config
  bargein config device
  BARGEIN_DEVICE_BLOCK_MS=20 bargein config device --json

{EXIT_CODES}"""

SECRET = f"""\
A client secret opens sessions until it expires, as often as its holder likes; a session that runs goes on. The session
attached is where each of them starts. The secret is all that is printed on stdout: treat it as a key.

Needs the extra `rest`: pip install 'bargein[rest]'. The server is --server, else OPENAI_BASE_URL, else the hosted one.

examples:
  bargein secret create --model gpt-realtime --expires-after 60
  EPHEMERAL=$(bargein secret create --session session.json)
  bargein secret create --json | jq .expires_at

{EXIT_CODES}"""

CALL = f"""\
CALL_ID is that of the webhook realtime.call.incoming. Accept, reject or leave a call within the seconds for which it
rings; engine.calls does it from a webhook. What would act twice is not repeated when its answer is lost.

Needs the extra `rest`: pip install 'bargein[rest]'. The server is --server, else OPENAI_BASE_URL, else the hosted one.

examples:
  bargein call accept rtc_123 --model gpt-realtime --instructions "Be brief."
  bargein call accept rtc_123 --session session.json
  bargein call reject rtc_123 --status 486             busy; without --status 603, decline
  bargein call refer rtc_123 tel:+14155550123
  bargein call hangup rtc_123

{EXIT_CODES}"""
