"""The embedded Redis is a real server that keeps no files and asks for a password."""

from pathlib import Path

import pytest
import redis

from cli.embedded.process import ChildError, is_listening
from cli.embedded.redis import EmbeddedRedis, find_binary


def test_it_knows_scripts_and_sorted_sets(redis_url: str) -> None:
    script = "redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2]); return redis.call('ZCOUNT', KEYS[1], '(0', '+inf')"
    with redis.Redis.from_url(redis_url) as client:
        assert client.eval(script, 1, "stuck", 5, "x1") == 1
        assert client.eval(script, 1, "stuck", 6, "x1") == 1
        assert client.eval(script, 1, "stuck", 6, "x2") == 2


def test_each_test_begins_with_an_empty_one(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0


def test_it_refuses_who_has_no_password(redis_server: EmbeddedRedis) -> None:
    with redis.Redis(host="127.0.0.1", port=redis_server.port) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_nothing_listens_after_its_end() -> None:
    with EmbeddedRedis() as server:
        port = server.port
        assert is_listening(port)
    assert not is_listening(port)


def test_one_that_can_not_run_is_reported(tmp_path: Path) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho unknown processor\nexit 9\n")
    broken.chmod(0o755)
    with pytest.raises(ChildError, match=r"ended with code 9[\s\S]*unknown processor"):
        EmbeddedRedis(broken).start()


def test_the_environment_names_the_binary_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shipped = find_binary()
    (tmp_path / "redis-server").symlink_to(shipped)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BREAKWATER_REDIS_BIN", raising=False)
    assert find_binary() == shipped.resolve()
    monkeypatch.setenv("BREAKWATER_REDIS_BIN", "/opt/redis/bin/redis-server")
    assert find_binary() == Path("/opt/redis/bin/redis-server")


def test_a_killed_server_comes_back_empty_on_the_same_port() -> None:
    with EmbeddedRedis() as server, redis.Redis.from_url(server.url()) as client:
        client.set("kept", "no")
        server.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        server.restart()
        assert client.dbsize() == 0
