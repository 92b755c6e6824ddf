"""TLS settings with the Collector's keys (configtls), for servers and for clients. No file is read here."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from receiver.config.model.section import Flag, Section, Text, TypeName


def _unquoted(value: object) -> object:
    """YAML reads `min_version: 1.2` as a number; it is accepted as text."""
    return str(value) if isinstance(value, float) else value


_VERSIONS = WithJsonSchema({"enum": ["1.2", "1.3", 1.2, 1.3]})
MinVersion = Annotated[Literal["1.2", "1.3"], BeforeValidator(_unquoted), _VERSIONS, TypeName("`1.2` or `1.3`")]


class TLSServer(Section):
    """Serves TLS; with `client_ca_file`, only to clients with a certificate (mutual TLS)."""

    cert_file: Text = Field(description="PEM file with the server's certificate chain")
    key_file: Text = Field(description="PEM file with its private key, without a passphrase")
    client_ca_file: Text | None = Field(
        default=None, description="PEM file with the authorities that may sign clients' certificates"
    )
    min_version: MinVersion = Field(default="1.2", description="lowest TLS version; gRPC supports 1.2 only")


class TLSClient(Section):
    """Connects to a server over TLS."""

    insecure: Flag = Field(default=False, description="no TLS, as with an endpoint that begins with http://")
    insecure_skip_verify: Flag = Field(default=False, description="accept any certificate from the server")
    ca_file: Text | None = Field(
        default=None, description="PEM file with the authorities to trust instead of the system's"
    )
    cert_file: Text | None = Field(default=None, description="PEM file with the client's certificate (mutual TLS)")
    key_file: Text | None = Field(default=None, description="PEM file with the client's private key")
    server_name_override: Text | None = Field(
        default=None, description="name to expect in the server's certificate instead of the endpoint's host"
    )
    min_version: MinVersion = Field(default="1.2", description="lowest TLS version; gRPC supports 1.2 only")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together; set both or neither")
        return self
