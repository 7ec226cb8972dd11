"""What the page asks. Each answer is made off the event loop, by the function that stands behind a command."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ig_guardrail.errors import GuardrailError, PolicyError
from ig_guardrail.integrations.openai_server.faults import Fault, Refused, fault_of, unfit
from ig_guardrail.integrations.openai_server.server import Endpoint, noted, read_bytes, read_object
from ig_guardrail.integrations.openai_server.sse import UNHELD, frame, with_comments
from ig_guardrail.integrations.openai_server.studio.running import facts_of, frames, question_of
from ig_guardrail.integrations.openai_server.studio.workshop import SAVED, Workshop, document_of
from ig_guardrail.policy import packaged_names
from ig_guardrail.policy.sources import PolicySource
from ig_guardrail.workbench.cases.reading import cases_in, find_cases, policy_of
from ig_guardrail.workbench.cases.report import report_on
from ig_guardrail.workbench.cases.suite import run_file
from ig_guardrail.workbench.editor.document import read_text
from ig_guardrail.workbench.editor.findings import fixes, place
from ig_guardrail.workbench.meaning.differences import differences
from ig_guardrail.workbench.meaning.wording import as_dict, as_text
from ig_guardrail.workbench.rollout.answers import read_answers
from ig_guardrail.workbench.rollout.figures import shadow_report
from ig_guardrail.workbench.rollout.report import shadow_text
from ig_guardrail.workbench.traffic.bench import Bench
from ig_guardrail.workbench.traffic.recordings import read_recordings
from ig_guardrail.workbench.traffic.replay import PolicyReplay, replay
from ig_guardrail.workbench.traffic.replay_report import as_text as replay_text
from ig_guardrail.workbench.traffic.score import as_object, score_texts
from ig_guardrail.workbench.traffic.texts import TextRow, read_call

QUIET = 5.0  # seconds of silence on a stream, after which a comment is sent
LONGEST = 100_000  # characters of a text that is scored

Body: TypeAlias = Mapping[str, Any]
StudioWork: TypeAlias = Callable[[Workshop, Body], Any]


def routes(workshop: Workshop) -> list[Route]:
    """Of all that the page asks."""
    answering = asyncio.Semaphore(workshop.config.answers)

    def asked(work: StudioWork) -> Endpoint:
        async def ask(request: Request) -> Response:
            body = await _body(request, workshop.config.body_bytes)
            return JSONResponse(await asyncio.to_thread(work, workshop, body))

        return _told(ask)

    async def run(request: Request) -> Response:
        body = await _body(request, workshop.config.body_bytes)
        question = question_of(body, workshop.config.tokens)
        source = workshop.source(body.get("policy"))
        if answering.locked():
            raise Refused(
                Fault(429, "rate_limit_error", "busy", "enough answers are being decoded; wait for one to end")
            )
        guardrail = await asyncio.to_thread(workshop.guardrail, source)

        async def told() -> AsyncGenerator[bytes, None]:
            try:
                async with answering, aclosing(frames(guardrail, question, workshop.config)) as all_frames:
                    async for one in all_frames:
                        yield frame(one)
            except Exception as error:
                yield frame({"type": "fault", "message": _said(error)})

        return StreamingResponse(with_comments(told(), QUIET), media_type="text/event-stream", headers=UNHELD)

    works = {
        "check": check,
        "fix": fix,
        "load": load,
        "read": read,
        "save": save,
        "score": score,
        "cases": run_cases,
        "diff": diff,
        "traffic": report_traffic,
    }
    posts = [Route(f"/api/{name}", asked(work), methods=["POST"]) for name, work in works.items()]
    return [*posts, Route("/api/run", _told(run), methods=["POST"])]


def load(workshop: Workshop, body: Body) -> dict[str, Any]:
    """What the page begins with: the policy as it stands in its file, and what there is to choose from."""
    info = workshop.engine.info
    text, seen = workshop.text(SAVED)
    return {
        "text": text,
        "seen": seen,
        "file": None if workshop.file is None else workshop.file.name,
        "name": Path(workshop.home).name,
        "model": info.model,
        "device": info.device,
        "numerics": info.numerics,
        "policies": [SAVED, *packaged_names()],
        "drafts": workshop.config.show_drafts,
        "recordings": workshop.config.recordings is not None,
        "tokens": workshop.config.tokens,
    }


def read(workshop: Workshop, body: Body) -> dict[str, Any]:
    """The text of a policy that is listed, for the editor."""
    text, seen = workshop.text(body.get("name"))
    return {"text": text, "seen": seen}


def check(workshop: Workshop, body: Body) -> dict[str, Any]:
    """What `policy check` tells of a text; places as the page counts them, lines and UTF-16 columns from 0."""
    source = workshop.source(body)
    report, document = workshop.report(source), document_of(source)
    faults = []
    for fault in report.faults:
        span = place(document, fault)
        faults.append(
            {
                **fault.as_dict(),
                "file": Path(fault.file).name if fault.file not in ("", source.file) else "",
                "start": document.line_column(span.start),
                "end": document.line_column(span.end),
            }
        )
    policy = facts_of(workshop.policy(source)) if report.name is not None else None
    waived = [{**fault.as_dict(), "reason": reason} for fault, reason in report.waived]
    return {"ok": report.ok, "faults": faults, "waived": waived, "policy": policy}


def fix(workshop: Workshop, body: Body) -> dict[str, Any]:
    """Edits that mend a fault, each of which was tried; the fault by its code and place."""
    source = workshop.source(body)
    document, named = document_of(source), (body.get("code"), body.get("line"), body.get("path"))
    fault = next((one for one in workshop.report(source).faults if (one.code, one.line, one.path) == named), None)
    found = [] if fault is None else fixes(document, fault, read_text)
    edits = [
        {
            "title": one.title,
            "start": document.line_column(one.edit.span.start),
            "end": document.line_column(one.edit.span.end),
            "text": one.edit.text,
        }
        for one in found
        if one.edit.path == source.file
    ]
    return {"fixes": edits}


def save(workshop: Workshop, body: Body) -> dict[str, Any]:
    """Write the policy to the file that the studio was started with."""
    text, seen = body.get("text"), body.get("seen")
    if not isinstance(text, str) or not isinstance(seen, str):
        raise unfit("a text is needed, and the hash of what was read", "text, seen")
    return {"seen": workshop.save(text, seen)}


def score(workshop: Workshop, body: Body) -> dict[str, Any]:
    """What a text, or a call, scores at every charge point, without decoding."""
    text, prompt, call = (body.get(name) or "" for name in ("answer", "prompt", "call"))
    for name, value in (("answer", text), ("prompt", prompt), ("call", call)):
        if not isinstance(value, str) or len(value) > LONGEST:
            raise unfit(f"a text of at most {LONGEST} characters is needed", name)
    calls = read_call(call) if call.strip() else ()
    if not text.strip() and not calls:
        raise unfit("there is neither a text nor a call to score", "answer")
    opened = workshop.guardrail(workshop.source(body.get("policy")))
    bench = Bench(opened.engine, opened.costs, opened.policy)
    (scored,) = score_texts(bench, [TextRow(text, "the text", prompt, calls)])
    return {**as_object(scored, bench), "notes": bench.notes, "policy": facts_of(opened.policy)}


def run_cases(workshop: Workshop, body: Body) -> dict[str, Any]:
    """The cases beside the policy's file, run under the policy in the editor, and what of it no case tries."""
    source = workshop.source(body)
    policy = workshop.policy(source)
    (path,) = find_cases([source.file])
    content = read_text(Path(path))
    if content is None:
        raise unfit(f"there are no cases: a file {Path(path).name} beside the policy would hold them", "policy")
    own = str(policy_of(path, None))
    file = cases_in(content.encode(), path, lambda named: policy if str(named) in (own, source.file) else _other(named))
    report = report_on([run_file(file)], None, True)
    told = json.loads(report.as_json())
    (one,), coverage = told["files"], told["coverage"]
    return {**one, "path": Path(path).name, "coverage": coverage[0] if coverage else None, "text": report.as_text()}


def _other(named: str | Path) -> Any:
    raise PolicyError(f"its cases are for {named}, and not for the policy in the editor")


def diff(workshop: Workshop, body: Body) -> dict[str, Any]:
    """In what the policy in the editor (B) differs by meaning from another one (A), with examples that were run."""
    a, b = (workshop.policy(workshop.source(body.get(side), side)) for side in ("a", "b"))
    found = differences(a, b)
    told: dict[str, Any] = json.loads(json.dumps(as_dict(a, b, found), default=str))
    return {**told, "text": as_text(a, b, found, ("the other policy", "the editor"))}


def report_traffic(workshop: Workshop, body: Body) -> dict[str, Any]:
    """The recordings under the policy in the editor: what its budgets in shadow mode would deny, and what flips."""
    recordings = workshop.config.recordings
    if recordings is None:
        raise unfit("start the studio with `--recordings PATH`", "recordings")
    under = _replay_of(workshop, workshop.source(body))
    if body.get("kind") == "replay":
        against = body.get("against")
        old = None if against is None else _replay_of(workshop, workshop.source(against, "against"))
        return {"text": replay_text(replay(under, read_recordings(recordings), old))}
    return {"text": shadow_text(shadow_report(read_answers(recordings, under)))}


def _replay_of(workshop: Workshop, source: PolicySource) -> PolicyReplay:
    return PolicyReplay(workshop.policy(source), Path(source.file).parent)


async def _body(request: Request, most: int) -> Body:
    """The JSON object of a request. Raises Refused for anything else, and for one that is too large."""
    return read_object(await read_bytes(request, most) or b"{}")


def _told(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with its errors in words: the page's readers answer for the policy, and are told all of it."""

    async def tell(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Exception as error:
            status = 400 if isinstance(error, GuardrailError) else fault_of(error).status
            return JSONResponse({"error": _said(error)}, status)

    return tell


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, GuardrailError) else noted(error).message
