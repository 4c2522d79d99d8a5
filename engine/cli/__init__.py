"""The command line. The launcher bargein.py, beside this package, calls `main.main`.

main.py   arguments, signals, exit codes
demo.py   a conversation with the server inside, and the evidence of it (evidence.py, table.py, timeline.py)
file.py   a WAV file holds a conversation; trace.py writes down its events
talk.py   microphone and loudspeaker: talkmodel.py knows, screen.py draws, terminal.py has the terminal,
          talkcontrols.py the keys, talkend.py the summary
doctor.py tries sound devices: probe.py one trial, chirp.py its sound, mend.py remedies, config_write.py
devices.py, settings.py (`bargein config`); config.py and config_keys.py are bargein.toml
serve.py  the embedded server by itself
"""
