"""Certificates of an authority made for the tests: a server's, a client's, and one that nobody signed."""

import pytest
import trustme

from receiver.net.tls import TLSSettings


class Certificates:
    """A CA, a server's files for localhost, and a client's, with another CA's client beside it."""

    def __init__(self, folder):
        self.ca, stranger = trustme.CA(), trustme.CA()
        self.ca_file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.ca_file)
        self.ca_pem = self.ca.cert_pem.bytes()
        self.client = self.ca.issue_cert("client@example.org")
        self.stranger = stranger.issue_cert("stranger@example.org")
        self.cert_file, self.key_file = str(folder / "server.pem"), str(folder / "server.key")
        server = self.ca.issue_cert("localhost", "127.0.0.1")
        server.private_key_pem.write_to_path(self.key_file)
        for pem in server.cert_chain_pems:
            pem.write_to_path(self.cert_file, append=True)

    @property
    def tls(self):
        return TLSSettings(cert_file=self.cert_file, key_file=self.key_file)

    @property
    def mutual(self):
        return TLSSettings(cert_file=self.cert_file, key_file=self.key_file, client_ca_file=self.ca_file)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))
