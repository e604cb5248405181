"""Ask Breakwater's admission gate before a run is started: `Client`, or `AsyncClient` in an event loop."""

from breakwater_client.answers import (
    GateError,
    KeyReusedError,
    MalformedRequestError,
    NotLetInError,
    UnavailableError,
    UnknownWorkflowError,
    Verdict,
)
from breakwater_client.clients import AsyncClient, Client
from breakwater_client.options import Fallback, Options, Trigger

__all__ = [
    "AsyncClient",
    "Client",
    "Fallback",
    "GateError",
    "KeyReusedError",
    "MalformedRequestError",
    "NotLetInError",
    "Options",
    "Trigger",
    "UnavailableError",
    "UnknownWorkflowError",
    "Verdict",
]
