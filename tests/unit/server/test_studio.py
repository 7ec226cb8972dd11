"""What the studio's page asks, over a scripted model: nothing without the token, nothing unreleased unless told so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ig_guardrail.cli.main import run
from ig_guardrail.drive.records.recorder import Recorder
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.engine.text.thoughts import ThoughtFormat
from ig_guardrail.integrations.openai_server.studio.app import make_studio
from ig_guardrail.integrations.openai_server.studio.config import StudioConfig
from ig_guardrail.integrations.openai_server.studio.running import frames, question_of
from ig_guardrail.integrations.openai_server.studio.workshop import Workshop
from ig_guardrail.policy.yaml.decoding import MOST_BYTES
from ig_guardrail.settings import RecordingFile
from ig_guardrail.stream.receipt import text_sha256
from tests.golden.conversations import CALM, KIND, LATE, POLITE, RUDE, Conversation, compiled, scripted_guardrail

TOKEN = "secret"
RESCUED = {(0, 0): RUDE, (1, 0): KIND}
CASES = """\
cases:
  - {name: an insult is held back, answer: "You blockhead, go away now.", expect: {outcome: denied, budget: rudeness}}
  - {name: kindness is shown, answer: "You are kind.", expect: {outcome: denied}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "polite.yaml"
    path.write_text(POLITE)
    return path


def workshop(file: Path | str, told: dict[tuple[int, int], str] | None = None, **settings: Any) -> Workshop:
    thoughts = ThoughtFormat("<think>", "</think>") if told and told[0, 0].startswith("<think>") else None
    engine = ScriptedEngine(Continuations(told or {(0, 0): CALM}, thoughts=thoughts), context=4096)
    return Workshop(StudioConfig(file, token=TOKEN, **settings), engine)


@asynccontextmanager
async def studio(opened: Workshop) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(make_studio(opened))
    async with httpx2.AsyncClient(transport=transport, base_url=f"http://studio/{TOKEN}/") as client:
        yield client


async def asked(opened: Workshop, name: str, body: Any = None, status: int = 200) -> dict[str, Any]:
    async with studio(opened) as client:
        answer = await client.post(f"api/{name}", json={} if body is None else body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def told(opened: Workshop, text: str = POLITE, **options: Any) -> list[dict[str, Any]]:
    body = {"policy": {"text": text}, "prompt": "Tell me.", "options": {"seed": 7, "max_tokens": 64, **options}}
    async with studio(opened) as client:
        answer = await client.post("api/run", json=body)
    assert answer.status_code == 200, answer.text
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]


def words(all_frames: list[dict[str, Any]]) -> str:
    return "".join(one["text"] for one in all_frames if one["type"] == "words")


@pytest.mark.parametrize(
    "path", ["/", "/api/load", "/wrong/", "/wrong/api/load", f"/{TOKEN}", f"/{TOKEN}x/", "/studio.js"]
)
async def test_nothing_is_served_without_the_token(file: Path, path: str) -> None:
    async with studio(workshop(file)) as client:
        for answer in (await client.get(f"http://studio{path}"), await client.post(f"http://studio{path}", json={})):
            assert (answer.status_code, answer.text) == (404, "not found")


@pytest.mark.parametrize(
    "path", ["../app.py", "%2e%2e/app.py", "static/index.html", "..%2fapp.py", "app.py", "/etc/passwd"]
)
async def test_only_the_files_of_the_page_are_served(file: Path, path: str) -> None:
    async with studio(workshop(file)) as client:
        assert (await client.get(f"http://studio/{TOKEN}/{path}")).status_code == 404


async def test_the_page_runs_no_script_but_its_own(file: Path) -> None:
    async with studio(workshop(file)) as client:
        page = await client.get("")
        script = await client.get("studio.js")
    assert page.headers["content-type"].startswith("text/html")
    assert script.headers["content-type"].startswith("text/javascript")
    allowed = page.headers["content-security-policy"]
    assert "script-src 'self'" in allowed
    assert "unsafe" not in allowed
    assert "http" not in page.text.replace("http-equiv", "")
    assert page.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("name", ["../default", "/etc/passwd", "polite.yaml", "", None, 7, ["saved"]])
async def test_a_page_names_no_file(file: Path, name: Any) -> None:
    assert "listed" in (await asked(workshop(file), "read", {"name": name}, 400))["error"]


async def test_what_is_too_large_is_refused(file: Path) -> None:
    opened = workshop(file, body_bytes=400_000)
    await asked(opened, "check", {"text": "x" * 500_000}, 413)
    found = await asked(opened, "check", {"text": POLITE + "#" * MOST_BYTES})
    assert [one["code"] for one in found["faults"]] == ["P003"]
    for options in ({"max_tokens": 5_000}, {"max_tokens": True}, {"max_tokens": "9"}, {"tools": []}):
        body = {"policy": {"name": "saved"}, "prompt": "Hi.", "options": options}
        assert (await asked(opened, "run", body, 400))["error"]
    async with studio(opened) as client:
        assert (await client.post("api/check", content=b"[1]")).status_code == 400


async def test_more_answers_than_may_run_are_told_to_wait(file: Path) -> None:
    await asked(workshop(file, answers=0), "run", {"policy": {"name": "saved"}, "prompt": "Hi."}, 429)


async def test_faults_stand_where_the_page_counts_them_and_are_mended(file: Path) -> None:
    text = POLITE.replace("name: polite", 'name: polite, description: "🙂"').replace(", budget: 0.0", ", bugdet: 0.0")
    found = await asked(workshop(file), "check", {"text": text})
    fault = next(one for one in found["faults"] if one["path"].endswith("bugdet"))
    line = text.splitlines()[fault["start"][0]]
    assert not found["ok"]
    assert line[fault["start"][1] : fault["end"][1]] == "bugdet"
    (edit,) = (await asked(workshop(file), "fix", {"text": text, **{k: fault[k] for k in ("code", "line", "path")}}))[
        "fixes"
    ]
    assert (edit["text"], edit["start"], edit["end"]) == ("budget", fault["start"], fault["end"])


async def test_a_draft_is_replaced_and_its_words_stay_unknown(file: Path) -> None:
    found = await told(workshop(file, RESCUED))
    (block,) = [one for one in found if one["type"] == "block"]
    denied = [one for one in found if one["type"] == "denied"]
    assert words(found) == KIND
    assert block["text"] in KIND
    assert block["replaced"] == [one["id"] for one in denied]
    assert denied[0]["by"][0] == {**denied[0]["by"][0], "budget": "rudeness", "position": 8, "score": 1.0}
    assert "blockhead" not in json.dumps(found)
    assert max(one["held"] for one in found if one["type"] == "account") > 0
    end = found[-1]
    assert (end["type"], end["outcome"], end["seed"]) == ("end", "completed", "7")
    assert "1 draft would have overdrawn rudeness" in " ".join(end["meaning"]["ending"])


async def test_drafts_are_shown_where_the_studio_was_told_so(file: Path) -> None:
    found = await told(workshop(file, RESCUED, show_drafts=True))
    assert [one["text"] for one in found if one["type"] == "denied"] == [" blockhead and I will"]


@pytest.mark.parametrize("script", [{(0, 0): RUDE}, {(0, 0): LATE}, RESCUED, {(0, 0): CALM}])
@pytest.mark.parametrize("hold", [0, 4, 64])
async def test_no_frame_has_words_that_were_not_released(file: Path, script: Any, hold: int) -> None:
    found = await told(workshop(file, script), POLITE.replace("hold: 4", f"hold: {hold}"))
    blocks = [one["text"] for one in found if one["type"] == "block"]
    assert all(text in words(found) for text in blocks)
    assert "blockhead" not in json.dumps(found)
    kept: list[Any] = []
    for one in found:
        if one["type"] == "account":
            kept = [*kept[: one["keep"]], *one["add"]]
    positions = [(line["position"], line["end"]) for line in kept]
    assert positions == sorted(positions)
    assert all(line["left"] >= 0 for line in kept)


@pytest.mark.parametrize("reasoning", ["hide", "auto"])
async def test_a_hidden_thought_is_told_nowhere(file: Path, reasoning: str) -> None:
    script = {place: f"<think>I muse about that.</think>{said}" for place, said in RESCUED.items()}
    one_block = POLITE.replace("block: 4", "block: 64")
    found = await told(workshop(file, script), one_block, reasoning=reasoning)
    assert words(found) == KIND
    assert [one["type"] for one in found].count("block") > 0
    assert ("muse" in json.dumps(found)) is (reasoning == "auto")


async def test_a_conversation_that_is_named_shares_its_budget(file: Path) -> None:
    text = POLITE.replace("budget: 0.0", "budget: 1.0, scope: conversation")
    opened, body = workshop(file, {(0, 0): RUDE}), {"policy": {"text": text}, "prompt": "Tell me."}
    async with studio(opened) as client:
        for conversation, shown in (("", 3), ("mine", 2)):
            answers = [await client.post("api/run", json={**body, "conversation": conversation}) for _ in range(3)]
            assert sum('"outcome":"completed"' in one.text for one in answers) == shown


async def test_a_policy_with_faults_is_refused_with_its_report(file: Path) -> None:
    body = {"policy": {"text": POLITE.replace("cost: rude,", "cost: kind,")}, "prompt": "Hi."}
    error = (await asked(workshop(file), "run", body, 400))["error"]
    assert "kind" in error
    assert "polite.yaml:8" in error


async def test_a_running_answer_keeps_its_policy(file: Path) -> None:
    opened = workshop(file, RESCUED)
    question = question_of({"prompt": "Tell me.", "options": {"seed": 7, "max_tokens": 64}}, 100)
    running = frames(opened.guardrail(opened.source({"text": POLITE})), question, opened.config)
    first = await anext(running)
    other = opened.guardrail(opened.source({"text": POLITE.replace("threshold: 0.5", "threshold: 1.0")}))
    rest = [frame async for frame in running]
    assert other.policy.sha256 != first["policy"]["sha256"]
    assert rest[-1]["meaning"]["policy"].endswith(f"({first['policy']['sha256'][:12]})")


async def test_saving_writes_the_file_of_the_command_line_alone(file: Path) -> None:
    file.write_bytes(POLITE.replace("\n", "\r\n").encode())
    file.chmod(0o640)
    opened = workshop(file)
    loaded = await asked(opened, "load")
    changed = loaded["text"].replace("1.0.0", "1.0.1")
    saved = await asked(opened, "save", {**loaded, "text": changed, "file": "/tmp/other.yaml", "name": "other"})
    assert file.read_bytes() == changed.replace("\n", "\r\n").encode()
    assert file.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in file.parent.iterdir()] == ["polite.yaml"]
    await asked(opened, "save", {"text": POLITE, **saved})
    assert file.read_bytes() == POLITE.replace("\n", "\r\n").encode()


async def test_saving_follows_a_link_and_leaves_it(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    await asked(workshop(link), "save", {"text": POLITE + "# more\n", "seen": text_sha256(POLITE)})
    assert link.is_symlink()
    assert file.read_text().endswith("# more\n")


@pytest.mark.parametrize("text", ["", "a: [", POLITE.replace("threshold: 0.5", "threshold: 2"), "just words"])
async def test_a_policy_with_errors_is_not_saved(file: Path, text: str) -> None:
    await asked(workshop(file), "save", {"text": text, "seen": text_sha256(POLITE)}, 409)
    assert file.read_text() == POLITE


async def test_what_others_changed_meanwhile_is_not_overwritten(file: Path) -> None:
    opened = workshop(file)
    mine = await asked(opened, "load")
    theirs = await asked(opened, "save", {**mine, "text": POLITE + "# theirs\n"})
    assert "changed" in (await asked(opened, "save", mine, 409))["error"]
    file.write_text(POLITE + "# with another editor\n")
    assert "changed" in (await asked(opened, "save", {**mine, **theirs}, 409))["error"]
    again = await asked(opened, "read", {"name": "saved"})
    await asked(opened, "save", {**again, "text": POLITE})
    await asked(opened, "save", {"text": POLITE}, 400)
    assert file.read_text() == POLITE


async def test_a_packaged_policy_is_not_saved() -> None:
    opened = workshop("default")
    facts = await asked(opened, "load")
    assert (facts["file"], facts["name"]) == (None, "default.yaml")
    assert "--policy" in (await asked(opened, "save", facts, 409))["error"]


def test_a_policy_that_is_not_there_opens_no_studio(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(["studio", "--policy", str(tmp_path / "none.yaml")])
    assert "no such file" in capsys.readouterr().err


async def test_a_text_and_a_call_are_scored(file: Path) -> None:
    policy = {"policy": {"name": "saved"}}
    found = await asked(workshop(file, RESCUED), "score", {**policy, "answer": RUDE, "prompt": "Hi, blockhead."})
    assert found["denied"] == {"budget": "rudeness", "at": 8}
    assert (found["prompt"]["score"], found["prompt"]["action"]) == (1.0, "refuse")
    called = await asked(workshop(file), "score", {**policy, "call": '{"say": {"text": "blockhead"}}'})
    assert [one["tool"] for one in called["calls"]] == ["say"]
    assert called["denied"] is not None
    for body in ({}, {"answer": 7}, {"call": "["}):
        await asked(workshop(file), "score", {**policy, **body}, 400)


async def test_cases_run_under_the_policy_in_the_editor(file: Path) -> None:
    assert "polite_test.yaml" in (await asked(workshop(file), "cases", {"text": POLITE}, 400))["error"]
    file.with_name("polite_test.yaml").write_text(CASES)
    found = await asked(workshop(file), "cases", {"text": POLITE})
    assert [one["status"] for one in found["cases"]] == ["passed", "failed"]
    assert found["coverage"]["missing"]
    looser = await asked(
        workshop(file), "cases", {"text": POLITE.replace("mode: enforce", "").replace("blockhead", "dunce")}
    )
    assert [one["status"] for one in looser["cases"]] == ["failed", "failed"]


async def test_two_policies_are_compared_by_a_counterexample(file: Path) -> None:
    looser = POLITE.replace("budget: 0.0", "budget: 0.6")
    found = await asked(workshop(file), "diff", {"a": {"name": "saved"}, "b": {"text": looser}})
    example = found["together"]["denied_by_a"]
    assert found["together"]["denied_by_b"] is None
    assert (found["same"], example["budget"]) == (False, "rudeness")
    assert found["loosened"]
    same = await asked(workshop(file), "diff", {"a": {"text": POLITE + "# a word\n"}, "b": {"name": "saved"}})
    assert same["same"]


async def test_recorded_traffic_is_judged_by_the_policy_in_the_editor(file: Path, tmp_path: Path) -> None:
    recordings = tmp_path / "recorded.jsonl"
    shadow = POLITE.replace("every: 4}", "every: 4, mode: shadow}")
    rail = scripted_guardrail({(0, 0): RUDE}, compiled(shadow))
    rail.recorder = Recorder(RecordingFile(recordings))
    list(rail.stream(Conversation({}).ask()))
    rail.flush()
    opened = workshop(file, recordings=recordings)
    assert "rudeness" in (await asked(opened, "traffic", {"text": shadow, "kind": "shadow"}))["text"]
    for against in (None, {"name": "saved"}, {"text": shadow}):
        body = {"text": POLITE, "kind": "replay", "against": against}
        flips = 0 if against == {"name": "saved"} else 1
        assert f"flips  {flips}" in (await asked(opened, "traffic", body))["text"]
    assert "--recordings" in (await asked(workshop(file), "traffic", {"text": POLITE}, 400))["error"]
