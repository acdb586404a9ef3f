"""A model hub on this machine: the few answers over HTTP that downloads ask of the real one."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class StandInHub:
    """Repositories by name: commit -> folder, and which commit each branch or tag is now."""

    def __init__(self):
        self.commits: dict[str, dict[str, Path]] = {}
        self.refs: dict[str, dict[str, str]] = {}
        self.asked: list[
            str
        ] = []  # one entry a request for a file: "HEAD /owner/name/resolve/main/config.json"
        self.changed: dict[str, bytes] = {}  # files that are sent with other content than their hash is of
        self.url = ""

    def add(self, repository: str, folder: Path, ref: str = "main") -> str:
        """Let a folder be the newest commit of a repository; its name there."""
        commits = self.commits.setdefault(repository, {})
        commit = hashlib.sha1(f"{repository} {len(commits)}".encode()).hexdigest()
        commits[commit] = folder
        self.refs.setdefault(repository, {})[ref] = commit
        return commit

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content for a path."""
        parts = path.strip("/").split("/")
        if parts[2:3] != ["resolve"]:
            return 404, {}, b""
        owner, name, _, revision, file = parts
        commits = self.commits.get(f"{owner}/{name}")
        if commits is None:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        commit = self.refs[f"{owner}/{name}"].get(revision, revision)
        if commit not in commits:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        if not (commits[commit] / file).is_file():
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}, b""
        content = (commits[commit] / file).read_bytes()
        if file.endswith(".safetensors"):  # git-lfs
            etag = hashlib.sha256(content).hexdigest()
        else:
            etag = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit}
        return 200, headers, self.changed.get(file, content)


@contextmanager
def serving(hub: StandInHub) -> Iterator[StandInHub]:
    """Answer at `hub.url` meanwhile."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            hub.asked += [f"{self.command} {self.path}"] * ("/resolve/" in self.path)
            status, headers, content = hub.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
