"""Who is let in: signatures and service tokens, by examples."""

import hmac
from typing import Any

import jwt
import pytest
from pydantic import SecretStr

from api.ingest_auth import Gate, MisconfiguredKeyError, RefusedError, Signature
from config.settings import Ingest
from tests.interop.interop_given import AUDIENCE, SECRET, TOKEN_KEY, settings_for, signature, token

NOW = 1_772_438_400.0
BODY = b'{"event_id":"e1"}'
MALFORMED = "malformed_signature"


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate(settings_for("postgresql+psycopg://nowhere").ingest)


def let_in(gate: Gate, headers: dict[str, str], body: bytes = BODY) -> str:
    """Who it is, or why not."""
    try:
        found = gate.before_body({name.lower(): value for name, value in headers.items()}, NOW)
        identity = gate.after_body(found, body) if isinstance(found, Signature) else found
    except RefusedError as refused:
        return f"{refused.status.value} {refused.reason}"
    return f"{identity.name}: {', '.join(sorted(identity.tenants))}"


def signed(**changes: Any) -> dict[str, str]:
    return signature(BODY, **{"at": NOW, **changes})


def with_signature(header: str) -> dict[str, str]:
    return {**signed(), "X-WRK-Signature": header}


def digest(secret: str = SECRET, body: bytes = BODY) -> str:
    return hmac.new(secret.encode(), body, "sha256").hexdigest()


T = f"t={NOW:.0f}"
OLD = "an older secret of theirs"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(signed(), "make: t1", id="signed"),
        pytest.param(signed(secret=OLD), "make: t1", id="by the secret that is being replaced"),
        pytest.param(with_signature(f"{T},v1={digest().upper()}"), "make: t1", id="in capitals"),
        pytest.param(with_signature(f"{T}, v1={digest()}"), "make: t1", id="with a space"),
        pytest.param(with_signature(f"v1={digest()},{T}"), "make: t1", id="in another order"),
        pytest.param(with_signature(f"{T},v1={'0' * 64},v1={digest()}"), "make: t1", id="several, one of them right"),
        pytest.param(with_signature(f"{T},v0=x,v1={digest()}"), "make: t1", id="with a scheme that we don't know"),
        pytest.param(signed(at=NOW - 300), "make: t1", id="as old as it may be"),
        pytest.param(signed(at=NOW + 300), "make: t1", id="as far ahead as it may be"),
        pytest.param(signed(secret="wrong secret"), "401 wrong_signature", id="wrong secret"),
        pytest.param(
            signed(secret="another sender's secret"), "401 wrong_signature", id="the secret of another sender"
        ),
        pytest.param(signed(at=NOW - 301), "401 stale_signature", id="old"),
        pytest.param(signed(at=NOW + 301), "401 stale_signature", id="from the future"),
        pytest.param(signed(sender="nobody"), "401 unknown_sender", id="unknown sender"),
        pytest.param({"X-WRK-Signature": f"{T},v1={digest()}"}, "401 unknown_sender", id="no sender"),
        pytest.param(with_signature(f"{T},v1={digest()}0"), f"401 {MALFORMED}", id="too long"),
        pytest.param(with_signature(f"{T},v1="), f"401 {MALFORMED}", id="empty"),
        pytest.param(with_signature(f"{T},v1={'g' * 64}"), f"401 {MALFORMED}", id="no hexadecimal"),
        pytest.param(with_signature(T), f"401 {MALFORMED}", id="no digest"),
        pytest.param(with_signature(f"v1={digest()}"), f"401 {MALFORMED}", id="no time"),
        pytest.param(with_signature(f"{T},{T},v1={digest()}"), f"401 {MALFORMED}", id="two times"),
        pytest.param(with_signature(f"t=-1,v1={digest()}"), f"401 {MALFORMED}", id="a negative time"),
        pytest.param(with_signature(f"t={'9' * 40},v1={digest()}"), f"401 {MALFORMED}", id="an endless time"),
        pytest.param(with_signature(f"t=²,v1={digest()}"), f"401 {MALFORMED}", id="a digit that is none"),
        pytest.param(with_signature(""), f"401 {MALFORMED}", id="an empty header"),
        pytest.param(with_signature(f"{T}" + f",v1={digest()}" * 9), f"401 {MALFORMED}", id="too many"),
        pytest.param(with_signature(digest()), f"401 {MALFORMED}", id="the digest alone"),
        pytest.param({}, "401 no_credentials", id="nothing"),
        pytest.param({**signed(), "Authorization": "Bearer x"}, "401 two_credentials", id="a token besides"),
    ],
)
def test_signatures(gate: Gate, headers: dict[str, str], expected: str) -> None:
    assert let_in(gate, headers) == expected


def test_an_altered_body_is_refused(gate: Gate) -> None:
    assert let_in(gate, signed(), BODY.replace(b"e1", b"e2")) == "401 wrong_signature"
    assert let_in(gate, signed(), b"") == "401 wrong_signature"


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        pytest.param(f"{NOW:.0f}.".encode() + BODY, "stripe: t1", id="time and body"),
        pytest.param(BODY, "401 wrong_signature", id="the body alone is not enough"),
        pytest.param(f"{NOW + 1:.0f}.".encode() + BODY, "401 wrong_signature", id="another time"),
    ],
)
def test_a_sender_may_sign_the_time_too(gate: Gate, signs: bytes, expected: str) -> None:
    headers = {"X-WRK-Sender": "stripe", "X-WRK-Signature": f"{T},v1={digest(body=signs)}"}
    assert let_in(gate, headers) == expected


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


UNSIGNED = jwt.encode({"aud": AUDIENCE, "exp": 4_000_000_000, "scope": "ingest", "tenants": ["t1"]}, None, "none")
FOREVER = 4_000_000_000


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        pytest.param({}, "relay: t1", id="good"),
        pytest.param({"tenants": ["t2", "t1"]}, "relay: t1, t2", id="for two tenants"),
        pytest.param({"tenants": ..., "tenant_id": "t2"}, "relay: t2", id="for the one tenant"),
        pytest.param({"scope": "read ingest"}, "relay: t1", id="with another scope besides"),
        pytest.param({"sub": ...}, "token: t1", id="without a name"),
        pytest.param({"exp": 1}, "401 ExpiredSignatureError", id="expired"),
        pytest.param({"exp": ...}, "401 MissingRequiredClaimError", id="for ever"),
        pytest.param({"aud": ...}, "401 MissingRequiredClaimError", id="for nobody"),
        pytest.param({"aud": "others"}, "401 InvalidAudienceError", id="for others"),
        pytest.param({"nbf": FOREVER}, "401 ImmatureSignatureError", id="not yet"),
        pytest.param({"scope": ...}, "403 no_scope", id="without a scope"),
        pytest.param({"scope": "ingestion"}, "403 no_scope", id="with a scope that begins alike"),
        pytest.param({"scope": ["ingest"]}, "403 no_scope", id="with a scope that is no text"),
        pytest.param({"tenants": ...}, "403 no_tenants", id="without tenants"),
        pytest.param({"tenants": []}, "403 no_tenants", id="with an empty list"),
        pytest.param({"tenants": "t1"}, "403 no_tenants", id="with a text for a list"),
        pytest.param({"tenants": ["t1", 2]}, "403 no_tenants", id="with a number among them"),
    ],
)
def test_tokens(gate: Gate, claims: dict[str, Any], expected: str) -> None:
    assert let_in(gate, bearer(token(**claims))) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(f"Bearer {UNSIGNED}", "401 InvalidAlgorithmError", id="alg: none"),
        pytest.param("Bearer x.y.z", "401 DecodeError", id="no token"),
        pytest.param("Bearer ", "401 DecodeError", id="empty"),
        pytest.param("Basic dTpw", "401 no_token", id="another scheme"),
        pytest.param("Bearer wrk_api_live_0123456789", "401 no_token", id="an API key"),
    ],
)
def test_what_is_no_token(gate: Gate, header: str, expected: str) -> None:
    assert let_in(gate, {"Authorization": header}) == expected


def test_a_token_by_another_key_is_refused(gate: Gate) -> None:
    head, _, _ = token().rpartition(".")
    other = jwt.encode({"aud": AUDIENCE, "exp": FOREVER}, TOKEN_KEY[::-1], algorithm="HS256").rpartition(".")[2]
    assert let_in(gate, bearer(f"{head}.{other}")) == "401 InvalidSignatureError"


def test_without_a_key_no_token_is_taken() -> None:
    assert let_in(Gate(Ingest()), bearer(token())) == "401 no_token"


def test_the_issuer_counts_where_it_is_configured() -> None:
    gate = Gate(Ingest(token_key=SecretStr(TOKEN_KEY), token_algorithm="HS256", token_issuer="https://id.example"))
    assert let_in(gate, bearer(token())) == "401 MissingRequiredClaimError"
    assert let_in(gate, bearer(token(iss="https://evil.example"))) == "401 InvalidIssuerError"
    assert let_in(gate, bearer(token(iss="https://id.example"))) == "relay: t1"


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        pytest.param("HS256", "hunter2", id="a short secret"),
        pytest.param("RS256", TOKEN_KEY, id="a secret for a public key"),
        pytest.param(
            "HS256", "-----BEGIN PUBLIC KEY-----\nMFkwEwYH\n-----END PUBLIC KEY-----", id="a public key as secret"
        ),
    ],
)
def test_a_key_that_can_not_be_one_is_refused_at_the_start(algorithm: Any, key: str) -> None:
    with pytest.raises(MisconfiguredKeyError) as refused:
        Gate(Ingest(token_key=SecretStr(key), token_algorithm=algorithm))
    assert key not in str(refused.value)


def test_a_refusal_tells_nothing_of_what_was_sent(gate: Gate) -> None:
    with pytest.raises(RefusedError) as refused:
        gate.before_body({"authorization": "Bearer " + token(sub="secret-name", exp=1)}, NOW)
    assert "secret-name" not in refused.value.message
