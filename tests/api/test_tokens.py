"""Tokens: by keys of an issuer that rotate, by a key file, for development; and all that lets nobody in (30.7)."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import SecretStr

from api.auth.keys import JwksKeys
from api.auth.principal import EVERY_TENANT
from api.auth.tokens import RefusedTokenError, TokenVerifier, UnusableKeyError, mint, read_claims
from config.settings import Auth
from lifecycle.capabilities import Capability, Role

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
DEVELOPMENT = "a development key of 32 bytes and more"


def claims(**changes: Any) -> dict[str, Any]:
    """Claims that let a viewer of tenant t1 in; None takes one away."""
    now = datetime.now(UTC)
    made = {
        "sub": "u1",
        "tenant_id": "t1",
        "roles": ["viewer"],
        "iss": "breakwater",
        "aud": "breakwater",
        "iat": now,
        "exp": now + timedelta(minutes=5),
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def pem(key: Any) -> str:
    """The public half."""
    return str(
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def jwk(key: Any, kid: str) -> dict[str, Any]:
    """The public half as a JWKS has it."""
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"}


BY_FILE = TokenVerifier(Auth(public_key=SecretStr(pem(RSA_KEY))))
FOR_DEVELOPMENT = TokenVerifier(Auth(development_key=SecretStr(DEVELOPMENT)))


def test_a_token_by_the_key_file_lets_its_holder_in() -> None:
    principal = BY_FILE.verify(jwt.encode(claims(), RSA_KEY, "RS256"))
    assert (principal.subject, principal.tenant_id, principal.is_staff) == ("u1", "t1", False)
    assert principal.capabilities == {Capability.READ}


def test_an_elliptic_key_will_do_as_well() -> None:
    verifier = TokenVerifier(Auth(public_key=SecretStr(pem(EC_KEY))))
    assert verifier.verify(jwt.encode(claims(), EC_KEY, "ES256")).subject == "u1"


def unsigned() -> str:
    """`alg: none`, put together by hand."""
    parts = ({"alg": "none", "typ": "JWT"}, {**claims(), "iat": 1, "exp": 32503680000})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def _hs256_with_public_key() -> str:
    """The old confusion of algorithms; the library refuses to make it, so it is put together by hand."""
    body = {name: value.timestamp() if isinstance(value, datetime) else value for name, value in claims().items()}
    parts = ({"alg": "HS256", "typ": "JWT"}, body)
    signed = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    digest = hmac.digest(pem(RSA_KEY).encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


NOBODY = {
    "no token at all": lambda: "",
    "no JWT": lambda: "abc.def.ghi",
    "an API key": lambda: "wrk_api_live_0123456789abcdef",
    "alg none": unsigned,
    "another's key": lambda: jwt.encode(claims(), OTHER_RSA_KEY, "RS256"),
    "HS256 with the public key as its secret": _hs256_with_public_key,
    "HS256 where there is no development key": lambda: jwt.encode(claims(), DEVELOPMENT, "HS256"),
    "expired": lambda: jwt.encode(claims(exp=datetime.now(UTC) - timedelta(minutes=1)), RSA_KEY, "RS256"),
    "not yet good": lambda: jwt.encode(claims(nbf=datetime.now(UTC) + timedelta(hours=1)), RSA_KEY, "RS256"),
    "another audience": lambda: jwt.encode(claims(aud="billing"), RSA_KEY, "RS256"),
    "another issuer": lambda: jwt.encode(claims(iss="elsewhere"), RSA_KEY, "RS256"),
    **{
        f"without {name}": lambda name=name: jwt.encode(claims(**{name: None}), RSA_KEY, "RS256")
        for name in ("exp", "iat", "aud", "iss", "sub", "tenant_id")
    },
    "a tenant that is no text": lambda: jwt.encode(claims(tenant_id=7), RSA_KEY, "RS256"),
    "roles that are no list": lambda: jwt.encode(claims(roles="admin"), RSA_KEY, "RS256"),
    "staff of no tenant": lambda: jwt.encode(claims(tenants=[]), RSA_KEY, "RS256"),
}


@pytest.mark.parametrize("name", NOBODY)
def test_this_lets_nobody_in(name: str) -> None:
    with pytest.raises(RefusedTokenError):
        BY_FILE.verify(NOBODY[name]())


def test_without_any_key_nobody_is_let_in() -> None:
    with pytest.raises(RefusedTokenError):
        TokenVerifier(Auth()).verify(jwt.encode(claims(), RSA_KEY, "RS256"))


def test_a_key_file_that_is_none_is_said_so() -> None:
    with pytest.raises(UnusableKeyError):
        TokenVerifier(Auth(public_key=SecretStr("-----BEGIN NOTHING-----")))


def test_a_minted_token_is_good_where_the_development_key_is_set() -> None:
    auth = Auth(development_key=SecretStr(DEVELOPMENT))
    minted = mint(
        auth, subject="dev", roles=["ops_admin"], tenant_id=None, tenants=EVERY_TENANT, lifetime=timedelta(hours=1)
    )
    principal = FOR_DEVELOPMENT.verify(minted)
    assert principal.is_staff
    assert principal.may_act_in("any")
    assert Capability.OVERRIDE in principal.capabilities
    with pytest.raises(RefusedTokenError):
        mint(Auth(), subject="dev", roles=[], tenant_id="t1", tenants=None, lifetime=timedelta(hours=1))


def test_only_a_service_is_one() -> None:
    assert Capability.AUTOMATIC in read_claims(claims(sub="service:monitor", tenants="*")).capabilities
    assert read_claims(claims(sub="u1", roles=[Role.SERVICE])).capabilities == frozenset()


# ---- rotation


@contextmanager
def issuer(document: Callable[[], Any]) -> Iterator[str]:
    """The address of a server that answers with a JSON document, made anew for each request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(document()).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/keys"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_new_key_is_fetched_when_a_token_needs_it_and_an_old_one_ends_with_the_set() -> None:
    sets = [{"keys": [jwk(RSA_KEY, "old")]}, {"keys": [jwk(EC_KEY, "new")]}]
    served: list[int] = []
    now = [0.0]

    def keys() -> dict[str, Any]:
        served.append(len(served))
        return sets[min(served[-1], 1)]

    with issuer(keys) as url:
        found = JwksKeys(url, lifetime=timedelta(minutes=5), pause=timedelta(seconds=10), clock=lambda: now[0])
        assert found.find("old") is not None
        assert found.find("new") is None  # within the pause nobody is asked again
        now[0] = 11.0
        new = found.find("new")
        assert new is not None
        assert new.algorithm_name == "ES256"
        assert found.find("old") is None
        for number in range(1000):
            found.find(f"made-up-{number}")
    assert len(served) == 2


def test_a_token_by_a_key_of_the_issuer_lets_its_holder_in() -> None:
    with issuer(lambda: {"keys": [jwk(RSA_KEY, "r1"), jwk(EC_KEY, "e1"), {"kty": "oct", "kid": "odd"}]}) as url:
        verifier = TokenVerifier(Auth(jwks_url=url))
        for key, kid, algorithm in ((RSA_KEY, "r1", "RS256"), (EC_KEY, "e1", "ES256")):
            assert verifier.verify(jwt.encode(claims(), key, algorithm, headers={"kid": kid})).subject == "u1"
        for key, kid in ((OTHER_RSA_KEY, "r1"), (RSA_KEY, "r2")):
            with pytest.raises(RefusedTokenError):
                verifier.verify(jwt.encode(claims(), key, "RS256", headers={"kid": kid}))


@pytest.mark.parametrize("document", [[], {"keys": {}}, {"keys": [1, {"kty": "RSA", "kid": "k"}]}, "x" * 300_000])
def test_what_is_no_set_of_keys_lets_nobody_in(document: Any) -> None:
    with issuer(lambda: document) as url, pytest.raises(RefusedTokenError):
        TokenVerifier(Auth(jwks_url=url)).verify(jwt.encode(claims(), RSA_KEY, "RS256", headers={"kid": "k"}))


def test_while_the_issuer_is_away_the_keys_that_are_known_stay_good() -> None:
    now = [0.0]
    with issuer(lambda: {"keys": [jwk(RSA_KEY, "k1")]}) as url:
        found = JwksKeys(url, lifetime=timedelta(minutes=5), pause=timedelta(seconds=10), clock=lambda: now[0])
        assert found.find("k1") is not None
    now[0] = 3600.0
    assert found.find("k1") is not None
