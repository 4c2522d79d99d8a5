"""Tools of MCP servers in a session: those a script plays, and real ones (extra `mcp`).

`side` is the session's part; `servers` what an MCP server is to it; `remote` a real one, over `http` to the addresses
that `hosts` allows; `messages` counts what it says before anything looks at it; `rules` and `options` are what a
session, and the owner of this server, may ask for.
"""
