"""The page at `/` that says what this is, and `/healthz`."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse

router = APIRouter()

_PAGE = """<!doctype html>
<html lang="ar" dir="rtl">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>نبرة · Nabra</title>
<style>
  body { font: 1.1rem/1.7 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto;
         padding: 0 1rem; color: #1a1a1a; background: #fff; }
  [lang=en] { direction: ltr; }
  code { direction: ltr; unicode-bidi: isolate; }
</style>
<h1>نبرة</h1>
<p>بوابة صوتية فورية للوكلاء باللغة العربية: يسمع المتصل كل جملة كاملة، مرة واحدة، وفي أبكر وقت.</p>
<div lang="en">
<p>Nabra is a real-time voice-agent gateway for Arabic. Clients open a WebSocket at
<code>/ws/agent/{session_id}/</code>; from a terminal, try</p>
<p><code>.venv/bin/nabra talk --text "أين شحنتي؟" --out reply.wav</code></p>
</div>
</html>
"""


@router.get("/")
async def page() -> HTMLResponse:
    """Say what this is."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@router.get("/healthz")
async def healthz() -> JSONResponse:
    """Tell that the process serves."""
    return JSONResponse({"status": "ok"})
