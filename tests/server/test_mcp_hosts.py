"""Which hosts an MCP client of this server may reach: the list, the URL, and the addresses behind a name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from engine.errors import ConfigError
from engine.server.mcp.hosts import Allowed, HostRefused, addresses, entry, target


def found(url: str, allow: Sequence[str], resolved: Sequence[str] = ()) -> list[str]:
    """The addresses that a connection would go to."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return resolved

    async def main() -> list[str]:
        listed = [entry(text) for text in allow]
        return [str(address) for address in await addresses(target(url, listed), listed, resolve)]

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("mcp.example.com", "mcp.example.com", None),
        ("MCP.Example.com.:8443", "mcp.example.com", 8443),
        ("127.0.0.1:80", "127.0.0.1", 80),
        ("10.1.2.3", "10.1.2.3", None),
        ("::1", "::1", None),
        ("[::1]:8000", "::1", 8000),
        ("[0:0:0:0:0:0:0:1]", "::1", None),
        ("[::ffff:10.0.0.1]:1", "10.0.0.1", 1),
    ],
)
def test_entries(text: str, host: str, port: int | None) -> None:
    assert entry(text) == Allowed(host, port)


@pytest.mark.parametrize(
    "text",
    ["", "https://mcp.example.com", "a/b", "user@host", "*.example.com", "host:0", "host:99999", "host:x", "[::1",
     "a b",     "fe80::1%eth0", "169.254.169.254", "[fd00:ec2::254]:80", "0.0.0.0", "::", "224.0.0.1", "ff02::1",
     "255.255.255.255", "2002:7f00:1::", "64:ff9b::7f00:1"],
)  # fmt: skip
def test_entries_that_nobody_may_want(text: str) -> None:
    with pytest.raises(ConfigError, match="mcp allow is"):
        entry(text)


@pytest.mark.parametrize(
    ("url", "allow", "port"),
    [
        ("https://mcp.example.com/mcp?x=1", "mcp.example.com", 443),
        ("https://MCP.EXAMPLE.com.:443/", "mcp.example.com", 443),
        ("https://mcp.example.com:8443", "mcp.example.com:8443", 8443),
        ("http://localhost/", "localhost", 80),
        ("http://[::1]:8000/mcp", "[::1]:8000", 8000),
    ],
)
def test_urls_that_are_listed(url: str, allow: str, port: int) -> None:
    assert target(url, [entry(allow)]).port == port


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://other.example.com/", "has not allowed it"),
        ("https://mcp.example.com.evil.com/", "has not allowed it"),
        ("https://mcp.example.com:444/", "has not allowed it"),
        ("http://mcp.example.com/", "has not allowed it"),  # port 80, and the entry has 443
        ("http://127.0.0.1/", "has not allowed it"),
        ("https://mcp.example.com@evil.com/", "user or password"),
        ("https://user:secret@mcp.example.com/", "user or password"),
        ("ftp://mcp.example.com/", "expected a URL"),
        ("file:///etc/passwd", "expected a URL"),
        ("//mcp.example.com/", "expected a URL"),
        ("https://", "expected a URL"),
        ("https://mcp.example.com:x/", "cannot be parsed"),
        ("https://[::1/", "cannot be parsed"),
        ("https://[fe80::1%25eth0]/", "cannot be parsed"),
        ("https://mcp.example.com/\r\nHost: x", "ASCII without blanks"),
        ("https://mcp.example.com/ü", "ASCII without blanks"),
        ("https://mcp.example.com/" + "x" * 3000, "2048"),
    ],
)
def test_urls_that_are_not(url: str, reason: str) -> None:
    listed = [entry("mcp.example.com:443")]
    with pytest.raises(HostRefused, match=reason) as refused:
        target(url, listed)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "169.254.169.254",
     "0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.2.1", "::", "fe80::1", "fd00::1",
     "fd00:ec2::254", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
     "2002:7f00:1::", "2001::1", "64:ff9b::a00:1", "2001:db8::1", "4000::1", "127.1", "rubbish"],
)  # fmt: skip
def test_a_name_of_the_inside_is_refused(address: str) -> None:
    """Also when only one of its addresses is."""
    for resolved in ([address], ["93.184.215.14", address]):
        with pytest.raises(HostRefused):
            found("https://mcp.example.com/", ["mcp.example.com"], resolved)


def test_a_name_of_the_outside_is_not() -> None:
    public = ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]
    assert found("https://mcp.example.com/", ["mcp.example.com"], [*public, public[0]]) == public


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.1", "169.254.1.1", "fd00::1", "fe80::1", "127.0.0.2"])
def test_an_inner_address_that_is_listed_is_allowed(address: str) -> None:
    name = f"[{address}]" if ":" in address else address
    assert found(f"https://{name}/", [address]) == [address]
    assert found("https://mcp.lan/", ["mcp.lan", address], [address]) == [address]
    with pytest.raises(HostRefused, match="must allow the address itself"):
        found("https://mcp.lan/", ["mcp.lan", f"{name}:444"], [address])


def test_metadata_is_never_reached() -> None:
    """The list cannot have it; nor can another spelling lead there."""
    with pytest.raises(HostRefused, match="secrets"):
        found("https://metadata.lan/", ["metadata.lan"], ["169.254.169.254"])


def test_https_leaves_this_machine_and_http_does_not() -> None:
    assert found("http://localhost:8000/", ["localhost:8000"], ["127.0.0.1", "::1"]) == ["127.0.0.1", "::1"]
    assert found("http://127.0.0.1:8000/", ["127.0.0.1:8000"]) == ["127.0.0.1"]
    with pytest.raises(HostRefused, match="use https"):
        found("http://10.0.0.1/", ["10.0.0.1"])
    with pytest.raises(HostRefused, match="use https"):
        found("http://mcp.example.com/", ["mcp.example.com"], ["93.184.215.14"])
    with pytest.raises(HostRefused, match="not at a loopback"):
        found("http://localhost/", ["localhost"], ["93.184.215.14"])


def test_a_name_without_addresses() -> None:
    with pytest.raises(OSError, match="no address"):
        found("https://mcp.example.com/", ["mcp.example.com"])
