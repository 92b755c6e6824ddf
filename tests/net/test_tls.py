"""TLS settings that cannot work fail the start, with the key or file in the error."""

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
def test_tls_loads_good_files(make, certificates):
    assert make(certificates.tls)
    assert make(certificates.mutual)


@BOTH
@pytest.mark.parametrize("field", ["cert_file", "key_file", "client_ca_file"])
def test_tls_names_a_missing_file(make, certificates, field):
    with pytest.raises(ConfigError, match=r"tls: cannot read /nowhere/x\.pem: No such file"):
        make(replace(certificates.mutual, **{field: "/nowhere/x.pem"}))


@BOTH
@pytest.mark.parametrize("field", ["cert_file", "key_file", "client_ca_file"])
def test_tls_names_a_file_that_is_not_pem(make, certificates, field, tmp_path):
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("not a certificate")
    with pytest.raises(ConfigError, match=r"wrong\.pem"):
        make(replace(certificates.mutual, **{field: str(wrong)}))


@BOTH
@pytest.mark.parametrize("field", ["cert_file", "key_file"])
def test_a_tls_server_needs_certificate_and_key(make, certificates, field):
    with pytest.raises(ConfigError, match="both cert_file and key_file"):
        make(replace(certificates.tls, **{field: ""}))


@BOTH
def test_an_encrypted_key_is_an_error_and_no_prompt(make, certificates, tmp_path):
    key = load_pem_private_key(Path(certificates.key_file).read_bytes(), None)
    locked = tmp_path / "locked.key"
    how = BestAvailableEncryption(b"passphrase")
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    with pytest.raises(ConfigError, match="passphrase"):
        make(replace(certificates.tls, key_file=str(locked)))


@BOTH
def test_tls_1_1_is_refused(make, certificates):
    with pytest.raises(ConfigError, match=r"min_version.*1\.2 or 1\.3"):
        make(replace(certificates.tls, min_version="1.0"))


def test_tls_1_3_as_minimum_is_refused_for_grpc(certificates):
    newer = replace(certificates.tls, min_version="1.3")
    assert server_ssl_context(newer)
    with pytest.raises(ConfigError, match=r"use 1\.2"):
        server_credentials(newer)


def test_tls_settings_are_empty_by_default():
    assert TLSSettings() == TLSSettings(min_version="1.2", insecure=False, insecure_skip_verify=False)
