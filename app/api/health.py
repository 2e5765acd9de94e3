"""`/healthz`."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

router = APIRouter()


@router.get("/healthz")
async def healthz() -> JSONResponse:
    """Tell that the process serves."""
    return JSONResponse({"status": "ok"})
