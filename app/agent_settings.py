"""The settings that say who answers the user, and how its answers are read."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode

from app.setting_checks import (
    Credential,
    HeaderName,
    HttpUrl,
    Seconds,
    StrategyName,
    split_list,
)
from app.setting_errors import shown

MAX_NODES = 16
"""Nodes that may be named: more than a workflow lets speak."""

MAX_NODE_CHARS = 128
"""Longest name of a node: what n8n's editor shows is shorter."""

MAX_POINTER_CHARS = 200
"""Longest JSON Pointer: chosen."""

SYSTEM_PROMPT = (
    "أنت مساعد صوتي، وكلامك يُسمع ولا يُقرأ. أجب بلغة السائل بجمل قصيرة واضحة كما يتحدث الناس، "
    "بلا Markdown ولا قوائم ولا رموز تعبيرية."
)
"""Tells a model how to write text that is spoken: short sentences, no Markdown."""


def _check_nodes(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) > MAX_NODES:
        raise ValueError(f"must be at most {MAX_NODES} nodes, got {len(names)}")
    for name in names:
        if len(name) > MAX_NODE_CHARS:
            raise ValueError(
                f"a node's name has at most {MAX_NODE_CHARS} characters, got {shown(name)}"
            )
        if names.count(name) > 1:
            raise ValueError(f"must name each node once, got {shown(name)} twice")
    return names


def _check_json_pointer(value: str) -> str:
    if re.fullmatch(r"(/([^~/]|~[01])*)+", value) is None or len(value) > MAX_POINTER_CHARS:
        raise ValueError(
            f"must be a JSON Pointer such as /output/answer or /0/text, got {shown(value)}"
        )
    return value


NodeNames = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(split_list), AfterValidator(_check_nodes)
]
"""Names of n8n nodes, separated by commas."""
JsonPointer = Annotated[str, AfterValidator(_check_json_pointer)]
"""Where a value stands in JSON (RFC 6901)."""


class AgentSettings(BaseSettings):
    """The part of `Settings` that holds the agent."""

    agent_kind: StrategyName = "webhook"
    """What answers the user: a webhook (n8n), a model behind OpenAI's chat completions (`openai`),
    or the name of an installed plug-in."""
    agent_webhook_url: HttpUrl | None = Field(default=None, validate_default=True)
    """The agent's whole URL; for a model, that of its `…/v1/chat/completions`. Without it the
    simulator's agent answers."""
    agent_model: str | None = Field(default=None, validate_default=True)
    """The model's name, as the API knows it."""
    agent_system_prompt: str = SYSTEM_PROMPT
    """The system message of each request to the model."""
    agent_history: bool = False
    """Whether a webhook is sent the earlier turns, cut to what was heard; a model always is."""
    agent_history_turns: Annotated[int, Field(ge=0, le=1000)] = 20
    """Earlier turns that are sent; more turns cost more and slow a model down."""
    agent_history_sessions: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Most sessions that are remembered; the least recently used is forgotten."""
    agent_node: NodeNames = ()
    """The n8n nodes that are spoken, separated by commas. By default the first that sends text,
    and after it the one that ends the run."""
    agent_data_nodes: NodeNames = ()
    """The n8n nodes whose output is data for the client and is not spoken, separated by commas."""
    agent_answer_path: JsonPointer | None = None
    """Where the text stands in an answer that is JSON, as a JSON Pointer (`/output/answer`). By
    default under `output`, `text`, `answer`, `response`, `reply`, `result`, `content` or
    `message`."""
    agent_retry_s: Annotated[float, Field(ge=0, le=60)] = 10.0
    """How long a turn waits for an agent that is not there, or is starting; n8n takes 5 to 9 s. A
    request that may have begun a run is never sent again."""
    agent_token: Credential | None = None
    """Value of the header `AGENT_TOKEN_HEADER`, sent unchanged (`Bearer …` if it is one)."""
    agent_token_header: HeaderName = "Authorization"  # noqa: S105
    """Header that carries `AGENT_TOKEN`."""
    agent_connect_timeout_s: Seconds = 5.0
    """Longest wait for a connection to the agent."""
    agent_first_token_timeout_s: Seconds = 30.0
    """Longest wait for the first text; agents that call tools take long."""
    agent_between_tokens_timeout_s: Seconds = 15.0
    """Longest wait for more text that can be spoken; keep-alives and white space do not count."""
    agent_total_timeout_s: Seconds = 120.0
    """Longest wait for a whole response; n8n can leave a failed one open for ever."""

    @field_validator("agent_data_nodes")
    @classmethod
    def _check_data_nodes(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for name in names:
            if name in info.data.get("agent_node", ()):
                raise ValueError(f"must not name a node of AGENT_NODE, got {shown(name)}")
        return names

    @field_validator("agent_webhook_url", "agent_model")
    @classmethod
    def _check_required_for_model(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("agent_kind") == "openai":
            raise ValueError("must be set when AGENT_KIND is openai")
        return value
