"""Reads a gateway's `/metrics`, as Prometheus does."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


@dataclass(frozen=True)
class Scrape:
    """The samples of one scrape."""

    samples: list[Sample]

    def value(self, name: str) -> float:
        """Return the value of a metric without labels."""
        (value,) = (sample.value for sample in self.samples if sample.name == name)
        return value

    def sockets(self) -> dict[str, float]:
        """Return the provider sockets by state."""
        return {
            sample.labels["state"]: sample.value
            for sample in self.samples
            if sample.name == "nabra_provider_sockets"
        }

    def attempts(self) -> dict[tuple[str, str], float]:
        """Return the attempts by transport and fault."""
        return {
            (sample.labels["transport"], sample.labels["fault"]): sample.value
            for sample in self.samples
            if sample.name == "nabra_tts_attempts_total"
        }


async def scrape(url: str) -> Scrape:
    """Scrape the gateway whose endpoint is at `url`."""
    address = f"{url.replace('ws://', 'http://').partition('/ws/')[0]}/metrics"
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(address)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(response.text)
    return Scrape([sample for family in families for sample in family.samples])


async def until_scraped(
    url: str, condition: Callable[[Scrape], bool], *, timeout_s: float = 20.0
) -> None:
    """Scrape until `condition` holds. Raise `AssertionError` with the last scrape."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition(scraped := await scrape(url)):
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {scraped}")


async def exemplars(url: str) -> list[tuple[str, dict[str, str]]]:
    """Return the samples that have an exemplar, with its labels, as OpenMetrics shows them."""
    address = f"{url.replace('ws://', 'http://').partition('/ws/')[0]}/metrics"
    accept = {"Accept": "application/openmetrics-text;version=1.0.0"}
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(address, headers=accept)
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    read: Any = openmetrics_parser.text_string_to_metric_families  # which has no types
    families = read(response.text)
    samples = [sample for family in families for sample in family.samples]
    return [(each.name, dict(each.exemplar.labels)) for each in samples if each.exemplar]
