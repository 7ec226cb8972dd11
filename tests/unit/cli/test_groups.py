"""Groups of options: each field is an option of its own, and the command gets one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from ig_guardrail.cli.groups import ModelOptions, grouped
from ig_guardrail.errors import RequestError


@dataclass(frozen=True, slots=True)
class Tea:
    sort: Annotated[str, typer.Option("--sort", help="Of leaves.")] = "green"
    minutes: Annotated[int, typer.Option("--minutes", min=1)] = 3


@grouped
def brew(
    *,
    cups: Annotated[int, typer.Option("--cups")] = 1,
    tea: Tea,
    milk: Annotated[bool, typer.Option("--milk")] = False,
) -> None:
    """Brew tea."""
    print(f"{cups} {tea} {milk}")


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(brew)
    return made


def test_a_group_is_filled_by_its_options_and_their_defaults(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, []).output == "1 Tea(sort='green', minutes=3) False\n"
    given = CliRunner().invoke(app, ["--minutes", "5", "--cups", "2", "--milk", "--sort", "black"])
    assert given.output == "2 Tea(sort='black', minutes=5) True\n"


def test_bounds_and_help_of_fields_hold(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, ["--minutes", "0"]).exit_code == 2
    told = CliRunner().invoke(app, ["--help"]).output
    assert told.index("--cups") < told.index("--sort") < told.index("--minutes") < told.index("--milk")
    assert "Of leaves." in told
    assert "Brew tea." in told


def test_the_options_of_a_model_make_a_guardrail_spec() -> None:
    spec = ModelOptions("m", weights="int4", engine_option=["threads=2"]).spec("strict", reload=True)
    assert (spec.model, spec.policy, spec.weights, spec.reload) == ("m", "strict", "int4", True)
    assert spec.engine_options == {"threads": "2"}
    with pytest.raises(RequestError, match="no option of an engine"):
        ModelOptions(engine_option=["threads"]).spec()
