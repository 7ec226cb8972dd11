"""vLLM's worker, with our rows in it: its model runner's sampler is given ours to draw what we have ordered.

This leans on the inside of one version of vLLM (`opening.VERSION`), which is why no other is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import zmq
from torch import Tensor
from vllm.distributed import get_tensor_model_parallel_rank
from vllm.platforms import current_platform
from vllm.v1.outputs import SamplerOutput

from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.vllm.model_files import ModelText, read_text
from ig_guardrail.engine.vllm.orders import PLACE, BlockOutcome
from ig_guardrail.engine.vllm.rows import Desk, Span

if current_platform.is_cpu():
    from vllm.v1.worker.cpu_worker import CPUWorker as Worker
else:
    from vllm.v1.worker.gpu_worker import Worker


class GuardedWorker(Worker):  # type: ignore[misc]
    """A worker whose model gives the states of the layers that were asked for when it was opened, or since."""

    def load_model(self, *args: Any, **kwargs: Any) -> Any:
        """Load it, and put the tap where tokens are drawn."""
        loaded = super().load_model(*args, **kwargs)
        ours = self.vllm_config.additional_config[PLACE]
        self._tap = Tap(self.model_runner, read_text(Path(ours["folder"]), ours["size"]), ours["ear"])
        self._tap.watch(ours["layers"])
        return loaded

    def ig_watch(self, layers: Sequence[int]) -> list[int]:
        """Give the states of these layers; those that are given."""
        return self._tap.watch(layers)

    def ig_prepare(self, grammar: str) -> bool:
        """Begin to compile a grammar; whether that was done."""
        return self._tap.prepare(grammar)


class Tap:
    """Stands between a model runner's forward pass and its sampler."""

    def __init__(self, runner: Any, text: ModelText, ear: str) -> None:
        self._runner = runner
        self._layers: tuple[int, ...] = ()
        self._state: Any = None
        self._speaks = get_tensor_model_parallel_rank() == 0  # all ranks draw the same
        self._mouth = zmq.Context.instance().socket(zmq.PUSH)
        self._mouth.connect(ear)
        self._desk = Desk(text.language, Grammars(text.language, text.chat.text_ids), self._tell)
        self._sampler, runner.sampler = runner.sampler, self
        self._sample_tokens, runner.sample_tokens = runner.sample_tokens, self.sample_tokens

    def prepare(self, grammar: str) -> bool:
        """Begin to compile a grammar; whether that was done."""
        return self._desk.prepare(grammar)

    def watch(self, layers: Sequence[int]) -> list[int]:
        """Have the model give the states behind these layers, numbered from 1, and no others."""
        wanted = tuple(sorted(set(layers)))
        if wanted != self._layers:
            self._runner.get_model().set_aux_hidden_state_layers(wanted)
            self._runner.use_aux_hidden_state_outputs = bool(wanted)
            self._layers = wanted
        return list(self._layers)

    def sample_tokens(self, grammar_output: Any) -> Any:
        """Keep what the pass has given, for as long as its tokens are drawn."""
        self._state = self._runner.execute_model_state
        try:
            return self._sample_tokens(grammar_output)
        finally:
            self._state = None

    def __call__(self, logits: Tensor, sampling_metadata: Any) -> Any:
        """The sampler: our requests are drawn by the desk, others by vLLM."""
        state, batch = self._state, self._runner.input_batch
        names = [] if state is None else batch.req_ids[: batch.num_reqs]
        asked = {name: order for name in names if (order := self._order(name)) is not None}
        if not asked:
            return self._sampler(logits=logits, sampling_metadata=sampling_metadata)
        with torch.inference_mode():
            spans = self._spans(names, state)
            tokens = self._desk.step(asked, spans, logits, self._runner.get_model().compute_logits)
        if len(asked) == len(names):
            drawn = torch.tensor([[tokens[name]] for name in names], dtype=torch.int32, device=logits.device)
            return SamplerOutput(sampled_token_ids=drawn, logprobs_tensors=None)
        output = self._sampler(logits=logits, sampling_metadata=sampling_metadata)
        for place, name in enumerate(names):
            if name in tokens:
                output.sampled_token_ids[place, 0] = tokens[name]
        return output

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)

    def _order(self, name: str) -> Any:
        request = self._runner.requests[name]
        args = request.sampling_params.extra_args if request.sampling_params is not None else None
        if not args or PLACE not in args:
            return None
        return args[PLACE], lambda: [*request.prompt_token_ids, *request.output_token_ids]

    def _spans(self, names: Sequence[str], state: Any) -> dict[str, Span]:
        """What the pass has read of each request."""
        spans, begin = {}, 0
        batch, partial = self._runner.input_batch, self._runner.discard_request_mask.np
        given = dict(zip(self._layers, state.aux_hidden_states or (), strict=True))
        for place, name in enumerate(names):
            end = begin + state.scheduler_output.num_scheduled_tokens[name]
            hidden = {layer: states[begin:end] for layer, states in given.items()}
            first = int(batch.num_computed_tokens_cpu[place])
            spans[name] = Span(place, first, state.hidden_states[begin:end], hidden, not partial[place])
            begin = end
        return spans

    def _tell(self, told: BlockOutcome) -> None:
        if self._speaks:
            self._mouth.send_multipart(told.frames())
