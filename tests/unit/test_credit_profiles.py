"""The profiles' files: what is shipped is whole, what makes no sense is refused (spec 50.2)."""

from copy import deepcopy
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from config.credit_profiles import ProfileName, load_profile, parse_profile
from config.policies import parse_policies
from dataflows.detectors.policies import CreditsPolicy
from tests.dataflows.product import LATENESS


def _shipped() -> dict[str, Any]:
    document = yaml.safe_load(files("config").joinpath("credits", "default.yaml").read_text("utf-8"))
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("name", list(ProfileName))
def test_shipped_profiles_can_be_read_and_have_their_names(name: ProfileName) -> None:
    assert load_profile(name).name == name


def _without_a_rule(document: dict[str, Any]) -> None:
    del document["flags"]["retry_loop"]


def _with_a_typing_error(document: dict[str, Any]) -> None:
    document["multiplier"] = {}


def _in_the_wrong_order(document: dict[str, Any]) -> None:
    document["multipliers"]["SEV3"] = 7


def _without_a_severity(document: dict[str, Any]) -> None:
    del document["multipliers"]["SEV2"]


def _with_an_unknown_action(document: dict[str, Any]) -> None:
    document["actions"]["SEV4"] = ["tell_everybody"]


def _without_an_action(document: dict[str, Any]) -> None:
    del document["actions"]["SEV4"]


def _without_a_limit(document: dict[str, Any]) -> None:
    document["multipliers"]["SEV0"] = float("inf")


def _that_raises_what_is_legitimate(document: dict[str, Any]) -> None:
    document["legitimate_load"] = 3


def _that_calls_everything_likely(document: dict[str, Any]) -> None:
    document["likelihoods"]["High"] = 2


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(_without_a_rule, id="a flag without its rule"),
        pytest.param(_with_a_typing_error, id="a setting that there is not"),
        pytest.param(_in_the_wrong_order, id="a less bad severity that takes more"),
        pytest.param(_without_a_severity, id="a severity without its multiplier"),
        pytest.param(_with_an_unknown_action, id="an action that there is not"),
        pytest.param(_without_an_action, id="a severity without actions"),
        pytest.param(_without_a_limit, id="a multiplier that nothing reaches"),
        pytest.param(_that_raises_what_is_legitimate, id="a positive score for legitimate load"),
        pytest.param(_that_calls_everything_likely, id="High that takes less than Medium"),
    ],
)
def test_a_profile_that_makes_no_sense_is_refused(spoil: Any) -> None:
    document = deepcopy(_shipped())
    parse_profile(document)
    spoil(document)
    with pytest.raises(ValidationError):
        parse_profile(document)


def test_policies_choose_a_profile_and_a_cap_layer_by_layer() -> None:
    policies = parse_policies(
        {
            "defaults": {"credits": {"absolute_cap": 1000.5}},
            "tenants": {"t_acme": {"credits": {"profile": "sintraprime"}}},
            "workflows": {"t_acme/wf1": {"credits": {"absolute_cap": None}}},
        },
        allowed_lateness=LATENESS,
    )
    assert policies.of("t_else", "wf1").credits == CreditsPolicy(absolute_cap=Decimal("1000.5"))
    assert policies.of("t_acme", "wf2").credits == CreditsPolicy(profile="sintraprime", absolute_cap=Decimal("1000.5"))
    assert policies.of("t_acme", "wf1").credits == CreditsPolicy(profile="sintraprime")
