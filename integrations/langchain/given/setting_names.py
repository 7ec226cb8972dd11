"""What other chat models call their settings: names that serve here too, and for the rest, what serves instead.

A name that nothing here would heed is refused, since dropped silently it would leave its writer with another model, or
with an answer to another question. They are of `ChatOpenAI`, `ChatHuggingFace`, `ChatOllama`, `ChatLlamaCpp` and vLLM.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from ig_guardrail.errors import RequestError
from ig_guardrail.settings import device_named, dtype_named, weights_named

ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("max_completion_tokens", "max_new_tokens", "num_predict"), "max_tokens"),
    **dict.fromkeys(("model_name", "model_id", "model_path", "repo_id"), "model"),
    **dict.fromkeys(("num_ctx", "n_ctx", "max_model_len"), "context"),
    "torch_dtype": "dtype",
    "request_timeout": "timeout",
    "stop_sequences": "stop",
    "repeat_penalty": "repetition_penalty",
}

_ADVICE: Sequence[tuple[str, str]] = (  # names, and what to do instead of them
    (
        "base_url openai_api_base api_base endpoint_url inference_server_url",
        "for a model on a server, engine='openai_compatible' and engine_options={'base_url': ...}; "
        "for a chat model that you have, GuardedChatModel(inner=...)",
    ),
    (
        "llm pipeline client async_client inner model_provider provider backend task",
        "`model` is a hub name, a folder or a .gguf file; a chat model that you have goes into "
        "GuardedChatModel(inner=...)",
    ),
    (
        "openai_api_key huggingfacehub_api_token hf_token token use_auth_token",
        "leave it out: the model runs here; for a hub model that asks for a key, set HF_TOKEN in the environment",
    ),
    (
        "organization openai_organization openai_proxy default_headers default_query http_client "
        "http_async_client client_kwargs service_tier store use_responses_api",
        "leave it out: no request leaves this process",
    ),
    (
        "model_kwargs extra_body pipeline_kwargs generation_config generation_kwargs sampling_params options",
        "give what is in it one by one, as settings of their own",
    ),
    (
        "chat_template_kwargs enable_thinking thinking think thinking_budget include_thoughts",
        "reasoning='off' or 'show', `reasoning_effort` and `max_reasoning_tokens` are told to the "
        "model's chat template",
    ),
    (
        "chat_template tokenizer tokenizer_name custom_chat_template",
        "it is read from the model's folder: put it there",
    ),
    (
        "device_map max_memory offload_folder n_gpu_layers num_gpu main_gpu tensor_split",
        "the whole model is on one `device`, such as 'cuda' or 'cuda:1'; engine='vllm' spreads it over several",
    ),
    (
        "load_in_4bit load_in_8bit quantization_config",
        "weights='int4' on a CPU, a .gguf file as `model`, or engine='vllm' and engine_options={'quantization': ...}",
    ),
    (
        "tensor_parallel_size data_parallel_size gpu_memory_utilization enforce_eager max_num_seqs "
        "quantization kv_cache_dtype swap_space vllm_kwargs",
        "it is an option of one engine: engine='vllm' and engine_options={...}",
    ),
    (
        "n_threads num_thread n_threads_batch",
        "set OMP_NUM_THREADS in the environment; for a .gguf file also engine='llama.cpp' and "
        "engine_options={'threads': ...}",
    ),
    (
        "n_batch n_ubatch use_mmap use_mlock f16_kv numa num_batch keep_alive attn_implementation "
        "flash_attn low_cpu_mem_usage",
        "leave it out: how the model is computed is not set here",
    ),
    (
        "trust_remote_code",
        "leave it out: code that comes with a model is never run",
    ),
    (
        "cache_dir cache_folder download_dir",
        "set HF_HUB_CACHE in the environment for hub models, and IG_GUARDRAIL_CACHE for .gguf files that are unpacked",
    ),
    (
        "local_files_only",
        "set HF_HUB_OFFLINE=1 in the environment",
    ),
    (
        "do_sample",
        "temperature=0 always takes the likeliest token",
    ),
    (
        "num_beams use_beam_search best_of length_penalty early_stopping",
        "`strategy` says how an answer is searched for; `n` asks for several",
    ),
    (
        "typical_p tfs_z top_a epsilon_cutoff eta_cutoff mirostat mirostat_eta mirostat_tau",
        "`top_p`, `top_k` and `min_p` leave unlikely tokens out",
    ),
    (
        "no_repeat_ngram_size repeat_last_n encoder_repetition_penalty",
        "`repetition_penalty` acts on prompt and answer, `frequency_penalty` and `presence_penalty` on the answer",
    ),
    (
        "min_tokens min_new_tokens min_length ignore_eos",
        "leave it out: an answer ends where the model ends it",
    ),
    (
        "max_length",
        "`max_tokens` is for the answer, `context` for prompt and answer together",
    ),
    (
        "bad_words_ids suppress_tokens sequence_bias",
        "logit_bias={id: -100} bans a token",
    ),
    (
        "stop_token_ids eos_token_id pad_token_id",
        "`stop` takes texts; tokens that end every answer belong into the model's generation_config.json",
    ),
    (
        "format json_schema guided_json structured_outputs grammar",
        "with_structured_output(...)",
    ),
    (
        "lora lora_path lora_request adapter adapter_name_or_path peft_config",
        "merge the adapter into its model, and name the folder of that",
    ),
    (
        "system system_prompt system_message prefix_messages",
        "begin the messages with a SystemMessage",
    ),
    (
        "user user_id",
        "`tenant` and `conversation` name whose budgets are spent",
    ),
    (
        "stream stream_usage stream_options",
        "leave it out: `stream` and `streaming` do so, and usage is always told",
    ),
    (
        "guardrails guards rails policies",
        "`policy` names the file or the packaged policy",
    ),
)
INSTEAD: Mapping[str, str] = {name: advice for names, advice in _ADVICE for name in names.split()}

OF_A_CALL = {
    **dict.fromkeys(("tools", "tool_choice", "parallel_tool_calls", "strict"), "bind_tools(...) takes it"),
    "response_format": "with_structured_output(...), or bind(response_format=...)",
}

OF_THE_MODEL = dict.fromkeys(
    (
        *(
            "policy",
            "reload",
            "canary",
            "revision",
            "context",
            "device",
            "dtype",
            "weights",
            "engine",
            "engine_options",
        ),
        *("streaming", "ledger", "cost_models", "reward", "critic", "record", "audit", "guardrail"),
    ),
    "say it where the model is made: ChatIGGuardrail(...)",
)

NUMBERS = (  # of settings; a truth would be read as 1 or 0
    *("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "frequency_penalty", "presence_penalty"),
    *("max_tokens", "max_reasoning_tokens", "context", "seed", "timeout", "n", "top_logprobs", "max_retries"),
)

_READ: Mapping[str, Callable[[Any], Any]] = {  # as their writers mean them
    "top_k": lambda given: 0 if given == -1 else given,
    "model": lambda given: str(given) if isinstance(given, PurePath) else given,
    "stop": lambda given: [given] if isinstance(given, str) else given,
    "dtype": dtype_named,
    "weights": weights_named,
    "device": device_named,
}


def as_named_here(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings under this package's names, and as their writers mean them: `top_k=-1` is off, a model may be a path.

    Raises RequestError where one setting is given twice, with two values, for a truth where a number stands, and for
    `reasoning` in another form than words.
    """
    named: dict[str, Any] = dict(given)
    for alias, name in ALIASES.items():
        if alias not in named:
            continue
        value = named.pop(alias)
        if value is None:
            continue
        if named.get(name) not in (None, value):
            raise RequestError(
                f"{name} is {named[name]!r}, and {alias} is {value!r}",
                where=alias,
                why="both name one setting",
                fix=f"give one of them, such as `{name}`",
            )
        named[name] = value
    for name in NUMBERS:
        if isinstance(named.get(name), bool):
            raise _no_number(name, named[name])
    if not isinstance(named.get("reasoning"), str | None):
        raise RequestError(
            f"reasoning is of type {type(named['reasoning']).__name__}",
            where="reasoning",
            why="it says what becomes of thoughts: 'auto', 'show', 'hide' or 'off'",
            fix="give a word, as 'show' for True and 'off' for False; how much to think is `reasoning_effort`",
        )
    for name, read in _READ.items():
        if name in named:
            named[name] = read(named[name])
    return named


def misgiven(error: ValidationError, who: str, instead: Callable[[str], str]) -> RequestError:
    """What pydantic says of settings, in our words, all in one message; it quotes no value, which may be a key.

    who: the class that was given them. instead: what to do in place of a setting that it does not have
    """
    faults = [("".join(map(str, one["loc"][:1])) or who, one["type"], one["msg"]) for one in error.errors()]
    unknown = {name: instead(name) for name, kind, _ in faults if kind == "extra_forbidden"}
    wrong = list(dict.fromkeys(f"{name}: {what}" for name, kind, what in faults if kind != "extra_forbidden"))
    absent = [f"`{name}`" for name, kind, _ in faults if kind == "missing"]
    if not unknown:
        fix = f"give {' and '.join(absent)}" if absent else "give a value of this kind, and in range"
        return RequestError("; ".join(wrong), where=faults[0][0], fix=fix)
    names = ", ".join(f"'{name:.80}'" for name in unknown)
    fixes = [*unknown.values()] if len(unknown) == 1 else [f"{name:.80}: {fix}" for name, fix in unknown.items()]
    return RequestError(
        "; ".join([f"{who} has no setting {names}", *wrong]),
        where=who,
        why="passed over, it would leave you with another model, or another answer, than you asked for",
        fix="; ".join(fixes),
    )


def serves_instead(name: str, known: Collection[str], instead: Mapping[str, str], else_told: str = "") -> str:
    """What to do in place of a name that is not known: as told, or by the name that is nearest. else_told: behind it"""
    if name in instead:
        return instead[name]
    names = [*known, *(alias for alias, meant in ALIASES.items() if meant in known)]
    near = [f"did you mean '{one}'?" for one in difflib.get_close_matches(name, names, n=1)]
    return " ".join([*near, else_told]).strip() or "leave it out"


def _no_number(name: str, value: object) -> RequestError:
    return RequestError(
        f"{name} is {value}",
        where=name,
        why="taken for a number, it would be 1 or 0, and hardly what is meant",
        fix="give a number, or leave it out",
    )
