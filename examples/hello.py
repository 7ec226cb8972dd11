"""A chain with a guarded local model: prompt, model, text. Runs offline on the embedded model.

python examples/hello.py
"""

from __future__ import annotations

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from ig_guardrail import ChatIGGuardrail


def main() -> None:
    model = ChatIGGuardrail(model="embedded", policy="default", max_tokens=64, seed=1)
    prompt = ChatPromptTemplate.from_messages([("system", "You answer in two sentences."), ("human", "{question}")])

    chain = prompt | model | StrOutputParser()
    print(chain.invoke({"question": "Why is the sky blue?"}))

    # The message itself carries the receipt: the outcome, and what each budget spent.
    message = model.invoke("Write one friendly sentence about rain.")
    receipt = message.response_metadata["ig_guardrail"]
    print(f"\n{message.text}\n")
    print(f"outcome: {receipt['verdict']['outcome']}, finish reason: {message.response_metadata['finish_reason']}")
    for budget, entry in receipt["spend"].items():
        print(f"budget {budget}: {entry['spent']:.3f} of {entry['of']} spent")

    # Another strategy, with a judge to rank by: of several answers within budget, the one most relevant to the prompt.
    ranked = ChatIGGuardrail(policy="default", strategy="best_of_n", reward="relevance", max_tokens=16, seed=1)
    print(f"\n{ranked.invoke('How do I make tomato soup?').text}")


if __name__ == "__main__":
    main()
