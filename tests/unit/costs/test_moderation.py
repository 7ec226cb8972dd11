"""A moderations endpoint as a cost model: the real client and a real server on loopback."""

from __future__ import annotations

import gc
import json
import logging
import subprocess
import sys
import threading
import traceback
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from ig_guardrail.costs.catalog import build_cost_model
from ig_guardrail.costs.remote.endpoint import MOST_TEXTS
from ig_guardrail.costs.remote.moderation import OVERLAP, WINDOW, ModerationCost, windows
from ig_guardrail.errors import CostFailure, CostTimeout, ModelError
from ig_guardrail.types import CostModelSpec, Piece, Prompt
from tests.moderations import BAD, Reply, Served, judged, serving

KEY = "sk-only-for-this-test"
HATE = ("hate", "hate/threatening")
AT_ONCE = {"retry-after-ms": "1"}


def spec(address: str, timeout_s: float = 30.0, **options: Any) -> CostModelSpec:
    usual = {
        "model": "scripted",
        "base_url": address,
        "api_key_env": "SOME_API_KEY",
        "categories": {"hte": list(HATE), "ncr": ["illicit"]},
    }
    return CostModelSpec("hosted", "openai", ("hte", "ncr"), {**usual, **options}, timeout_s)


def cost(served: Served, timeout_s: float = 30.0, **options: Any) -> ModerationCost:
    model = build_cost_model(spec(served.address, timeout_s, **options), engine=None, base_dir=None)
    assert isinstance(model, ModerationCost)
    return model


def scores(model: ModerationCost, *texts: str) -> list[tuple[float, ...]]:
    state = model.start(Prompt((), ()))
    return [given for _, given in model.advance([(state, Piece(text)) for text in texts])]


def test_the_score_of_a_hazard_is_its_highest_category() -> None:
    def script(texts: Sequence[str]) -> Reply:
        return judged(texts, lambda text: {"hate": 0.2, "hate/threatening": 0.4, "illicit": 0.3, "harassment": 0.9})

    with serving(script) as served:
        assert scores(cost(served), "a") == [(0.4, 0.3)]


def test_the_whole_answer_so_far_is_judged_and_its_state_is_never_changed() -> None:
    with serving() as served:
        model = cost(served)
        ((first, _),) = model.advance([(model.start(Prompt((), ())), Piece("block"))])
        (rude, kind) = model.advance([(first, Piece("head", ended=True)), (first, Piece("chain"))])
    assert served.asked == [["block"], ["blockhead", "blockchain"]]
    assert (rude[1][0], kind[1][0]) == (0.9, 0.01)
    assert first == "block"


def test_all_texts_of_a_round_share_one_request_and_none_is_sent_twice() -> None:
    with serving() as served:
        assert scores(cost(served), "a", BAD, "a") == [(0.01, 0), (0.9, 0), (0.01, 0)]
    assert served.asked == [["a", BAD]]


def test_long_lists_are_cut_and_asked_side_by_side() -> None:
    both = threading.Barrier(2)

    def script(texts: Sequence[str]) -> Reply:
        both.wait(10)
        return judged(texts)

    texts = [f"{index} {BAD if index == MOST_TEXTS else ''}" for index in range(MOST_TEXTS + 1)]
    with serving(script) as served:
        given = scores(cost(served), *texts)
    assert sorted(map(len, served.asked)) == [1, MOST_TEXTS]
    assert [score for score, _ in given] == [*[0.01] * MOST_TEXTS, 0.9]


def test_blank_texts_score_nothing_and_are_not_sent() -> None:
    with serving() as served:
        assert scores(cost(served), "", " \n") == [(0, 0), (0, 0)]
    assert served.asked == []


@pytest.mark.parametrize("length", [1, WINDOW, WINDOW + 1, 3 * WINDOW, 50_000])
def test_windows_leave_nothing_out_and_overlap(length: int) -> None:
    text = "".join(chr(0x4E00 + index % 20_000) for index in range(length))
    parts = windows(text)
    joined = parts[0] + "".join(part[OVERLAP:] for part in parts[1:])
    assert joined == text
    assert max(map(len, parts)) <= WINDOW
    assert all(before[-OVERLAP:] == after[:OVERLAP] for before, after in pairwise(parts))


def test_the_worst_window_of_a_long_text_counts() -> None:
    with serving() as served:
        assert scores(cost(served), "word " * 2_000 + BAD + " word" * 2_000) == [(0.9, 0.0)]
    assert len(served.asked) == 1


def test_one_connection_serves_round_after_round() -> None:
    with serving() as served:
        model = cost(served)
        for text in "abc":
            scores(model, text)
    assert len(served.asked) == 3
    assert len(served.callers) == 1


def test_a_request_that_is_turned_away_for_now_is_asked_again() -> None:
    replies = [Reply(429, {}, AT_ONCE), Reply(503, {}, AT_ONCE)]

    def script(texts: Sequence[str]) -> Reply:
        return replies.pop() if replies else judged(texts)

    with serving(script) as served:
        assert scores(cost(served), BAD) == [(0.9, 0.0)]
    assert served.asked == [[BAD]] * 3


def test_an_endpoint_that_stays_out_of_order_is_a_failure() -> None:
    said = "cost model 'hosted' failed: its endpoint answered with status 500"
    with serving(lambda texts: Reply(500, {}, AT_ONCE)) as served, pytest.raises(CostFailure, match=said):
        scores(cost(served), "a")
    assert len(served.asked) == 3


@pytest.mark.slow
def test_an_endpoint_that_hangs_up_is_a_failure() -> None:
    with serving(lambda texts: Reply(0)) as served, pytest.raises(CostFailure, match="could not be asked"):
        scores(cost(served), "a")


@pytest.mark.slow
@pytest.mark.parametrize("patient", ["in silence", "asking to wait"])
def test_the_time_limit_holds_for_silence_and_for_retries(patient: str) -> None:
    over = threading.Event()

    def script(texts: Sequence[str]) -> Reply:
        if patient == "asking to wait":
            return Reply(429, {}, {"retry-after": "60"})
        over.wait(60)
        return judged(texts)

    with serving(script) as served:
        try:
            with pytest.raises(CostTimeout, match=r"its endpoint did not answer within 0\.18 s"):
                scores(cost(served, timeout_s=0.2), "a")
        finally:
            over.set()


def told(**scores: Any) -> Any:
    return json.dumps(judged(["a"], lambda text: scores).body).encode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>", "did not answer in JSON"),
        (b"[" * 100_000, "did not answer in JSON"),
        (b"[]", "gave no results for 1 texts"),
        (b'{"results": {}}', "gave no results for 1 texts"),
        (b'{"results": []}', "gave 0 results for 1 texts"),
        (b'{"results": [{}, {}]}', "gave 2 results for 1 texts"),
        (b'{"results": [7]}', r"gave no score in \[0, 1\] for category 'hate'"),
        (b'{"results": [{"flagged": true}]}', r"gave no score in \[0, 1\] for category 'hate'"),
        (told(hate=float("nan")), "for category 'hate'"),
        (told(hate=float("inf")), "for category 'hate'"),
        (told(hate=1.01), "for category 'hate'"),
        (told(hate=-0.01), "for category 'hate'"),
        (told(hate="0.1"), "for category 'hate'"),
        (told(hate=True), "for category 'hate'"),
        (told(illicit=None), "for category 'illicit'"),
    ],
)
def test_what_is_no_answer_is_a_failure(body: bytes, reason: str) -> None:
    with serving(lambda texts: Reply(body=body)) as served, pytest.raises(CostFailure, match=reason):
        scores(cost(served), "a")


def test_a_redirect_is_not_followed() -> None:
    with serving() as elsewhere:
        sent = Reply(307, {}, {"Location": f"{elsewhere.address}/moderations"})
        with serving(lambda texts: sent) as served, pytest.raises(CostFailure, match="status 307"):
            scores(cost(served), "a")
    assert elsewhere.asked == []


def test_an_endpoint_on_this_machine_is_not_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as proxy, serving() as served:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.address.removesuffix("/v1"))
        scores(cost(served), "a")
    assert (proxy.asked, served.asked) == ([], [["a"]])


def test_the_key_is_sent_and_said_nowhere(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("SOME_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with serving(lambda texts: Reply(401, {"error": {"message": f"{KEY} is no key"}})) as served:
        model = cost(served)
        with pytest.raises(CostFailure, match="status 401") as raised:
            scores(model, "a")
    assert served.headers[0]["authorization"] == f"Bearer {KEY}"
    shown = [str(raised.value), *traceback.format_exception(raised.value), repr(model), caplog.text]
    assert not any(KEY in text for text in shown)
    assert "api_key_env" in raised.value.fix


def test_the_key_of_openai_is_not_sent_to_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving() as served:
        scores(cost(served, api_key_env=None), "a")
        assert KEY not in str(served.headers)
    with pytest.raises(ModelError, match="no key is named") as raised:
        cost(served, base_url="https://moderation.example/v1", api_key_env=None)
    assert "name it with `api_key_env`" in raised.value.fix


def test_the_hash_covers_model_address_and_categories_and_not_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as served:
        usual = cost(served)
        others = [
            cost(served, model="other"),
            cost(served, base_url=f"{served.address}/other"),
            cost(served, categories={"hte": ["hate"], "ncr": ["illicit"]}),
        ]
        monkeypatch.setenv("SOME_API_KEY", KEY)
        assert cost(served).sha256 == usual.sha256
    assert len({usual.sha256, *(model.sha256 for model in others)}) == 4


def test_an_endpoint_elsewhere_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_API_KEY", raising=False)
    with pytest.raises(ModelError, match="there is no key in the environment variable SOME_API_KEY"):
        build_cost_model(spec("https://moderation.example.org/v1"), engine=None, base_dir=None)


def test_a_hazard_without_categories_is_refused() -> None:
    with pytest.raises(ModelError, match="no category of the endpoint stands for 'ncr'"):
        build_cost_model(spec("http://127.0.0.1/v1", categories={"hte": ["hate"]}), engine=None, base_dir=None)


@pytest.mark.slow
def test_its_thread_ends_with_it() -> None:
    with serving() as served:
        model = cost(served)
        scores(model, "a")
        threads = [thread for thread in threading.enumerate() if thread.name == "ig-loop-hosted" and thread.is_alive()]
        del model
        gc.collect()
        for thread in threads:
            thread.join(10)
        assert threads
        assert not any(thread.is_alive() for thread in threads)


@pytest.mark.slow
def test_the_client_is_loaded_for_this_kind_only() -> None:
    code = (
        "import sys; from ig_guardrail.costs.catalog import build_cost_model; "
        "from ig_guardrail.types import CostModelSpec; "
        "spec = CostModelSpec('w', 'lexical', ('hte',), {'model': 'words'}, 2.0); "
        "build_cost_model(spec, engine=None, base_dir=None); "
        "assert 'openai' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
