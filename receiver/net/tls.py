"""Makes TLS contexts and credentials from a `tls` block with the Collector's keys (configtls), for servers and clients.

Files are read once, when a server starts or an exporter is made, so that a wrong path is an error at the start and not
at the first connection. A server requires client certificates when `client_ca_file` is given. Without `ca_file` an HTTP
client trusts the system's CAs, a gRPC client those of its library (or of GRPC_DEFAULT_SSL_ROOTS_FILE_PATH).
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from receiver.errors import ConfigError

_VERSIONS = {"": ssl.TLSVersion.TLSv1_2, "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class TLSSettings:
    """One `tls` block. A server reads `client_ca_file`; a client reads `ca_file` and the last three."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    min_version: str = "1.2"
    client_ca_file: str = ""
    insecure: bool = False
    insecure_skip_verify: bool = False
    server_name_override: str = ""


def server_ssl_context(tls: TLSSettings, *, http2: bool = False) -> ssl.SSLContext:
    """The context of an asyncio server. Raises ConfigError when a file cannot be read or used.

    With `http2` the server also offers HTTP/2 (gRPC); a client that offers both gets HTTP/1.1.
    """
    if not tls.cert_file or not tls.key_file:
        raise ConfigError("tls: a server needs both cert_file and key_file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _minimum_version(tls)
    context.set_alpn_protocols(["http/1.1", "h2"] if http2 else ["http/1.1"])
    _load_certificate(context, tls)
    if tls.client_ca_file:
        _read(tls.client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(tls.client_ca_file)
        except ssl.SSLError as error:
            raise ConfigError(f"tls::client_ca_file: {tls.client_ca_file} is not PEM: {error}") from None
    return context


def server_credentials(tls: TLSSettings) -> grpc.ServerCredentials:
    """The credentials of a gRPC server. Raises ConfigError when a file or a setting cannot be used."""
    if tls.min_version == "1.3":
        raise ConfigError("tls::min_version: gRPC's library decides the version itself (1.2 or later); use 1.2")
    server_ssl_context(tls)  # gRPC itself would only log a wrong pair, at the first connection
    client_ca = _read(tls.client_ca_file) if tls.client_ca_file else None
    return grpc.ssl_server_credentials(
        [(_read(tls.key_file), _read(tls.cert_file))],
        root_certificates=client_ca,
        require_client_auth=client_ca is not None,
    )


def client_ssl_context(tls: TLSSettings) -> ssl.SSLContext:
    """The context of an HTTP client. Raises ConfigError when a file or a setting cannot be used."""
    minimum = _minimum_version(tls)
    if bool(tls.cert_file) != bool(tls.key_file):
        raise ConfigError("tls: a client's certificate needs both cert_file and key_file")
    context = _context_trusting(tls.ca_file)
    context.minimum_version = minimum
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file:
        _load_certificate(context, tls)
    return context


def channel_credentials(tls: TLSSettings) -> grpc.ChannelCredentials:
    """The credentials of a gRPC client. Raises ConfigError when a file or a setting cannot be used."""
    if tls.insecure_skip_verify:
        raise ConfigError(
            "tls::insecure_skip_verify: gRPC's Python library cannot; set ca_file to the server's certificate"
        )
    if tls.min_version == "1.3":
        raise ConfigError("tls::min_version: gRPC's library decides the version itself (1.2 or later); use 1.2")
    client_ssl_context(tls)  # gRPC itself would only log a wrong file, at the first connection
    return grpc.ssl_channel_credentials(
        root_certificates=_read(tls.ca_file) if tls.ca_file else None,
        private_key=_read(tls.key_file) if tls.key_file else None,
        certificate_chain=_read(tls.cert_file) if tls.cert_file else None,
    )


def _minimum_version(tls: TLSSettings) -> ssl.TLSVersion:
    if tls.min_version not in _VERSIONS:
        raise ConfigError(f"tls::min_version: {tls.min_version!r} is not supported; use 1.2 or 1.3")
    return _VERSIONS[tls.min_version]


def _load_certificate(context: ssl.SSLContext, tls: TLSSettings) -> None:
    for path in (tls.cert_file, tls.key_file):
        _read(path)  # its error names the missing file; OpenSSL's does not
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"tls: {tls.cert_file} and {tls.key_file} are not a PEM pair: {error}") from None


def _context_trusting(ca_file: str) -> ssl.SSLContext:
    if not ca_file:
        return ssl.create_default_context()
    _read(ca_file)
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise ConfigError(f"tls::ca_file: {ca_file} is not PEM: {error}") from None


def _no_password() -> str:
    """Passed to OpenSSL, which would otherwise prompt for an encrypted key's password on the terminal."""
    raise ValueError("the key is encrypted; give one without a passphrase")


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"tls: cannot read {path}: {error.strerror}") from None
