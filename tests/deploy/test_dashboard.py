"""Dashboard and alerts ask for metrics that there are; a real Prometheus finds all of them."""

import asyncio
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from app.simulator import Simulator
from bench.churn import ChurnCaller, ChurnStats, one_second_of
from tests.deploy import prometheus as prom
from tests.deploy.yaml_subset import read_yaml
from tests.documents import table
from tests.gateway import DATA, calling, instant_simulator, running_gateway, settings_for

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana.json").read_text(encoding="utf-8"))
RULES: list[dict[str, Any]] = read_yaml(DEPLOY / "alerts.yml")["groups"][0]["rules"]
TOKEN = "metrics-token-of-this-test"
FOREIGN = {"up"}
"""Metrics of Prometheus itself."""

CALLERS = 6
DATA_TIMEOUT_S = 30.0

needs_prometheus = pytest.mark.skipif(prom.IS_MISSING and not prom.IS_REQUIRED, reason=prom.MISSING)


def queries() -> Iterator[tuple[str, str]]:
    """Yield each query of the dashboard after the title of its panel."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def names_in(expression: str) -> set[str]:
    """Return the names of metrics, without what a histogram adds to them."""
    without_selectors = re.sub(r"\{[^}]*\}", "{}", expression)
    found = re.findall(r"\b(?:nabra|process)_\w+|\bup\b", without_selectors)
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in found}


def labels_in(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each metric with a selector, and the labels that it selects by."""
    for name, selector in re.findall(r"(\w+)\{([^}]*)\}", expression):
        yield re.sub(r"_(bucket|count|sum)$", "", name), set(re.findall(r"(\w+)[=!]", selector))


def documented() -> dict[str, set[str]]:
    """Return the labels of each metric of docs/operations.md."""
    rows = table("operations.md", "Metrics")
    return {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[2])) for row in rows}


@pytest.mark.parametrize("expression", [*(q for _, q in queries()), *(r["expr"] for r in RULES)])
def test_a_query_asks_for_metrics_and_labels_that_there_are(expression: str) -> None:
    known = documented()
    assert names_in(expression)
    assert names_in(expression) <= known.keys() | FOREIGN
    for name, labels in labels_in(expression):
        assert labels <= known.get(name, set()) | {"instance", "job"}, name


def test_the_dashboard_shows_every_metric_of_ours() -> None:
    shown = set().union(*(names_in(query) for _, query in queries()))
    assert {name for name in documented() if name.startswith("nabra_")} <= shown


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in panels):
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_the_dashboard_asks_the_source_that_is_provisioned() -> None:
    (source,) = read_yaml(DEPLOY / "grafana-datasources.yaml")["datasources"]
    asked = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"] if "datasource" in panel}
    assert asked == {source["uid"]}


def test_the_document_explains_every_alert() -> None:
    explained = [row[0].strip("`") for row in table("operations.md", "Alerts")]
    assert explained == [rule["alert"] for rule in RULES]


@needs_prometheus
async def test_promtool_finds_nothing_in_metrics_and_rules(simulator: Simulator) -> None:
    assert not prom.IS_MISSING, prom.MISSING
    async with (
        running_gateway(settings_for(simulator)) as url,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        metrics = (await client.get(f"{address_of(url)}/metrics")).content
    assert await prom.promtool("check", "metrics", given=metrics) == (0, "")
    code, output = await prom.promtool("check", "rules", str(DEPLOY / "alerts.yml"))
    assert code == 0, output
    assert f"{len(RULES)} rules found" in output


@needs_prometheus
async def test_every_query_and_rule_has_data_after_some_traffic(tmp_path: Path) -> None:
    assert not prom.IS_MISSING, prom.MISSING
    async with instant_simulator(timing={"realtime_factor": 400}) as simulator:
        settings = settings_for(simulator, metrics_token=TOKEN, hamsa_connect_limit=100)
        async with (
            running_gateway(settings) as url,
            prom.prometheus(tmp_path, address_of(url).removeprefix("http://"), TOKEN) as server,
        ):
            await until_data(server, "nabra_turns_total == 0")
            await talk(url, simulator)
            for title, query in queries():
                await until_data(server, query, title)
            (group,) = (await server.get("rules"))["groups"]
    assert [rule["name"] for rule in group["rules"]] == [rule["alert"] for rule in RULES]
    assert [rule for rule in group["rules"] if rule["health"] != "ok"] == []


async def talk(url: str, simulator: Simulator) -> None:
    """Call as callers do who talk, interrupt and leave; one meets faults."""
    stats = ChurnStats()
    pcm = one_second_of(DATA / "arabic.wav")
    callers = [ChurnCaller(url, pcm, Random(f"{seed}"), stats) for seed in range(CALLERS)]
    await asyncio.gather(*(caller.call() for caller in callers))
    assert stats.actions["completed"]
    assert stats.actions["hands-free"]
    once = {"probability": 1, "times": 1}
    simulator.configure({"faults": {"truncated": once, "agent_cut": once}})
    async with calling(url) as caller:
        await caller.send({"type": "text", "text": "مرحبا"})
        await caller.until("done")


async def until_data(server: prom.Prometheus, query: str, title: str = "") -> None:
    """Query until there is a number; a quantile of nothing is none."""
    for variable, value in (("$instance", ".*"), ("$__rate_interval", "1m")):
        query = query.replace(variable, value)
    async with asyncio.timeout(DATA_TIMEOUT_S):
        while not any(map(math.isfinite, found := await server.query(query))):
            print(title, query, found)
            await asyncio.sleep(0.1)


def address_of(url: str) -> str:
    return url.replace("ws://", "http://").partition("/ws/")[0]
