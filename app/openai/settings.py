"""The settings of OpenAI, or of a server like it."""

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from app.plugins import PluginSettings
from app.setting_checks import Credential, HttpUrl

OPENAI_URL = "https://api.openai.com/v1"


class OpenAISettings(PluginSettings):
    """Read where `openai` speaks or transcribes."""

    model_config = SettingsConfigDict(env_prefix="OPENAI_")

    base_url: HttpUrl = OPENAI_URL
    """The API up to `/v1`, of OpenAI or of another server."""
    api_key: Credential | None = Field(default=None, validate_default=True)
    """Its key; servers of your own may need none."""
    tts_model: str = "gpt-4o-mini-tts"
    """The model that speaks."""
    tts_voice: str = "alloy"
    """The voice, whatever voice a client configures: providers have no voices in common."""
    stt_model: str = "gpt-4o-mini-transcribe"
    """The model that transcribes."""

    @field_validator("base_url")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, value: object, info: ValidationInfo) -> object:
        if value is None and info.data.get("base_url") == OPENAI_URL:
            raise ValueError("must be set, or OPENAI_BASE_URL to a server that needs none")
        return value
