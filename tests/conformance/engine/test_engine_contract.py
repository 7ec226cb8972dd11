"""What every engine promises, tried on a script, on a tiny random model, and on the embedded model."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ig_guardrail.engine.base import TextSpeller
from ig_guardrail.errors import EngineClosed, EngineError, RequestError
from ig_guardrail.types import Draw, Message, Node, Prompt, Sampling
from tests.conformance.engine.worlds import HELLO, World

ODD_TEXT = "Été: 10 € / 你好 🌊"
RARE = "\U00010330"  # a Gothic letter, too rare for a token of its own


# ------------------------------------------------------------------------------------------------- prompts and roots


def test_a_root_is_an_empty_answer(world: World) -> None:
    root = world.root()
    assert (root.ids, root.position, root.text, root.visible, root.parent, root.finish) == ((), 0, "", 0, None, None)
    assert root.root == root.id


def test_a_prompt_keeps_its_turns(world: World) -> None:
    assert world.prompt().turns == HELLO
    assert world.prompt() == world.prompt()


def test_an_empty_conversation_is_refused(world: World) -> None:
    with pytest.raises(RequestError, match="the conversation is empty"):
        world.engine.encode(())


def test_end_tokens_are_protected(world: World) -> None:
    assert world.end in world.engine.info.protected


def test_a_prompt_that_leaves_no_room_is_refused_with_both_numbers(world: World) -> None:
    context = world.engine.info.context
    prompt = Prompt(HELLO, world.prompt().ids[:1] * context)
    with pytest.raises(RequestError, match=f"the prompt has {context} tokens, and the model reads {context}"):
        world.engine.open(prompt, Sampling()).result()


def test_an_answer_without_tokens_is_refused(world: World) -> None:
    with pytest.raises(RequestError, match="max_tokens is 0"):
        world.engine.open(world.prompt(), Sampling(max_tokens=0)).result()


def test_hidden_states_of_a_layer_that_is_not_there_are_refused(world: World) -> None:
    layers = world.engine.info.layers
    with pytest.raises(RequestError, match=f"layer {layers + 1} were asked for, and the model has {layers} layers"):
        world.root(layers=(layers + 1,))


def test_tokens_of_another_model_are_refused_and_harm_nothing(world: World) -> None:
    root = world.root()
    with pytest.raises(RequestError, match="token 999999999 was given"):
        world.engine.append([(root, (999_999_999,))]).result()
    with pytest.raises(RequestError, match="token 999999999 was given"):
        world.engine.extend([Draw(root)], 1, bias=[(999_999_999, 1.0)]).result()
    with pytest.raises(RequestError, match="a block of 0 tokens"):
        world.engine.extend([Draw(root)], 0).result()
    assert world.blocks(root, 2).position == 2


# ------------------------------------------------------------------------------------------------------------ drawing


def test_children_come_in_the_order_of_the_draws(world: World) -> None:
    root = world.root()
    first, second = world.engine.extend([Draw(root, 2)], 3).result()
    children = world.engine.extend([Draw(second, 1, lane=4), Draw(root, 2), Draw(first, 1)], 2).result()
    assert [child.parent for child in children] == [second, root, root, first]
    assert [child.position for child in children] == [5, 2, 2, 5]
    assert len({child.id for child in children}) == 4


@pytest.mark.slow
def test_the_stream_does_not_depend_on_block_sizes(world: World) -> None:
    root = world.root()
    whole = world.blocks(root, 24)
    for sizes in ([1] * 24, [3, 5, 16], [8, 8, 8]):
        cut = world.blocks(root, *sizes)
        assert cut.answer_ids() == whole.ids
        assert cut.text == whole.text
        assert [cut.characters_at(i) for i in range(25)] == [whole.characters_at(i) for i in range(25)]
        assert [value for node in cut.path() for value in node.logprobs] == pytest.approx(whole.logprobs)


def test_what_is_read_ahead_changes_nothing_and_takes_an_exit(world: World) -> None:
    root = world.root()
    plain = world.blocks(root, 9)
    asked = world.engine.extend([Draw(root)], 9, ahead=2)
    if world.engine.info.exit is None:
        with pytest.raises(EngineError, match="no early exit"):
            asked.result()
    else:
        assert asked.result()[0].ids == plain.ids


def test_a_lane_does_not_depend_on_the_lanes_beside_it(world: World) -> None:
    root = world.root()
    wide = world.engine.extend([Draw(root, 4)], 6).result()
    for lane, node in enumerate(wide):
        (alone,) = world.engine.extend([Draw(root, 1, lane)], 6).result()
        assert alone.ids == node.ids


def test_attempts_and_seeds_draw_anew(world: World) -> None:
    root, other = world.root(), world.root(world.endless(seed=12))
    drawn = {world.engine.extend([Draw(root)], 12, attempt).result()[0].ids for attempt in range(3)}
    assert len(drawn | {world.blocks(other, 12).ids}) == 4


def test_greedy_takes_the_likeliest_token(world: World) -> None:
    root = world.root(world.endless(temperature=0.0))
    node = root
    for _ in range(4):
        ranked = world.engine.expand(node, 8).result()
        likeliest = next(child for child in ranked if child.finish is None)
        (node,) = world.engine.extend([Draw(node)], 1).result()
        assert node.ids == likeliest.ids


def test_a_penalty_keeps_a_token_away_and_a_bonus_forces_it(world: World) -> None:
    root = world.root()
    (drawn,) = world.engine.extend([Draw(root)], 1).result()
    (other,) = world.engine.extend([Draw(root)], 1, bias=[(drawn.ids[0], -1e4)]).result()
    assert other.ids != drawn.ids
    children = world.engine.extend([Draw(root, 3)], 4, bias=[(drawn.ids[0], 1e4)]).result()
    assert [child.ids for child in children] == [drawn.ids * 4] * 3


def test_log_probabilities_are_the_models_own(world: World) -> None:
    """At temperature 1 and without the bias, whatever the sampling says."""
    root, warped = world.root(), world.root(world.endless(temperature=0.3, top_k=3))
    node = world.blocks(warped, 6)
    assert world.engine.logprobs(root, node.ids).result() == pytest.approx(node.logprobs, abs=world.tolerance)
    assert world.engine.logprobs(root, ()).result() == []


@pytest.mark.slow
def test_chances_are_log_probabilities_with_the_likeliest_beside_them(world: World) -> None:
    root = world.root()
    node = world.blocks(root, 70)
    chances = world.engine.answer_logprobs(root, node.ids, 3).result()
    assert [one.logprob for one in chances] == pytest.approx(node.logprobs, abs=world.tolerance)
    assert b"".join(one.spelled for one in chances).decode("utf-8", "replace").strip() == world.decode(node.ids).strip()
    children = world.engine.expand(root, 3).result()
    first = [value for _, value in chances[0].top]
    own = [world.engine.logprobs(root, child.ids or (world.end,)).result()[0] for child in children]
    assert first == pytest.approx(own, abs=world.tolerance)
    assert all(one.top[0][1] + world.tolerance >= one.logprob for one in chances)
    assert [len(one.top) for one in chances] == [3] * 70
    assert world.engine.answer_logprobs(root, node.ids[:1], 0).result()[0].top == ()
    assert world.engine.answer_logprobs(root, (), 3).result() == []


def test_expand_ranks_one_token_children(world: World) -> None:
    root = world.root(Sampling())
    children = world.engine.expand(root, 5).result()
    scores = [world.engine.logprobs(root, child.ids or (world.end,)).result()[0] for child in children]
    assert scores == sorted(scores, reverse=True)
    assert len({child.ids for child in children}) == 5
    assert all(child.position == 1 and len(child.ids) == 1 for child in children if child.finish is None)


def test_the_likeliest_tokens_are_those_of_the_children_and_cost_no_pass(world: World) -> None:
    node = world.blocks(world.root(Sampling(max_tokens=64)), 3)
    children = world.engine.expand(node, 6).result()
    before = world.engine.forwards(node)
    ranked = world.engine.top_logprobs(node, 6).result()
    assert world.engine.forwards(node) == before
    assert [(token,) for token, _ in ranked] == [child.ids or (world.end,) for child in children]
    own = [world.engine.logprobs(node, (token,)).result()[0] for token, _ in ranked]
    assert [logprob for _, logprob in ranked] == pytest.approx(own, abs=world.tolerance)
    assert own == sorted(own, reverse=True)


# ---------------------------------------------------------------------------------------------------------- penalties


def test_what_an_answer_holds_is_drawn_less_by_frequency_or_presence(world: World) -> None:
    for changes in ({"frequency_penalty": 1e3}, {"presence_penalty": 1e3}):
        root = world.root(world.endless(**changes))
        for node in world.engine.extend([Draw(root, 3)], 8).result():
            assert len(set(node.ids)) == len(node.ids) == 8
    often = world.root(world.endless(frequency_penalty=-1e3))
    assert len(set(world.blocks(often, 8).ids)) == 1, "a penalty below 0 repeats"


def test_what_a_prompt_holds_is_drawn_less_by_repetition_alone(world: World) -> None:
    prompt, greedy = world.prompt(), world.endless(temperature=0.0)

    def said(ids: tuple[int, ...], **changes: float) -> int:
        root = world.kept(world.engine.open(replace(prompt, ids=ids), replace(greedy, **changes)).result())
        return world.blocks(root, 1).ids[0]

    ids = prompt.ids
    while (token := said(ids)) not in ids:
        ids = (*ids, token)
    assert said(ids, frequency_penalty=2.0, presence_penalty=2.0) == token
    assert said(ids, repetition_penalty=1e6) not in ids


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_penalties_do_not_depend_on_blocks_or_neighbours(world: World, temperature: float) -> None:
    sampling = world.endless(
        temperature=temperature, repetition_penalty=1.3, frequency_penalty=0.7, presence_penalty=0.4
    )
    root = world.root(sampling)
    whole = world.blocks(root, 24)
    assert whole.ids != world.blocks(world.root(world.endless(temperature=temperature)), 24).ids
    for sizes in ([1] * 24, [5, 19]):
        assert world.blocks(root, *sizes).answer_ids() == whole.ids
    wide = world.engine.extend([Draw(root, 4)], 24).result()
    assert wide[0].ids == whole.ids
    for lane, node in enumerate(wide):
        (alone,) = world.engine.extend([Draw(root, 1, lane)], 24).result()
        assert alone.ids == node.ids
    half = world.blocks(root, 12)
    (moved,) = world.engine.append([(root, half.ids)]).result()
    twin = world.engine.open(world.prompt(), sampling, (), twin_of=half).result()
    assert world.blocks(moved, 12).ids == world.blocks(twin, 12).ids == whole.ids[12:]


def test_a_bias_is_added_behind_penalties(world: World) -> None:
    root = world.root(world.endless(frequency_penalty=2.0, repetition_penalty=3.0))
    (drawn,) = world.engine.extend([Draw(root)], 1).result()
    children = world.engine.extend([Draw(root, 2)], 4, bias=[(drawn.ids[0], 1e4)]).result()
    assert [child.ids for child in children] == [drawn.ids * 4] * 2


def test_log_probabilities_are_told_without_penalties(world: World) -> None:
    node = world.blocks(world.root(world.endless(frequency_penalty=1e3, repetition_penalty=5.0)), 6)
    assert world.engine.logprobs(world.root(), node.ids).result() == pytest.approx(node.logprobs, abs=world.tolerance)


def test_an_answer_of_a_form_is_penalised_too(world: World) -> None:
    root = world.root(Sampling(seed=3, temperature=1.0, top_p=1.0, grammar=DIGITS, presence_penalty=1e3))
    for node in world.engine.extend([Draw(root, 3)], 20).result():
        assert node.finish == "stop"
        assert len(set(node.text)) == len(node.text) == 6


DIGITS = "start: /[0-9]{6}/"


# --------------------------------------------------------------------------------------------------- text and endings


def test_text_is_what_the_tokens_decode_to(world: World) -> None:
    root = world.root(world.endless(max_tokens=40))
    for node in world.engine.extend([Draw(root, 6)], 40).result():
        said = world.decode(node.ids)
        assert (said.removeprefix(node.text), said[: len(node.text)]) in (("", node.text), ("\ufffd", node.text))
        assert len(node.offsets) == len(node.ids)
        assert list(node.offsets) == sorted(node.offsets)
        assert node.offsets[-1] == len(node.text) == node.visible


def test_a_character_appears_when_its_last_byte_does(world: World) -> None:
    root = world.root()
    (whole,) = world.engine.append([(root, ODD_TEXT)]).result()
    assert whole.text == ODD_TEXT
    node = root
    for token in whole.ids:
        (node,) = world.engine.append([(node, (token,))]).result()
        assert ODD_TEXT.startswith(node.text)
        assert "\ufffd" not in node.text
    assert [step.offsets[0] for step in node.path()[1:]] == list(whole.offsets)


def test_nothing_is_shown_of_a_character_that_is_never_completed(world: World) -> None:
    root = world.root()
    (rare,) = world.engine.append([(root, f"a{RARE}")]).result()
    (short,) = world.engine.append([(root, rare.ids[:-1])]).result()
    assert short.text == "a"
    (ended,) = world.engine.append([(short, (world.end,))]).result()
    assert (ended.text, ended.ids, ended.finish) == ("a", (), "stop")
    cut = world.root(world.endless(max_tokens=len(rare.ids) - 1))
    (full,) = world.engine.append([(cut, rare.ids)]).result()
    assert (full.text, full.visible, full.finish) == ("a", 1, "length")


def test_an_end_token_ends_the_answer_and_is_not_part_of_it(world: World) -> None:
    root = world.root(Sampling())
    (node,) = world.engine.extend([Draw(root)], 8, bias=[(world.end, 1e5)]).result()
    assert (node.ids, node.position, node.text, node.finish) == ((), 0, "", "stop")


def test_max_tokens_counts_the_whole_answer(world: World) -> None:
    root = world.root(world.endless(max_tokens=10))
    node = world.blocks(root, 4, 4)
    assert (node.position, node.finish) == (8, None)
    node = world.blocks(node, 4)
    assert (node.position, len(node.ids), node.finish) == (10, 2, "length")


def test_the_context_limits_the_answer(world: World) -> None:
    context = world.engine.info.context
    prompt = replace(world.prompt(), ids=(world.prompt().ids * context)[: context - 5])
    if context > 1000:
        pytest.skip("a prompt this long is slow to read, and the tiny model takes the same path")
    root = world.kept(world.engine.open(prompt, world.endless()).result())
    node = world.blocks(root, 16)
    assert (node.position, node.finish) == (5, "length")


def test_a_stop_string_is_found_across_tokens_blocks_and_appends(world: World) -> None:
    stop = "€ stop\n"
    root = world.root(world.endless(stop=("never said", stop)))
    (whole,) = world.engine.append([(root, f"I like the sea.{stop}")]).result()
    assert (whole.finish, whole.text[: whole.visible], whole.text) == (
        "stop",
        "I like the sea.",
        f"I like the sea.{stop}",
    )
    node = root
    for token in whole.ids:
        assert node.finish is None
        (node,) = world.engine.append([(node, (token,))]).result()
    assert (node.finish, node.visible, node.text) == ("stop", whole.visible, whole.text)


def test_the_earliest_stop_string_wins(world: World) -> None:
    root = world.root(world.endless(stop=("sea", "the sea", "e")))
    (node,) = world.engine.append([(root, "I like the sea.")]).result()
    assert node.text[: node.visible] == "I lik"


@pytest.mark.slow
def test_a_drawn_stop_string_ends_the_answer_at_the_token_that_completes_it(world: World) -> None:
    text = world.blocks(world.root(), 48).text
    stop = next(text[i : i + 3] for i in range(6, len(text) - 3) if "\ufffd" not in text[i : i + 3])
    root = world.root(world.endless(stop=(stop,)))
    whole = world.blocks(root, 48)
    assert (whole.finish, whole.visible) == ("stop", text.index(stop))
    assert stop in whole.text
    assert stop not in whole.text[: whole.characters_at(whole.position - 1)]
    node = root
    while node.finish is None:
        node = world.blocks(node, 1)
    assert (node.answer_ids(), node.text, node.visible) == (whole.ids, whole.text, whole.visible)


def test_what_ended_cannot_be_continued(world: World) -> None:
    root = world.root(world.endless(max_tokens=2))
    ended = world.blocks(root, 4)
    for work in (
        world.engine.extend([Draw(ended)], 1),
        world.engine.expand(ended, 1),
        world.engine.append([(ended, "more")]),
        world.engine.logprobs(ended, (0,)),
    ):
        with pytest.raises(EngineError, match="its answer ended with 'length'"):
            work.result()


# -------------------------------------------------------------------------------------------------- forced and moved


def test_forced_tokens_lead_where_drawn_ones_do(world: World) -> None:
    root = world.root(layers=world.layers)
    drawn = world.blocks(root, 6)
    (forced,) = world.engine.append([(root, drawn.ids)]).result()
    assert (forced.ids, forced.text, forced.offsets) == (drawn.ids, drawn.text, drawn.offsets)
    assert forced.logprobs == pytest.approx(drawn.logprobs, abs=world.tolerance)
    assert _rows(forced, world) == pytest.approx(_rows(drawn, world), abs=20 * world.tolerance)
    assert world.blocks(forced, 6).ids == world.blocks(drawn, 6).ids


def test_a_node_moves_with_its_ending(world: World) -> None:
    root, other = world.root(), world.root(world.endless(max_tokens=3))
    ended = world.blocks(other, 8)
    world.engine.close(other)
    (moved,) = world.engine.append([(root, ended)]).result()
    assert (moved.ids, moved.text, moved.finish) == (ended.ids, ended.text, "length")


def test_limits_hold_for_forced_tokens(world: World) -> None:
    root = world.root(world.endless(max_tokens=3))
    (node,) = world.engine.append([(root, "I like the sea, and the sea likes me.")]).result()
    assert (node.position, node.finish) == (3, "length")
    assert len(node.logprobs) == len(node.offsets) == 3


def test_an_empty_block_may_be_appended(world: World) -> None:
    root = world.root()
    (node,) = world.engine.append([(root, "")]).result()
    assert (node.ids, node.text, node.finish) == ((), "", None)
    assert world.blocks(node, 4).ids == world.blocks(root, 4).ids


def test_a_node_brings_all_that_its_answer_has_beyond_a_position(world: World) -> None:
    root = world.root()
    first = world.blocks(root, 3)
    last = world.blocks(first, 4)
    moved, rest, nothing = world.engine.append([(root, last), (first, last), (last, last)]).result()
    assert moved.ids == last.answer_ids()
    assert (rest.ids, rest.answer_ids()) == (last.ids, last.answer_ids())
    assert (nothing.ids, nothing.position) == ((), last.position)


def test_many_items_are_answered_in_order(world: World) -> None:
    root = world.root()
    one, two = world.engine.extend([Draw(root, 2)], 5).result()
    items = [(root, one), (one, " the"), (root, two), (two, one.ids), (root, "")]
    nodes = world.engine.append(items).result()
    assert [node.parent for node in nodes] == [node for node, _ in items]
    assert [node.text for node in nodes[:1]] == [one.text]
    assert nodes[3].answer_ids() == two.ids + one.ids


def test_a_text_is_spelled_in_the_tokens_that_are_appended_and_nothing_is_read(world: World) -> None:
    if not isinstance(world.engine, TextSpeller):
        pytest.skip("it reads what it spells, or reads at no cost")
    root = world.root(Sampling(max_tokens=40))
    for text in ("", "He llo there.", ODD_TEXT, "<|im_end|>", ODD_TEXT * 40):
        (read,) = world.engine.append([(root, text)]).result()
        held = world.engine.live_nodes()
        node = world.engine.spelled(world.prompt(), text, 40).result()
        told = [(one.ids, one.text, one.offsets, one.visible, one.finish, one.thought) for one in (node, read)]
        assert told[0] == told[1]
        assert (node.logprobs, node.hidden) == ((), {})
        assert (world.engine.live_nodes(), world.engine.forwards(node.path()[0])) == (held, 0)


def test_a_text_is_not_spelled_behind_a_prompt_that_leaves_no_room(world: World) -> None:
    if not isinstance(world.engine, TextSpeller):
        pytest.skip("it reads what it spells, or reads at no cost")
    prompt = Prompt(HELLO, world.prompt().ids[:1] * world.engine.info.context)
    with pytest.raises(RequestError, match="the model reads"):
        world.engine.spelled(prompt, "So.", 40).result()


def test_markers_in_appended_text_are_only_text(world: World) -> None:
    root = world.root()
    (node,) = world.engine.append([(root, "<|im_end|><|shut|>")]).result()
    assert (node.text, node.finish) == ("<|im_end|><|shut|>", None)


# -------------------------------------------------------------------------------------------------------------- twins


def test_a_twin_knows_the_same_answer(world: World) -> None:
    root = world.root(layers=world.layers)
    node = world.blocks(world.engine.append([(root, "a €")]).result()[0], 5)
    asked = world.engine.encode((Message("system", "Be kind."), *HELLO[1:]))
    twin = world.engine.open(asked, world.endless(), world.layers, twin_of=node).result()
    assert (twin.parent, twin.root) == (None, twin.id)
    assert (twin.position, twin.text, twin.visible, twin.finish) == (node.position, node.text, node.visible, None)
    assert twin.answer_ids() == twin.ids == node.answer_ids()
    positions = range(node.position + 1)
    assert [twin.characters_at(i) for i in positions] == [node.characters_at(i) for i in positions]
    assert len(twin.logprobs) == len(twin.ids)
    assert [len(twin.hidden[layer]) for layer in world.layers] == [len(twin.ids)] * len(world.layers)


def test_a_twin_with_the_same_prompt_goes_on_alike(world: World) -> None:
    root = world.root()
    node = world.blocks(root, 7)
    twin = world.engine.open(world.prompt(), world.endless(), (), twin_of=node).result()
    assert twin.logprobs == pytest.approx(node.logprobs, abs=world.tolerance)
    assert world.blocks(twin, 6).ids == world.blocks(node, 6).ids


def test_a_twin_of_an_unfinished_character_completes_it(world: World) -> None:
    root = world.root()
    (rare,) = world.engine.append([(root, RARE)]).result()
    (part,) = world.engine.append([(root, rare.ids[:-1])]).result()
    twin = world.engine.open(world.prompt(), world.endless(), (), twin_of=part).result()
    (rest,) = world.engine.append([(twin, rare.ids[-1:])]).result()
    assert (part.text, twin.text, rest.text) == ("", "", RARE)


def test_a_twin_of_the_root_may_be_given_an_answer_of_its_own(world: World) -> None:
    root = world.root()
    node = world.blocks(root, 6)
    twin = world.engine.open(world.prompt(), world.endless(), (), twin_of=root).result()
    (same,) = world.engine.append([(twin, node.ids)]).result()
    (other,) = world.engine.append([(twin, "I like the sea.")]).result()
    assert (same.text, other.text) == (node.text, "I like the sea.")
    assert same.logprobs == pytest.approx(node.logprobs, abs=world.tolerance)
    assert world.blocks(other, 2).root == twin.id != root.id


def test_a_twin_ends_with_its_request(world: World) -> None:
    root = world.root()
    twin = world.engine.open(world.prompt(), world.endless(), (), twin_of=root).result()
    child = world.blocks(twin, 2)
    assert world.engine.forwards(root) == world.engine.forwards(twin) > 0
    world.engine.close(root)
    for node in (twin, child):
        with pytest.raises(EngineClosed, match=f"node {node.id} was closed"):
            world.engine.extend([Draw(node)], 1).result()
    with pytest.raises(EngineClosed, match="was closed"):
        world.engine.open(world.prompt(), world.endless(), (), twin_of=child).result()
    assert world.engine.live_nodes() == 0


# ------------------------------------------------------------------------------------------- hidden states and close


def test_hidden_states_have_a_row_for_each_token(world: World) -> None:
    root = world.root(world.endless(max_tokens=7), world.layers)
    for node in world.engine.extend([Draw(root, 3)], 5).result():
        assert tuple(node.hidden) == world.layers
        assert all(len(states) == 5 for states in node.hidden.values())
    last = world.blocks(root, 5, 5)
    assert (last.finish, *map(len, last.hidden.values())) == ("length", *(2 for _ in world.layers))
    assert world.blocks(world.root(), 3).hidden == {}


def test_close_is_idempotent_and_children_outlive_it(world: World) -> None:
    root = world.root()
    node = world.blocks(root, 3)
    child = world.blocks(node, 3)
    world.engine.close(node)
    world.engine.close(node)
    with pytest.raises(EngineClosed, match=f"node {node.id} was closed"):
        world.engine.extend([Draw(node)], 1).result()
    assert world.blocks(child, 3).position == 9
    world.engine.close(root)
    world.engine.close(root)
    world.engine.close(child)


def test_nothing_is_held_once_every_request_is_closed(world: World) -> None:
    roots = [world.root() for _ in range(3)]
    for root in roots:
        world.engine.extend([Draw(root, 3)], 2).result()
    assert world.engine.live_nodes() >= 12
    assert all(world.engine.forwards(root) > 0 for root in roots)
    for root in roots:
        world.engine.close(root)
    assert world.engine.live_nodes() == 0
    assert [world.engine.forwards(root) for root in roots] == [0, 0, 0]


def test_ended_nodes_hold_nothing(world: World) -> None:
    root = world.root(world.endless(max_tokens=2))
    before = world.engine.live_nodes()
    world.engine.extend([Draw(root, 4)], 2).result()
    assert world.engine.live_nodes() == before


def _rows(node: Node, world: World) -> list[float]:
    return [float(value) for layer in world.layers for row in node.hidden[layer] for value in row]


# ------------------------------------------------------------------------------------------------------------- forms


PAIR = """start: %json {"type": "object", "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99},
    "b": {"enum": ["x", "y"]}}, "required": ["a", "b"], "additionalProperties": false,
    "x-guidance": {"whitespace_flexible": false, "item_separator": ", ", "key_separator": ": "}}"""


def test_answers_have_the_form_of_their_grammar(world: World) -> None:
    root = world.root(Sampling(seed=3, temperature=1.0, top_p=1.0, grammar=PAIR))
    for node in world.engine.extend([Draw(root, 6)], 60).result():
        assert node.finish == "stop"
        value = json.loads(node.text)
        assert list(value) == ["a", "b"]
        assert value["a"] in range(100)
        assert value["b"] in ("x", "y")


def test_a_form_holds_across_blocks_and_in_a_twin(world: World) -> None:
    sampling = Sampling(seed=3, temperature=1.0, top_p=1.0, grammar=PAIR)
    root = world.root(sampling)
    whole = world.blocks(root, 60)
    cut = root
    while cut.finish is None:
        cut = world.blocks(cut, 2)
    assert cut.answer_ids() == whole.answer_ids()
    part = world.blocks(root, 3)
    twin = world.engine.open(world.prompt(), sampling, twin_of=part).result()
    assert twin.text == part.text
    assert world.blocks(twin, 60).text == whole.text


def test_tokens_that_no_form_begins_with_cannot_be_forced(world: World) -> None:
    root = world.root(Sampling(grammar=PAIR))
    with pytest.raises(EngineError, match="left the form"):
        world.engine.append([(root, "I like the sea.")]).result()
    (node,) = world.engine.append([(root, '{"a": 4')]).result()
    assert json.loads(world.blocks(node, 60).text)["a"] in (4, *range(40, 50))


def test_expansion_stays_within_the_form(world: World) -> None:
    root = world.root(Sampling(grammar=PAIR))
    children = world.engine.expand(root, 5).result()
    assert [child.ids for child in children] == [(token,) for token, _ in world.engine.top_logprobs(root, 5).result()]
    assert children
    for child in children:
        assert child.text
        assert '{"a": '.startswith(child.text[:6])


@pytest.mark.parametrize("grammar", ["start: nothing", "x" * 500_001, 'start: %json {"type": "nonsense"}'])
def test_a_grammar_that_is_none_is_refused(world: World, grammar: str) -> None:
    with pytest.raises(RequestError, match="cannot be enforced"):
        world.engine.open(world.prompt(), Sampling(grammar=grammar)).result()
