"""When each alert fires, by `promtool test rules`: twenty minutes of metrics, every ten seconds."""

import json
from pathlib import Path

import pytest

from tests.deploy import prometheus as prom
from tests.deploy.test_dashboard import DEPLOY, RULES, needs_prometheus

Series = dict[str, str]
"""The values of a metric, as promtool expands them: `0+2x120` is 0, and 120 times 2 more."""

TURNS: Series = {'nabra_turns_total{outcome="done"}': "0+9x120"}

FIRING: dict[str, Series] = {
    "NabraDown": {'up{job="nabra"}': "0x120"},
    "NabraTurnsFail": {**TURNS, 'nabra_turns_total{outcome="agent-timeout"}': "0+1x120"},
    "NabraSentencesLost": {
        **TURNS,
        'nabra_sentences_total{result="whole"}': "0+40x120",
        'nabra_sentences_total{result="lost"}': "0+1x120",
    },
    "NabraAgentFails": {
        **TURNS,
        'nabra_errors_total{stage="agent", code="agent-cut"}': "0+1x120",
    },
    "NabraTranscriptionFails": {
        **TURNS,
        'nabra_errors_total{stage="stt", code="provider-timeout"}': "0+1x120",
    },
    "NabraProviderRefusesAccount": {
        'nabra_tts_attempts_total{transport="rest", fault="provider-quota"}': "0x110 1x9"
    },
    "NabraBreakerOpen": {'nabra_tts_breaker{transport="rest", state="open"}': "0x90 1x30"},
    "NabraSpeechSlow": {
        'nabra_first_audio_seconds_bucket{le="4.0"}': "0+9x120",
        'nabra_first_audio_seconds_bucket{le="6.0"}': "0+10x120",
        'nabra_first_audio_seconds_bucket{le="+Inf"}': "0+10x120",
        "nabra_first_audio_seconds_count": "0+10x120",
    },
    "NabraGatewaySlow": {
        'nabra_gateway_overhead_seconds_bucket{le="0.25"}': "0+9x120",
        'nabra_gateway_overhead_seconds_bucket{le="0.5"}': "0+10x120",
        'nabra_gateway_overhead_seconds_bucket{le="+Inf"}': "0+10x120",
        "nabra_gateway_overhead_seconds_count": "0+10x120",
    },
    "NabraEventLoopLate": {
        'nabra_event_loop_lag_seconds_bucket{le="0.1"}': "0+98x120",
        'nabra_event_loop_lag_seconds_bucket{le="0.25"}': "0+100x120",
        'nabra_event_loop_lag_seconds_bucket{le="+Inf"}': "0+100x120",
    },
    "NabraSocketsScarce": {
        'nabra_provider_requests_waiting{pool="hamsa"}': "2x120",
        'nabra_provider_openings_left{pool="hamsa"}': "0x120",
    },
    "NabraFull": {'nabra_limit_refusals_total{limit="too-many-sessions"}': "0x110 1x9"},
    "NabraFilesScarce": {
        'process_open_fds{job="nabra"}': "900x120",
        'process_max_fds{job="nabra"}': "1000x120",
    },
    "NabraConnectionsRefused": {
        'nabra_connections_refused_total{reason="too-many-pending"}': "0x110 1x9"
    },
    "NabraInternalError": {'nabra_errors_total{stage="internal", code="internal"}': "0x110 1x9"},
}

QUIET: dict[str, Series] = {
    "turns that fail now and then": {
        'nabra_turns_total{outcome="done"}': "0+99x120",
        'nabra_turns_total{outcome="silent"}': "0+1x120",
    },
    "one bad call at night": {'nabra_turns_total{outcome="agent-timeout"}': "0x90 3x30"},
    "callers who interrupt, leave and say nothing": {
        'nabra_turns_total{outcome="interrupted"}': "0+5x120",
        'nabra_turns_total{outcome="client-left"}': "0+5x120",
        'nabra_turns_total{outcome="no-speech"}': "0+5x120",
        'nabra_errors_total{stage="stt", code="no-speech"}': "0+5x120",
    },
    "a breaker that was open for 10 s": {
        'nabra_tts_breaker{transport="rest", state="open"}': "0x110 1 0x8"
    },
    "a transport that nobody has tried since": {
        'nabra_tts_breaker{transport="rest", state="half-open"}': "1x120",
        'nabra_tts_breaker{transport="rest", state="open"}': "0x60 1x6 0x54",
    },
    "a request that waits while sockets may be opened": {
        'nabra_provider_requests_waiting{pool="hamsa"}': "1x120",
        'nabra_provider_openings_left{pool="hamsa"}': "1x120",
    },
    "a limit of one address": {
        'nabra_limit_refusals_total{limit="too-many-sessions-of-address"}': "0+1x120"
    },
}


def test_every_alert_has_a_case() -> None:
    assert list(FIRING) == [rule["alert"] for rule in RULES]


@needs_prometheus
async def test_each_alert_fires_alone_and_none_without_reason(tmp_path: Path) -> None:
    assert not prom.IS_MISSING, prom.MISSING
    cases = [case(series, alert) for alert, series in FIRING.items()]
    cases += [case(series) for series in QUIET.values()]
    code, output = await run(cases, tmp_path)
    assert code == 0, output


@needs_prometheus
@pytest.mark.parametrize("alert", ["NabraFull", None])
async def test_a_case_that_is_wrong_is_found(alert: str | None, tmp_path: Path) -> None:
    assert not prom.IS_MISSING, prom.MISSING
    code, output = await run([case(FIRING["NabraDown"], alert)], tmp_path)
    assert code == 1, output


async def run(cases: list[dict[str, object]], directory: Path) -> tuple[int, str]:
    """Check the cases; return the exit code and the output of promtool."""
    file = directory / "cases.json"
    rules = str(DEPLOY / "alerts.yml")
    file.write_text(
        json.dumps({"rule_files": [rules], "evaluation_interval": "30s", "tests": cases})
    )
    return await prom.promtool("test", "rules", str(file))


def case(series: Series, alert: str | None = None) -> dict[str, object]:
    """Return what promtool is to check: after these series this alert fires alone, or none."""
    expected = [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if alert else []
    return {
        "interval": "10s",
        "input_series": [
            {"series": name, "values": values} for name, values in with_instance(series).items()
        ],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "20m",
                "exp_samples": expected,
            }
        ],
    }


def with_instance(series: Series) -> Series:
    """Add the label that a scrape adds."""
    return {
        name.replace("{", '{instance="a", ') if "{" in name else f'{name}{{instance="a"}}': values
        for name, values in series.items()
    }
