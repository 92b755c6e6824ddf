"""TLS in the Collector's keys (configtls), and what a server makes of them for gRPC and for asyncio.

Files are read when a server starts. Clients must show a certificate when `client_ca_file` is given.
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
    """For an HTTP/1.1 server on asyncio. Raises ConfigError when a file cannot be read or used.

    With `http2`, a client that speaks nothing else is told that it may: gRPC. Who speaks both is given HTTP/1.1.
    """
    _check_server(tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.min_version]
    context.set_alpn_protocols(["http/1.1", "h2"] if http2 else ["http/1.1"])
    for path in (tls.cert_file, tls.key_file):
        _read(path)  # says which file is missing; OpenSSL does not
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"tls: {tls.cert_file} and {tls.key_file} are not a PEM pair: {error}") from None
    if tls.client_ca_file:
        _read(tls.client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(tls.client_ca_file)
        except ssl.SSLError as error:
            raise ConfigError(f"tls::client_ca_file: {tls.client_ca_file} is not PEM: {error}") from None
    return context


def server_credentials(tls: TLSSettings) -> grpc.ServerCredentials:
    """For a gRPC server. Raises ConfigError when a file cannot be read or used."""
    if tls.min_version == "1.3":
        raise ConfigError("tls::min_version: gRPC's library decides the version itself (1.2 or later); use 1.2")
    server_ssl_context(tls)  # gRPC reports a wrong pair only on its log, at the first connection
    clients = _read(tls.client_ca_file) if tls.client_ca_file else None
    return grpc.ssl_server_credentials(
        [(_read(tls.key_file), _read(tls.cert_file))],
        root_certificates=clients,
        require_client_auth=clients is not None,
    )


def _check_server(tls: TLSSettings) -> None:
    if tls.min_version not in _VERSIONS:
        raise ConfigError(f"tls::min_version: {tls.min_version!r} is not supported; use 1.2 or 1.3")
    if not tls.cert_file or not tls.key_file:
        raise ConfigError("tls: a server needs both cert_file and key_file")


def _no_password() -> str:
    """Asked for an encrypted key's password, OpenSSL would otherwise prompt on the terminal."""
    raise ValueError("the key is encrypted; give it without a passphrase")


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"tls: cannot read {path}: {error.strerror}") from None
