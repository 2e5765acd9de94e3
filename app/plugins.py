"""Strategies by name: the built-in ones, and those of installed packages (`docs/plugins.md`).

A package adds one by an entry point, which names a factory: a callable that takes a
`PluginContext` and returns the strategy, for example its class. If the factory has a
`settings_class`, the context holds an instance of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

import structlog
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.env_file import ENCODING, ENV_FILE
from app.errors import ConfigurationError
from app.resources import HttpClientFactory, PoolFactory, Resources
from app.setting_errors import describe_error

log = structlog.get_logger(__name__)

S = TypeVar("S", bound=BaseSettings | None)
T = TypeVar("T")


class PluginSettings(BaseSettings):
    """Settings of a plug-in: give them a prefix by `model_config = {"env_prefix": "ACME_"}`.

    They are read from the environment and `.env`, as those of the gateway are.
    """

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding=ENCODING,
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
    )


@dataclass(frozen=True, slots=True)
class PluginContext(Generic[S]):
    """What a factory may use. The gateway starts and closes what it makes of it."""

    settings: S
    """An instance of the factory's `settings_class`; None if it has none."""
    http_client: HttpClientFactory
    """Makes an `httpx.AsyncClient` over the gateway's own HTTP/2 and HTTP/1.1."""
    pool: PoolFactory
    """Makes a `ConnectionPool` of budgeted sockets."""
    log: structlog.stdlib.BoundLogger
    """A logger that names the plug-in. Never log a credential."""


Factory = Callable[[PluginContext[Any]], object]


class Registry(Generic[T]):
    """The strategies of one kind, `T`.

    `built_in` are factories that a package may not replace, `reserved` names that stand for
    something else.
    """

    def __init__(
        self,
        group: str,
        kind: type[Any],
        *,
        built_in: Mapping[str, Factory] | None = None,
        reserved: tuple[str, ...] = (),
    ) -> None:
        self._group = group
        self._kind = kind
        self._built_in = built_in or {}
        self._reserved = reserved

    @property
    def installed(self) -> dict[str, EntryPoint]:
        """The entry points of installed packages, without those that have a built-in's name."""
        own = {*self._reserved, *self._built_in}
        entries = {entry.name: entry for entry in entry_points(group=self._group)}
        for name in own & set(entries):
            log.warning("plug-in ignored: its name is built in", group=self._group, plug_in=name)
        return {name: entries[name] for name in sorted(set(entries) - own)}

    def build(self, name: str, resources: Resources, *, variable: str) -> T:
        """Build the strategy of this name, which the setting `variable` holds.

        Raises `ConfigurationError` for an unknown name, an unusable plug-in, and what its factory
        raises: mistakes must be found at the start, not during the first call.
        """
        if name in self._built_in:
            factory, what = self._built_in[name], f"{variable}: {name!r}"
        else:
            what = f"{variable}: plug-in {name!r}"
            factory = _load(self._entry(name, variable), what)
        return cast("T", build(factory, name, self._kind, resources, what=what))

    def _entry(self, name: str, variable: str) -> EntryPoint:
        installed = self.installed
        if name not in installed:
            known = ", ".join([*self._reserved, *self._built_in, *installed])
            raise ConfigurationError(f"{variable}: {name!r} is unknown; allowed: {known}")
        return installed[name]


def build(
    factory: Factory, name: str, kind: type[Any], resources: Resources, *, what: str
) -> object:
    """Build a strategy of this kind and name; `what` begins the errors.

    Raises `ConfigurationError`, also for whatever the factory raises.
    """
    try:
        strategy: Any = factory(_context(factory, name, resources))
    except ConfigurationError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".rstrip(": ").splitlines()[0]
        raise ConfigurationError(f"{what} cannot be built: {reason}") from error
    if not isinstance(strategy, kind):
        got = type(strategy).__name__
        raise ConfigurationError(f"{what} must build a {kind.__name__}, got {got}")
    if (own_name := getattr(strategy, "name", None)) != name:
        raise ConfigurationError(
            f"{what} must have the name {name!r}, got {own_name!r}: metrics and log lines show it"
        )
    return cast("object", strategy)


def _load(entry: EntryPoint, what: str) -> Factory:
    try:
        factory = entry.load()
    except Exception as error:
        raise ConfigurationError(f"{what} cannot be loaded: {error}") from error
    if not callable(factory):
        raise ConfigurationError(f"{what} must name a callable, got {entry.value}")
    return factory  # type: ignore[no-any-return]  # a callable; what it builds is checked


def _context(factory: Factory, name: str, resources: Resources) -> PluginContext[Any]:
    settings = _read_settings(getattr(factory, "settings_class", None))
    if settings is not None:
        resources.settings.append(settings)
    return PluginContext(
        settings=settings,
        http_client=resources.http_client,
        pool=resources.pool,
        log=structlog.get_logger("nabra.plugin").bind(plug_in=name),
    )


def _read_settings(settings_class: type[BaseSettings] | None) -> BaseSettings | None:
    """Read the settings. Raises `ConfigurationError` with one line for each wrong one."""
    if settings_class is None:
        return None
    try:
        return settings_class()
    except ValidationError as error:
        prefix = settings_class.model_config.get("env_prefix", "")
        lines = [
            f"{prefix}{name}".upper()
            + f": {describe_error(details, settings_class.model_fields[name])}"
            for details in error.errors(include_url=False)
            for name in [str(details["loc"][0])]
        ]
    # Raised here, as a cause would carry the rejected values, and one may be a key.
    raise ConfigurationError("\n".join(lines))
