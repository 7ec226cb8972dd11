"""The settings of a server: as a file, on the command line, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.openai_server.serving import check
from ig_guardrail.integrations.openai_server.settings.serve_file import read_config
from ig_guardrail.settings import AuditFile, Limits, RecordingFile
from tests.golden.conversations import POLITE
from tests.unit.cli.conftest import Command, ig  # noqa: F401  (a fixture)
from tests.unit.server.asgi import key_in

WHOLE = """\
model: embedded
name: helper
policies:
  usual: default
  polite: {file: polite.yaml, canary: {policy: next.yaml, share: 0.25, by: tenant, salt: s}}
reload: true
keys: keys.yaml
host: 0.0.0.0
limits: {at_once: 3, queue: 0, wait: 2, seconds: 9.5, tokens: 99, answers: 2, messages: 7}
drain: 3
stored: {count: 0, seconds: 60}
ledger: spent.sqlite
audit: {path: log/audit.jsonl, key_file: audit.key, keep_days: 180}
record: {path: /var/scores.jsonl, texts: none}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "polite.yaml").write_text(POLITE)
    (tmp_path / "next.yaml").write_text(POLITE.replace("1.0.0", "1.1.0"))
    key_in(tmp_path / "keys.yaml", tenant="school", policies=["polite"])
    (tmp_path / "serve.yaml").write_text(WHOLE)
    return tmp_path / "serve.yaml"


def test_a_file_is_read_and_its_paths_start_where_it_is(file: Path) -> None:
    config, folder = read_config(file, {}), file.parent
    assert config.policies == {"usual": "default", "polite": str(folder / "polite.yaml")}
    canary = config.canaries["polite"]
    assert (canary.policy, canary.share, canary.by) == (str(folder / "next.yaml"), 0.25, "tenant")
    assert (config.limits.at_once, config.limits.queue, config.limits.seconds) == (3, 0, 9.5)
    assert (config.stored.count, config.stored.bytes, config.stored.seconds) == (0, 64_000_000, 60)
    assert config.keys == folder / "keys.yaml"
    spec = config.spec
    assert spec.limits == Limits(turns=7)
    assert spec.audit == AuditFile(folder / "log" / "audit.jsonl", folder / "audit.key", keep_days=180)
    assert spec.record == RecordingFile(Path("/var/scores.jsonl"), "none")
    assert (spec.model, spec.ledger, spec.policy) == ("embedded", str(folder / "spent.sqlite"), "default")
    assert (config.name, config.drain, config.host, config.quiet) == ("helper", 3, "0.0.0.0", 5.0)


def test_the_command_line_stands_above_the_file(file: Path) -> None:
    given = {"model": "m", "policies": {"one": "strict"}, "limits": {"queue": 5}, "host": None, "drain": 0.0}
    config = read_config(file, given)
    assert (config.spec.model, config.policies, config.drain) == ("m", {"one": "strict"}, 0.0)
    assert (config.limits.at_once, config.limits.queue, config.host) == (3, 5, "0.0.0.0")


def test_without_a_file_the_usual_policy_is_served_on_this_machine(ig: Command) -> None:  # noqa: F811
    ran = ig("serve", "--check")
    assert (ran.code, ran.err) == (0, "")
    assert "policy default: default 1.0.0" in ran.out
    assert "everyone who reaches the server is served" in ran.out


def test_two_policies_of_one_name_are_refused(ig: Command, tmp_path: Path) -> None:  # noqa: F811
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "polite.yaml").write_text(POLITE)
    both = [option for folder in ("old", "new") for option in ("--policy", str(tmp_path / folder / "polite.yaml"))]
    ran = ig("serve", *both, "--check")
    assert ran.code == 2
    assert "two policies are called 'polite'" in ran.err
    other = f"other={tmp_path / 'new' / 'polite.yaml'}"
    assert ig("serve", *both[:2], "--policy", other, "--check").code == 0


def test_an_unknown_refusal_style_is_refused(ig: Command) -> None:  # noqa: F811
    ran = ig("serve", "--refusal-style", "loud", "--check")
    assert ran.code == 2
    assert "there is no refusal style 'loud'" in ran.err
    assert "filter, openai, text, http400" in ran.err


def test_check_reads_policies_and_keys_and_serves_nothing(ig: Command, file: Path) -> None:  # noqa: F811
    ran = ig("serve", "--config", str(file), "--check")
    assert (ran.code, ran.err) == (0, "")
    assert "canary for 25.0% of each tenant: polite 1.1.0" in ran.out
    assert "keys: 1, of 1 tenants" in ran.out
    (file.parent / "next.yaml").write_text(POLITE.replace("name: polite", "name: other"))
    ran = ig("serve", "--config", str(file), "--check")
    assert (ran.code, ran.out) == (2, "")
    assert "the policy is called 'other'" in ran.err
    ran = ig("serve", "--config", str(file), "--policy", f"kind={file.parent / 'polite.yaml'}", "--check")
    assert "may use policy 'polite', and there is none of that name" in ran.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("modle: embedded", "line 1: modle: there is no such key; did you mean 'model'?"),
        ("limits:\n  at_once: 0", "line 2: limits.at_once: input should be greater than or equal to 1"),
        ("policy: default", "line 1: policy: there is no such key; did you mean 'policies'?"),
        ("policies: [default]", "line 1: policies: needs a mapping, `name: value`"),
        ("limits: {wait: 5s}", "line 1: limits.wait: needs a number, without quotes or a unit"),
        ("limits: {seconds: .nan}", "line 1: limits.seconds: input should be"),
        ("port: '80'", "line 1: port: needs a whole number, without quotes or a unit"),
        ("policies: {}", "line 1: policies: dictionary should have at least 1 item"),
        ("policies:\n  a: {fil: x}", "line 2: policies.a.fil: there is no such key; did you mean 'file'?"),
        ("audit: {path: a, on_error: never}", "line 1: audit.on_error: input should be 'closed' or 'open'"),
        ("model: a\nmodel: b", "line 2: 'model' stands there twice"),
        ("model: a\n# as before\u2028without_keys: true\n", "line 2: it holds U+2028, and YAML begins a line here"),
        ("model: a\n# as before\rwithout_keys: true\n", "line 2: it holds U+000D, and YAML begins a line here"),
        ("model: a # \u202e b :ledom\n", "line 1: it holds U+202E, and what follows is shown in another order"),
        ("- model", "needs a mapping, `name: value`"),
        ("a: [", "line 1, column 5: it is no YAML here: expected the node content"),
        ("limits:\n\tat_once: 1", "line 2, column 1: a tab cannot indent; write spaces"),
        ("!!python/object:os.system {}", "could not determine a constructor"),
        ("host: 0.0.0.0", "0.0.0.0 can be reached from other machines, and there are no keys"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "serve.yaml").write_text(text)
    with pytest.raises(RequestError) as refused:
        read_config(tmp_path / "serve.yaml", {})
    assert told in str(refused.value)
    assert refused.value.why
    assert refused.value.fix


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.4", "example.org"])
def test_beyond_this_machine_keys_are_asked_for(host: str) -> None:
    with pytest.raises(RequestError, match="there are no keys"):
        read_config(None, {"host": host})
    assert read_config(None, {"host": host, "without_keys": True}).host == host


@pytest.mark.parametrize("given", [{"host": "127.0.0.1"}, {"host": "::1"}, {"host": "localhost"}, {"uds": "s"}])
def test_on_this_machine_none_are_needed(given: dict[str, str]) -> None:
    assert read_config(None, given).keys is None


@pytest.mark.parametrize(
    ("text", "least", "most"), [("2", 2, 2), ("{most: 4}", 1, 4), ("{least: 2, most: 3, requests: 4, tokens: 9}", 2, 3)]
)
def test_replicas_are_a_number_or_bounds(tmp_path: Path, text: str, least: int, most: int) -> None:
    (tmp_path / "serve.yaml").write_text(f"ledger: spent.sqlite\nreplicas: {text}\n")
    replicas = read_config(tmp_path / "serve.yaml", {}).replicas
    assert replicas is not None
    assert (replicas.least, replicas.most) == (least, most)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("replicas: 2", "2 replicas cannot share a ledger in memory"),
        ("replicas: {least: 3, most: 2}", "at least 3 are more than at most 2"),
        ("replicas: 0", "greater than or equal to 1"),
        ("replicas: true", "replicas"),
    ],
)
def test_replicas_that_cannot_be_are_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "serve.yaml").write_text(f"{text}\n")
    with pytest.raises(RequestError, match=told):
        read_config(tmp_path / "serve.yaml", {})


def test_one_replica_may_keep_its_ledger_in_memory(tmp_path: Path) -> None:
    (tmp_path / "serve.yaml").write_text("replicas: 1\n")
    assert "replicas: 1 to 1, by Ray Serve" in check(read_config(tmp_path / "serve.yaml", {}))
