"""Proxies, as the environment names them."""

from ipaddress import ip_address
from urllib.request import getproxies, proxy_bypass

from app.errors import ConfigurationError
from app.net.url import web_url


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for `url`; None for a direct connection.

    Loopback is always direct. Raises `ConfigurationError` for a URL that is not valid, and for a
    proxy whose address is not, or that is not an HTTP proxy.
    """
    target = web_url(url)
    proxies = getproxies()
    proxy = proxies.get(target.scheme) or proxies.get("all")
    if not proxy or _is_loopback(target.host) or proxy_bypass(target.host):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        web_url(proxy)
    except ConfigurationError:
        variables = f"{target.scheme}_proxy, all_proxy"
        raise ConfigurationError(f"{variables}: must be the address of an HTTP proxy") from None
    return proxy


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
