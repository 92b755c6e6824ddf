"""TLS settings that cannot work are found when the server starts, and named."""

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from receiver.errors import ConfigError
from receiver.net.tls import TLSSettings, server_credentials, server_ssl_context

BOTH = pytest.mark.parametrize("make", [server_ssl_context, server_credentials])


@BOTH
def test_good_files(make, certificates):
    assert make(certificates.tls)
    assert make(certificates.mutual)


@BOTH
@pytest.mark.parametrize("field", ["cert_file", "key_file", "client_ca_file"])
def test_a_missing_file_is_named(make, certificates, field):
    with pytest.raises(ConfigError, match=r"tls: cannot read /nowhere/x\.pem: No such file"):
        make(replace(certificates.mutual, **{field: "/nowhere/x.pem"}))


@BOTH
@pytest.mark.parametrize("field", ["cert_file", "key_file", "client_ca_file"])
def test_a_file_that_is_not_pem_is_named(make, certificates, field, tmp_path):
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("not a certificate")
    with pytest.raises(ConfigError, match=r"wrong\.pem"):
        make(replace(certificates.mutual, **{field: str(wrong)}))


@BOTH
@pytest.mark.parametrize("field", ["cert_file", "key_file"])
def test_a_server_needs_both(make, certificates, field):
    with pytest.raises(ConfigError, match="both cert_file and key_file"):
        make(replace(certificates.tls, **{field: ""}))


@BOTH
def test_an_encrypted_key_is_refused_rather_than_asked_about(make, certificates, tmp_path):
    key = load_pem_private_key(Path(certificates.key_file).read_bytes(), None)
    locked = tmp_path / "locked.key"
    how = BestAvailableEncryption(b"passphrase")
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    with pytest.raises(ConfigError, match="passphrase"):
        make(replace(certificates.tls, key_file=str(locked)))


@BOTH
def test_an_old_version_is_refused(make, certificates):
    with pytest.raises(ConfigError, match=r"min_version.*1\.2 or 1\.3"):
        make(replace(certificates.tls, min_version="1.0"))


def test_grpc_cannot_be_told_a_version(certificates):
    newer = replace(certificates.tls, min_version="1.3")
    assert server_ssl_context(newer)
    with pytest.raises(ConfigError, match=r"use 1\.2"):
        server_credentials(newer)


def test_nothing_is_set_by_default():
    assert TLSSettings() == TLSSettings(min_version="1.2", insecure=False, insecure_skip_verify=False)
