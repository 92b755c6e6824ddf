"""What servers, clients and the configuration share: addresses as text, and TLS."""
