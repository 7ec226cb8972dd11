"""Which section stands in which document, by the name of its markers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from sections.cards import calibrated, judge, shared
from sections.comparison import CHOSEN_BY, against_rollback, compared
from sections.domains import harmless, stopped
from sections.encoders import asked, brief, lessons, tongues, tried_in_tongues
from sections.house import house, layers
from sections.ledgers import charges
from sections.products import answers, edits, in_short
from sections.quality import bounded, quality
from sections.results import ROOT, Section
from sections.second_model import abroad, second, second_in_short, second_over
from sections.serving import metrics, planned, server, sizing
from sections.speed import bench, llama, on_vllm, processors, profile, prompts, starts, steps, weights
from sections.walks import budget, first_hour

Sections: TypeAlias = Mapping[str, Section]

DOCUMENTS: Mapping[Path, Sections] = {
    ROOT / "docs" / "benchmarks.md": {"bounds": bounded, "quality": quality, "bench": bench},
    ROOT / "docs" / "choosing.md": {
        "domains": stopped("domains"),
        "tuning": compared("tuning", CHOSEN_BY),
        "words": compared("words", CHOSEN_BY),
    },
    ROOT / "docs" / "cost-models.md": {
        "brief": brief,
        "calibrated": calibrated,
        "judge": judge,
        "kinds": stopped("kinds"),
        "shared": shared,
        "tongues": tongues,
    },
    ROOT / "docs" / "decisions" / "encoder.md": {"asked": asked, "lessons": lessons, "tongues": tried_in_tongues},
    ROOT / "docs" / "ledgers.md": {"charges": charges},
    ROOT / "docs" / "metrics.md": {"metrics": metrics, "server": server},
    ROOT / "docs" / "products.md": {"answers": answers, "edits": edits},
    ROOT / "docs" / "performance.md": {
        "processors": processors,
        "profile": profile,
        "prompts": prompts,
        "starts": starts,
        "steps": steps,
        "weights": weights,
    },
    ROOT / "docs" / "scale.md": {"machine": sizing("machine"), "check": sizing("check"), "plan": planned},
    ROOT / "docs" / "llama-cpp.md": {"llama": llama},
    ROOT / "docs" / "results.md": {
        "equal": compared("equal"),
        "rollback": against_rollback,
        "second": second,
        "second-over": second_over,
    },
    ROOT / "docs" / "vllm.md": {"vllm": on_vllm},
    ROOT / "docs" / "budgets.md": {"budget": budget},
    ROOT / "docs" / "first-hour.md": {"first-hour": first_hour},
    ROOT / "docs" / "architecture.md": {"house": house, "layers": layers},
    ROOT / "README.md": {"second": second_in_short, "abroad": abroad, "harmless": harmless, "products": in_short},
}
