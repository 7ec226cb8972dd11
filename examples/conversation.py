"""LangGraph with a checkpointer: each thread is a conversation, and its answers share a budget kept in a file.

pip install 'ig-guardrail[agents]'
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from ig_guardrail import ChatIGGuardrail

POLICY = """
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: patience, version: 1.0.0}
cost_models: {tone: {kind: latent, head: toxic-tone, hazards: [hte]}}
budgets: [{id: tone, hazards: [hte], cost: tone, threshold: 0.2, budget: 0.3, scope: conversation, decay: 0.9}]
messages: {refusal: {en: "Let us talk about something else."}, closing: {en: "I'll stop here."}}
"""

with TemporaryDirectory() as temporary:
    policy = Path(temporary) / "policy.yaml"
    policy.write_text(POLICY)
    model = ChatIGGuardrail(policy=policy, ledger=Path(temporary) / "ledger.db", max_tokens=32, seed=1)
    graph = StateGraph(MessagesState)
    graph.add_node("answer", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "answer")
    app = graph.compile(checkpointer=InMemorySaver())
    for text in ("Insult my broken printer.", "More!", "And now the worst you have."):
        state = app.invoke({"messages": [("user", text)]}, {"configurable": {"thread_id": "printer"}})
        answer = state["messages"][-1]
        spend = answer.response_metadata["ig_guardrail"]["spend"]["tone"]
        print(f"{answer.text!r}\n  spent {spend['spent']:.2f} of {spend['of']:.2f}")
