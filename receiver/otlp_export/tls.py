"""A client's side of a `tls` block (the Collector's configtls): for gRPC and for HTTP.

Files are read once, when an exporter is made, so that a wrong path is told at start and not at the first batch.
Without `ca_file`, HTTP trusts what the system trusts, gRPC what its library ships (or
GRPC_DEFAULT_SSL_ROOTS_FILE_PATH names).
"""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc

from receiver.errors import ConfigError
from receiver.otlp.tls import TLSSettings

_VERSIONS = {"": ssl.TLSVersion.TLSv1_2, "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def channel_credentials(tls: TLSSettings) -> grpc.ChannelCredentials:
    """For a gRPC client. Raises ConfigError when a file or a setting cannot be used."""
    if tls.insecure_skip_verify:
        raise ConfigError(
            "tls::insecure_skip_verify: gRPC's Python library cannot; set ca_file to the server's certificate"
        )
    if tls.min_version == "1.3":
        raise ConfigError("tls::min_version: gRPC's library decides the version itself (1.2 or later)")
    client_ssl_context(tls)  # gRPC tells of a wrong file only on its log, at the first connection
    return grpc.ssl_channel_credentials(
        root_certificates=_read(tls.ca_file) if tls.ca_file else None,
        private_key=_read(tls.key_file) if tls.key_file else None,
        certificate_chain=_read(tls.cert_file) if tls.cert_file else None,
    )


def client_ssl_context(tls: TLSSettings) -> ssl.SSLContext:
    """For an HTTP client. Raises ConfigError when a file or a setting cannot be used."""
    if tls.min_version not in _VERSIONS:
        raise ConfigError(f"tls::min_version: {tls.min_version!r} is not supported; use 1.2 or 1.3")
    if bool(tls.cert_file) != bool(tls.key_file):
        raise ConfigError("tls: a client's certificate needs both cert_file and key_file")
    context = _trusting(tls.ca_file)
    context.minimum_version = _VERSIONS[tls.min_version]
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file:
        _read(tls.cert_file)
        _read(tls.key_file)
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            raise ConfigError(f"tls: {tls.cert_file} and {tls.key_file} are not a PEM pair: {error}") from None
    return context


def _trusting(ca_file: str) -> ssl.SSLContext:
    if not ca_file:
        return ssl.create_default_context()
    _read(ca_file)
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise ConfigError(f"tls::ca_file: {ca_file} is not PEM: {error}") from None


def _no_password() -> str:
    """Asked for an encrypted key's password, OpenSSL would otherwise prompt on the terminal."""
    raise ValueError("the key is encrypted; give it without a passphrase")


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"tls: cannot read {path}: {error.strerror}") from None
