"""Which tokens let somebody in, and as whom (30.7, 80.5)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from api.auth.keys import JwksKeys
from api.auth.tokens import RefusedTokenError, TokenVerifier, UnusableKeyError
from config.settings import Auth

KEY = "a key for tests, and for nothing else"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
DEVELOPMENT = Auth(development_key=SecretStr(KEY))


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a viewer of t1; None takes one away."""
    now = datetime.now(UTC)
    given = {
        "iss": "breakwater",
        "aud": "breakwater",
        "sub": "u1",
        "tenant_id": "t1",
        "roles": ["viewer"],
        "iat": now,
        "exp": now + timedelta(minutes=5),
    }
    return {name: value for name, value in {**given, **changes}.items() if value is not None}


def pem(key: Any) -> SecretStr:
    """The public half."""
    return SecretStr(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def reason(settings: Auth, token: str) -> str:
    """Why a token is refused."""
    with pytest.raises(RefusedTokenError) as refused:
        TokenVerifier(settings).verify(token)
    return refused.value.reason


@pytest.mark.parametrize(("key", "algorithm"), [(RSA_KEY, "RS256"), (EC_KEY, "ES256")], ids=["RS256", "ES256"])
def test_a_token_of_the_configured_key_lets_its_holder_in(key: Any, algorithm: str) -> None:
    principal = TokenVerifier(Auth(public_key=pem(key))).verify(jwt.encode(claims(), key, algorithm))
    assert (principal.subject, principal.tenant_id, principal.roles) == ("u1", "t1", {"viewer"})
    assert not principal.is_staff
    assert not principal.is_service


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"iss": "somebody"}, "InvalidIssuerError", id="of another issuer"),
        pytest.param({"aud": "something"}, "InvalidAudienceError", id="for another audience"),
        pytest.param({"exp": -HOUR}, "ExpiredSignatureError", id="expired"),
        pytest.param({"nbf": HOUR}, "ImmatureSignatureError", id="not good yet"),
        pytest.param({"exp": None}, "MissingRequiredClaimError", id="without an end"),
        pytest.param({"sub": None}, "MissingRequiredClaimError", id="of nobody"),
        pytest.param({"tenant_id": None}, "malformed_claims", id="of no tenant"),
        pytest.param({"roles": "admin"}, "malformed_claims", id="with roles that are no list"),
        pytest.param({"tenants": []}, "no_tenants", id="of staff for no tenant"),
    ],
)
def test_a_token_is_refused_when_it_is(changes: dict[str, Any], why: str) -> None:
    now = datetime.now(UTC)
    moved = {name: now + value if isinstance(value, timedelta) else value for name, value in changes.items()}
    assert reason(DEVELOPMENT, jwt.encode(claims(**moved), KEY, "HS256")) == why


def test_no_token_without_a_signature_and_none_of_a_confused_algorithm() -> None:
    both = Auth(public_key=pem(RSA_KEY), development_key=SecretStr(KEY))
    assert reason(both, jwt.encode(claims(), None, "none")) == "no_key"
    assert reason(Auth(public_key=pem(RSA_KEY)), jwt.encode(claims(), KEY, "HS256")) == "no_key"
    assert reason(both, jwt.encode(claims(), "another key that is long enough too", "HS256")) == "InvalidSignatureError"
    assert reason(Auth(), jwt.encode(claims(), KEY, "HS256")) == "no_key"


def test_an_api_key_of_a_customer_is_never_tried_as_anything_else() -> None:
    assert reason(DEVELOPMENT, "wrk_api_" + jwt.encode(claims(), KEY, "HS256")) == "api_key"


def test_nobody_makes_a_service_of_themselves_by_a_role() -> None:
    person = TokenVerifier(DEVELOPMENT).verify(jwt.encode(claims(roles=["service"]), KEY, "HS256"))
    assert person.roles == frozenset()
    service = TokenVerifier(DEVELOPMENT).verify(jwt.encode(claims(sub="service:monitor"), KEY, "HS256"))
    assert service.is_service
    assert "service" in service.roles


def test_a_public_key_that_is_none_is_said_at_the_start() -> None:
    with pytest.raises(UnusableKeyError):
        TokenVerifier(Auth(public_key=SecretStr("no key")))


class Issuer:
    """An issuer's keys over HTTP; counts how often it is asked."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.asked = 0
        self.broken = False

    def document(self) -> bytes:
        """The set of keys."""
        keys = [
            {**json.loads(jwt.get_algorithm_by_name("ES256").to_jwk(key.public_key())), "kid": kid}
            for kid, key in self.keys.items()
        ]
        return json.dumps({"keys": [{"kty": "oct", "kid": "symmetric", "k": "AAAA"}, *keys]}).encode()


@contextmanager
def serving(issuer: Issuer) -> Iterator[str]:
    """Its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            self.send_response(500 if issuer.broken else 200)
            self.end_headers()
            self.wfile.write(issuer.document())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/jwks"
        finally:
            server.shutdown()
            thread.join()


def test_a_rotation_is_noticed_at_once_and_made_up_keys_cost_the_issuer_little() -> None:
    issuer, now = Issuer(), [1000.0]
    issuer.keys = {"first": EC_KEY}
    with serving(issuer) as url:
        keys = JwksKeys(url, lifetime=timedelta(minutes=5), pause=timedelta(seconds=10), clock=lambda: now[0])
        assert keys.find("first") is not None
        assert keys.find("symmetric") is None, "whoever knows a public set could sign with it"
        assert [keys.find(f"made up {number}") for number in range(50)] == [None] * 50
        assert issuer.asked == 1
        issuer.keys = {"second": ec.generate_private_key(ec.SECP256R1())}
        now[0] += 11
        assert keys.find("second") is not None
        assert keys.find("first") is None, "a key that was taken back is good no more"
        assert issuer.asked == 2
        issuer.broken = True
        now[0] += 301
        assert keys.find("second") is not None, "what was fetched last stays good while the issuer is away"


def test_a_token_of_a_fetched_key_lets_in() -> None:
    issuer = Issuer()
    issuer.keys = {"k1": EC_KEY}
    with serving(issuer) as url:
        verifier = TokenVerifier(Auth(jwks_url=url))
        assert verifier.verify(jwt.encode(claims(), EC_KEY, "ES256", headers={"kid": "k1"})).subject == "u1"
        with pytest.raises(RefusedTokenError):
            verifier.verify(jwt.encode(claims(), RSA_KEY, "RS256", headers={"kid": "k1"}))
