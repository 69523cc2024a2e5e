"""Patience with uploads that begin late, as from a busy machine or over a slow line."""

from urllib.parse import parse_qs

from gradio.routes import file_upload_statuses
from starlette.types import ASGIApp, Receive, Scope, Send

PROGRESS = "/upload_progress"


class PatientProgress:
    """Let the page's request for the progress of an upload wait until the upload begins.

    Gradio answers it with "not found" if the upload has not begun within three seconds. The upload succeeds all the
    same, but the browser reports an error. For an upload that it knows of, it waits as long as the page is open.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the upload that a request for progress names, and pass the request on."""
        if scope["type"] == "http" and scope["path"].endswith(PROGRESS):
            for upload_id in parse_qs(scope["query_string"].decode()).get("upload_id", []):
                file_upload_statuses.track(upload_id)
        await self.app(scope, receive, send)
