"""Keys: who is let in, how the file is read and followed, and the command that makes one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.openai_server.access.callers import Caller
from ig_guardrail.integrations.openai_server.access.keys import Keys, digest_of
from ig_guardrail.integrations.openai_server.faults import Refused
from tests.unit.cli.conftest import Command, ig  # noqa: F401  (a fixture)
from tests.unit.server.asgi import app_of, ask, bearer, chat, key_in, server_over, toy_rail

USUAL = Caller(("open", "own"), tokens=1_000)


class Clock:
    """Tells the time that it is given."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.yaml"


def test_a_key_says_who_asks_and_what_he_may_use(file: Path) -> None:
    key = key_in(file, tenant="school", policies=["own"], tokens=50, receipt="none", note="for the classroom")
    other = key_in(file, tenant="clinic")
    keys = Keys(file, USUAL)
    caller = keys.caller([key])
    assert (caller.tenant, caller.policies, caller.tokens, caller.receipt) == ("school", ("own",), 50, "none")
    assert digest_of(key).startswith(f"sha256:{caller.key}")
    assert keys.caller([other, other]).policies == USUAL.policies
    assert key not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("presented", [[], ["no-such-key"], ["", "x" * 100_000], ["ключ"], ["\udcff"]])
def test_who_has_no_key_is_not_let_in(file: Path, presented: list[str]) -> None:
    key_in(file, tenant="school")
    with pytest.raises(Refused) as refused:
        Keys(file, USUAL).caller(presented)
    assert refused.value.fault.status == 401


def test_neither_a_digest_nor_part_of_a_key_nor_two_keys_are_a_key(file: Path) -> None:
    key, other = key_in(file, tenant="school"), key_in(file, tenant="clinic")
    keys = Keys(file, USUAL)
    digest = digest_of(key)
    for presented in ([digest], [digest.removeprefix("sha256:")], [key[:-1]], [f"{key}x"], [key.upper()], [key, other]):
        with pytest.raises(Refused):
            keys.caller(presented)


async def test_the_server_answers_401_as_openai_does(file: Path) -> None:
    key = key_in(file, tenant="school")
    app = app_of(server_over({"open": toy_rail()}, file))
    for headers in ([], [bearer("wrong")], [("authorization", key)], [bearer(key), bearer("wrong")]):
        replied = await ask(app, body=chat(), headers=headers)
        assert replied.status == 401
        assert replied.json["error"]["type"] == "invalid_request_error"
        assert replied.headers["www-authenticate"] == "Bearer"
        assert b"wrong" not in replied.body
    assert (await ask(app, body=chat(), headers=[bearer("wrong")])).json["error"]["code"] == "invalid_api_key"
    for headers in ([bearer(key)], [("X-API-Key", key)], [("authorization", f"bearer {key}"), ("x-api-key", key)]):
        assert (await ask(app, body=chat(), headers=headers)).status == 200
    assert (await ask(app, "/v1/no-such-path", method="GET")).status == 401
    assert (await ask(app, "/health", method="GET")).status == 200


def test_the_file_is_followed_and_a_broken_one_changes_nothing(file: Path, caplog: Any) -> None:
    first, clock = key_in(file, tenant="school"), Clock()
    keys = Keys(file, USUAL, clock)
    second = key_in(file, tenant="clinic")
    assert not keys.stale
    clock.time += 2
    assert keys.stale
    keys.look()
    assert keys.caller([second]).tenant == "clinic"
    whole = file.read_text()
    for broken in ("- what", "sha256:12: {tenant: x}", whole + whole, f"{digest_of('k')}: {{tenant: 3}}", "a: [", ""):
        file.write_text(broken)
        keys.look()
        assert keys.fault
        assert keys.caller([first]).tenant == "school"
    file.write_text(whole)
    keys.look()
    assert keys.fault is None
    assert keys.caller([first]).tenant == "school"
    file.unlink()
    keys.look()
    assert keys.fault is not None
    assert "stay in force" in caplog.text
    assert keys.caller([first]).tenant == "school"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_change_is_refused(file: Path, mode: int) -> None:
    key_in(file, tenant="school")
    file.chmod(mode)
    with pytest.raises(RequestError, match="others may change it"):
        Keys(file, USUAL)


def test_faults_of_the_file_are_told_with_their_lines(file: Path) -> None:
    digest = digest_of("k")
    file.write_text(f"# keys\n{digest}:\n  tennant: x\n  tokens: many\n")
    file.chmod(0o600)
    with pytest.raises(RequestError) as refused:
        Keys(file, USUAL)
    told = str(refused.value)
    assert "did you mean 'tenant'?" in told
    assert f"line 4: {digest}.tokens: needs a whole number, without quotes or a unit" in told
    file.write_text(f"{digest}: {{tenant: x, policies: [other]}}")
    with pytest.raises(RequestError, match="'other', and there is none of that name"):
        Keys(file, USUAL)


@pytest.mark.parametrize(
    "text",
    [
        "ig-a-key-itself: {tenant: x}",
        "ig-a-key-itself: {}",
        "ig-a-key-itself: none",
        "ig-a-key-itself: {tenant: x}\nig-a-key-itself: {tenant: y}",
    ],
)
def test_a_key_that_was_put_in_the_file_is_told_without_naming_it(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(RequestError) as refused:
        Keys(file, USUAL)
    assert "key-itself" not in str(refused.value)
    assert "line 1: an entry" in str(refused.value) or "line 2: 'an entry' stands there twice" in str(refused.value)


def test_the_command_prints_a_key_once_and_its_entry(ig: Command, file: Path) -> None:  # noqa: F811
    ran = ig("keys", "new", "--tenant", "school", "--policy", "own", "--request-tokens", "64", "--receipt", "verdict")
    key, _, entry = ran.out.partition("\n")
    assert yaml.safe_load(entry) == {
        digest_of(key): {"tenant": "school", "policies": ["own"], "tokens": 64, "receipt": "verdict"}
    }
    ran = ig("keys", "new", "--tenant", "clinic", "--append", str(file))
    file.write_text(file.read_text().rstrip("\n"))  # as an editor may leave it
    again = ig("keys", "new", "--tenant", "clinic", "--append", str(file))
    keys = Keys(file, USUAL)
    assert ran.out != again.out
    assert keys.caller([ran.out.strip()]).tenant == keys.caller([again.out.strip()]).tenant == "clinic"
    bad = ig("keys", "new", "--tenant", "x", "--receipt", "all")
    assert bad.code == 2
    assert "receipt" in bad.err
    assert os.listdir(file.parent) == [file.name]
