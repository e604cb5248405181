"""Alert rules and dashboard: every rule is shown firing and silent, and only metrics that exist are named."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from config import metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
RULE_TESTS = DEPLOY / "prometheus" / "rules_test.yml"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))


def series_names() -> set[str]:
    """Names of all series that `config.metrics` can give rise to."""
    suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
    collectors = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    families = [family for collector in collectors for family in collector.describe()]
    exposed = {family.name + suffix for family in families for suffix in suffixes[family.type]}
    # Gauges that are read from the database at the scrape are in the list as a name and a sentence.
    return exposed | {value.name for value in vars(metrics).values() if isinstance(getattr(value, "name", None), str)}


def alert_rules() -> list[dict[str, str]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[tuple[str, dict[str, object], dict[str, str]]]:
    """Each query of each panel: the panel's title, its data source, the query."""
    return [
        (panel["title"], target["datasource"], target)
        for path in DASHBOARDS
        for panel in json.loads(path.read_text())["panels"]
        for target in panel["targets"]
    ]


def unknown_series(expression: str) -> set[str]:
    return set(re.findall(r"\bbreakwater_\w+", expression)) - series_names()


def test_promtool_accepts_the_rules_and_their_tests_pass() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (it comes with Prometheus)")
    for command in (["check", "config", "prometheus.yml"], ["test", "rules", "rules_test.yml"]):
        done = subprocess.run([promtool, *command], cwd=RULES.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_fires_in_one_test_and_stays_silent_in_another() -> None:
    shown: dict[str, set[tuple[str, bool]]] = {}
    for test in yaml.safe_load(RULE_TESTS.read_text())["tests"]:
        for case in test["alert_rule_test"]:
            shown.setdefault(case["alertname"], set()).add((test["name"], bool(case["exp_alerts"])))
    assert set(shown) == {rule["alert"] for rule in alert_rules()}
    for alert, cases in shown.items():
        fires_in = {name for name, fires in cases if fires}
        silent_in = {name for name, fires in cases if not fires}
        assert fires_in, f"{alert} fires in no test"
        assert silent_in, f"{alert} is silent in no test"


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule["alert"]) for rule in alert_rules()])
def test_a_rule_names_metrics_that_exist(rule: dict[str, str]) -> None:
    assert unknown_series(rule["expr"]) == set()


@pytest.mark.parametrize(
    ("datasource", "target"),
    [pytest.param(source, target, id=f"{title} {target['refId']}") for title, source, target in panels()],
)
def test_a_panel_names_metrics_that_exist_and_the_data_source_that_is_there(
    datasource: dict[str, object], target: dict[str, str]
) -> None:
    provisioned = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())
    assert unknown_series(target["expr"]) == set()
    assert datasource["uid"] in {source["uid"] for source in provisioned["datasources"]}


def test_what_is_exposed_has_the_names_that_are_checked_here() -> None:
    # Guards the rule by which series_names makes names out of types.
    exposed = {sample.name for family in REGISTRY.collect() for sample in family.samples}
    ours = {name for name in exposed if name.startswith("breakwater_") and not name.endswith("_created")}
    assert ours <= series_names()
    assert "breakwater_policy_misconfigured_total" in ours
