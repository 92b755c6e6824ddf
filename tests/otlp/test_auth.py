"""Bearer and basic credentials; secrets stay out of messages."""

from base64 import b64encode

import pytest

from receiver.errors import UnauthenticatedError
from receiver.otlp.auth import BasicAuth, BearerAuth

BEARER = BearerAuth(tokens=("s3cret", "second"))
BASIC = BasicAuth(users=(("ann", "pa:ss"), ("bob", "pwé")))


def basic(pair):
    return "Basic " + b64encode(pair.encode()).decode()


def test_valid_credentials_are_accepted(subtests):
    for auth, header in [
        (BEARER, "Bearer s3cret"),
        (BEARER, "bearer second"),
        (BearerAuth(tokens=("k",), scheme=""), "k"),
        (BearerAuth(tokens=("k",), scheme="Api-Key"), "Api-Key k"),
        (BASIC, basic("ann:pa:ss")),
        (BASIC, basic("bob:pwé")),
        (BASIC, basic("bob:pwé").lower().replace("basic", "basic", 1)[:6] + basic("bob:pwé")[6:]),
    ]:
        with subtests.test(auth=auth, header=header):
            auth.check(header)


def test_other_credentials_are_refused_without_showing_a_secret(subtests):
    for auth in [BEARER, BASIC, BearerAuth(tokens=()), BearerAuth(tokens=("",)), BasicAuth(users=())]:
        for header in [
            None,
            "",
            " ",
            "Bearer",
            "Bearer ",
            "Bearer wrong",
            "Bearer s3cret2",
            "s3cret",
            "Basic s3cret",
            "Basic",
            "Basic ====",
            "Basic é",
            basic("ann:wrong"),
            basic("ann"),
            basic(":"),
            basic("bob:pa:ss"),
            "Bearer \udcff",
        ]:
            with subtests.test(auth=auth, header=header):
                with pytest.raises(UnauthenticatedError) as refused:
                    auth.check(header)
                assert "s3cret" not in str(refused.value)
                assert "pa:ss" not in str(refused.value)


def test_repr_of_authenticators_shows_no_secret():
    assert "s3cret" not in repr(BEARER)
    assert "pa:ss" not in repr(BASIC)


def test_challenge_is_for_the_www_authenticate_header():
    assert BEARER.challenge == "Bearer"
    assert BASIC.challenge.startswith("Basic realm=")
