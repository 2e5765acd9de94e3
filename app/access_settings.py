"""The settings that say which clients, pages, proxies and scrapers may come in."""

from pydantic_settings import BaseSettings

from app.setting_checks import (
    ClientKeys,
    Credential,
    HttpUrl,
    Networks,
    Origins,
    SigningSecret,
)


class AccessSettings(BaseSettings):
    """The part of `Settings` that holds who may come in."""

    client_keys: ClientKeys = ()
    """Keys of servers that may open sessions and mint tokens: `name:key, name:key`."""
    client_jwt_secret: SigningSecret | None = None
    """Secret that signs session tokens (HS256), also those that your own server signs. By default
    it is derived from `CLIENT_KEYS`."""
    client_jwks_url: HttpUrl | None = None
    """Public keys of an identity provider whose tokens are accepted."""
    client_jwt_audience: str | None = None
    """Audience that the tokens of the identity provider must name."""
    allow_anonymous: bool = False
    """Whether clients may come without key or token, though that costs the provider's credit."""
    allowed_origins: Origins = ()
    """Origins of pages other than the gateway's own that may connect; `*` allows all."""
    trusted_proxies: Networks = ()
    """Addresses or networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Prefix` are
    believed."""
    metrics_token: Credential | None = None
    """What a scraper of `/metrics` brings as `Authorization: Bearer …`, off loopback."""
