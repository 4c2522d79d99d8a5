"""TLS of the server: a certificate from files, or one of its own that a client can be told to trust.

The own one is kept, with its key, in a folder, so that a client that trusts it still does so after a restart. It is
made anew when the names change, when a month is left of its year, or when others could read the key. It is readable
by its owner only, and is in no message and no log.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from engine.errors import ConfigError, MissingExtraError
from engine.server.web.access import split_host

if TYPE_CHECKING:
    from cryptography import x509

VALID = timedelta(days=365)
RENEWED = timedelta(days=30)
"""So long before its end a certificate is made anew."""
CERTIFICATE, KEY = "self-signed.pem", "self-signed.key"
OWN_NAMES = ("localhost", "127.0.0.1", "::1")


def from_files(certificate: str | Path, key: str | Path) -> ssl.SSLContext:
    """TLS 1.2 and later with a chain and its key, both PEM. Raises ConfigError, which never shows what is in a file."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load(context, certificate, key)
    return context


def read_again(context: ssl.SSLContext, certificate: str | Path, key: str | Path) -> None:
    """What the files hold now, for connections from now on; those there are keep theirs. Raises ConfigError as
    `from_files`; then nothing has changed.
    """
    from_files(certificate, key)  # a chain without its key would be half loaded
    _load(context, certificate, key)


def _load(context: ssl.SSLContext, certificate: str | Path, key: str | Path) -> None:
    for path in (certificate, key):
        try:
            Path(path).open("rb").close()
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror or error}") from None
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        problem = getattr(error, "reason", None) or "no PEM, or it is encrypted"
        raise ConfigError(
            f"TLS: {certificate} and {key} are no certificate with its key ({problem}); give PEM files without password"
        ) from None


def self_signed(hosts: Sequence[str], folder: Path, now: datetime | None = None) -> tuple[ssl.SSLContext, Path]:
    """TLS with a certificate of its own for this machine and these hosts (HOST or HOST:PORT), and where it is.

    Raises ConfigError when the folder cannot be used, MissingExtraError without the extra `server`.
    """
    now = now or datetime.now(UTC)
    names = _names(hosts)
    certificate, key = folder / CERTIFICATE, folder / KEY
    try:
        if not _usable(certificate, key, names, now):
            _write(certificate, key, names, now)
    except ImportError:
        raise MissingExtraError("a certificate of its own", "server") from None
    except OSError as error:
        raise ConfigError(f"the certificate cannot be kept in {folder}: {error.strerror or error}") from None
    return from_files(certificate, key), certificate


def default_folder() -> Path:
    """Where the own certificate is kept when nobody says: in the user's data folder."""
    data = os.environ.get("XDG_DATA_HOME") or ""
    return (Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share") / "bargein" / "tls"


def _no_password() -> NoReturn:
    raise ValueError("the key is encrypted")


def _names(hosts: Sequence[str]) -> list[str]:
    found = [*OWN_NAMES]
    for host in hosts:
        split = split_host(host)
        if split is not None and split[0] not in found:
            found.append(split[0])
    return found


def _write(certificate: Path, key: Path, names: Sequence[str], now: datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key()
    whose = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bargein")])
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)  # signatures only
    built = (
        x509.CertificateBuilder()
        .subject_name(whose)
        .issuer_name(whose)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(private, hashes.SHA256())
    )
    certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    _replace(key, private.private_bytes(encoding, form, serialization.NoEncryption()), 0o600)
    _replace(certificate, built.public_bytes(encoding), 0o644)


def _replace(path: Path, data: bytes, mode: int) -> None:
    """Write a file at once, so that nobody reads half of one; it is never readable by more than it shall be."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    new.replace(path)


def _usable(certificate: Path, key: Path, names: Sequence[str], now: datetime) -> bool:
    from cryptography import x509

    try:
        if key.stat().st_mode & stat.S_IRWXO:
            return False
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        from_files(certificate, key)
        listed = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, ValueError, ConfigError, x509.ExtensionNotFound):
        return False
    return set(listed) == {_general(name) for name in names} and found.not_valid_after_utc - now > RENEWED


def _general(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


__all__ = ["default_folder", "from_files", "read_again", "self_signed"]
