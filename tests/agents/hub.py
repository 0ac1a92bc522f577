"""A hub on loopback that keeps what it is sent, and the hub's own library as a client of it. Used by core/cli/tests/hub.rs.

    hub.py serve                      prints the port; ends when its input does
    hub.py read ADDRESS NAME FOLDER   gets a model with huggingface_hub, and prints what its card says
    hub.py write ADDRESS NAME FOLDER  publishes a folder with huggingface_hub
"""

import base64
import hashlib
import http.server
import json
import os
import re
import sys
import threading

TOKEN = "hf_writer"
LARGE = 4096  # Bytes from which a file goes to LFS storage, and the size of a part there.


def serve():
    repositories, blobs, parts, log = {}, {}, {}, []
    lock = threading.Lock()

    def entries(files):
        listed = []
        for path, (content, large) in sorted(files.items()):
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            entry = {"type": "file", "path": path, "size": len(content), "oid": blob}
            if large:
                entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            listed.append(entry)
        return listed

    class Hub(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, status, body=b"", **headers):
            if not isinstance(body, bytes):
                body = json.dumps(body).encode()
                headers.setdefault("Content_Type", "application/json")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def handle_one(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, _, query = self.path.partition("?")
            path = path.replace("%2F", "/")
            log.append(f"{self.command} {path}")
            here = f"http://127.0.0.1:{self.server.server_port}"
            if path == "/log":
                return self.answer(200, log)
            storage = path.startswith("/storage/")
            if storage:
                assert "Authorization" not in self.headers, "the token goes to no storage"
            elif self.command in ("POST", "PUT") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self.answer(401, {"error": "Invalid username or password."})
            if path == "/api/validate-yaml":
                return self.answer(200, {"errors": [], "warnings": []})
            if path == "/api/repos/create":
                asked = json.loads(body)
                name = f'{asked["organization"]}/{asked["name"]}'
                if name in repositories:
                    return self.answer(409, {"error": "You already created this model repo", "url": f"{here}/{name}"})
                first = hashlib.sha1(name.encode()).hexdigest()
                files = {".gitattributes": (b"*.safetensors filter=lfs\n", False)}
                repositories[name] = {"main": first, "commits": {first: files}, "private": asked.get("visibility") == "private"}
                return self.answer(200, {"url": f"{here}/{name}", "name": name})
            if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/(.+)", path):
                modes = [
                    {"path": file["path"], "uploadMode": "lfs" if file["size"] >= LARGE else "regular",
                     "shouldIgnore": False, "oid": None}
                    for file in json.loads(body)["files"]
                ]
                return self.answer(200, {"files": modes})
            if path.endswith(".git/info/lfs/objects/batch"):
                objects = []
                for one in json.loads(body)["objects"]:
                    if one["oid"] not in blobs:
                        # Under another name: another host, to which no token must go.
                        place = f'http://localhost:{self.server.server_port}/storage/{one["oid"]}'
                        action = {"href": place}
                        if one["size"] > 2 * LARGE:
                            count = -(-one["size"] // LARGE)
                            action["header"] = {"chunk_size": str(LARGE)}
                            action["header"] |= {f"{n:05}": f"{place}/{n}" for n in range(1, count + 1)}
                        one["actions"] = {"upload": action, "verify": {"href": f"{place}/verify"}}
                    objects.append(one)
                chosen = "multipart" if any("header" in one.get("actions", {}).get("upload", {}) for one in objects) else "basic"
                return self.answer(200, {"transfer": chosen, "objects": objects})
            if match := re.fullmatch(r"/storage/(\w+)(?:/(\w+))?", path):
                oid, part = match.groups()
                if self.command == "PUT":
                    parts.setdefault(oid, {})[int(part or 1)] = body
                    if part is None:
                        blobs[oid] = body
                    return self.answer(200, ETag=f'"{hashlib.md5(body).hexdigest()}"')
                asked = json.loads(body)
                if part is None:
                    whole = b"".join(parts[oid][one["partNumber"]] for one in asked["parts"])
                    etags = [f'"{hashlib.md5(parts[oid][one["partNumber"]]).hexdigest()}"' for one in asked["parts"]]
                    assert etags == [one["etag"] for one in asked["parts"]]
                    blobs[oid] = whole
                elif asked["size"] != len(blobs[oid]) or hashlib.sha256(blobs[oid]).hexdigest() != oid:
                    return self.answer(422, {"error": "not what was announced"})
                return self.answer(200, {})
            if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/(.+)", path):
                repository = repositories[match[1]]
                files = dict(repository["commits"][repository["main"]])
                for line in body.splitlines():
                    line = json.loads(line)
                    value = line["value"]
                    if line["key"] == "header" and value.get("parentCommit") not in (None, repository["main"]):
                        return self.answer(412, {"error": "A commit has happened since."})
                    if line["key"] == "file":
                        files[value["path"]] = (base64.b64decode(value["content"]), False)
                    if line["key"] == "lfsFile":
                        files[value["path"]] = (blobs[value["oid"]], True)
                commit = hashlib.sha1(repository["main"].encode() + body).hexdigest()
                repository["commits"][commit] = files
                repository["main"] = commit
                return self.answer(200, {"success": True, "commitOid": commit, "commitUrl": f"{here}/{match[1]}/commit/{commit}",
                                         "hookOutput": ""})
            if match := re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/(revision|tree)/(.+))?", path):
                repository = repositories.get(match[1])
                if repository is None:
                    return self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
                commit = repository["main"] if match[3] in (None, "main") else match[3]
                files = repository["commits"].get(commit)
                if files is None:
                    return self.answer(404, {"error": "Invalid rev id"}, X_Error_Code="RevisionNotFound")
                if match[2] == "tree":
                    return self.answer(200, entries(files))
                siblings = [{"rfilename": name} for name in sorted(files)]
                return self.answer(200, {"id": match[1], "modelId": match[1], "sha": commit, "siblings": siblings,
                                         "private": repository["private"], "tags": [], "downloads": 0, "likes": 0})
            if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                repository = repositories[match[1]]
                commit = repository["main"] if match[2] == "main" else match[2]
                content, large = repository["commits"][commit].get(match[3], (None, False))
                if content is None:
                    return self.answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")
                digest = hashlib.sha256(content) if large else hashlib.sha1(b"blob %d\0" % len(content) + content)
                headers = {"ETag": f'"{digest.hexdigest()}"', "X_Repo_Commit": commit}
                if large:
                    headers |= {"X_Linked_Etag": headers["ETag"], "X_Linked_Size": str(len(content))}
                return self.answer(200, content, **headers)
            return self.answer(404, {"error": f"no route {path}"})

        def handle_any(self):
            with lock:
                try:
                    self.handle_one()
                except Exception as error:
                    self.answer(500, {"error": repr(error)})

        do_GET = do_HEAD = do_POST = do_PUT = handle_any

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


def client(address):
    os.environ |= {"HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
                   "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    import huggingface_hub

    return huggingface_hub


def read(address, name, folder):
    hub = client(address)
    path = hub.snapshot_download(name, local_dir=folder)
    card = hub.ModelCard.load(os.path.join(path, "README.md"))
    data = card.data.to_dict()
    results = [[one.metric_type, one.metric_value] for one in card.data.eval_results or []]
    print(json.dumps({"data": {key: data.get(key) for key in ("license", "library_name", "datasets", "base_model")},
                      "results": results}))


def write(address, name, folder):
    hub = client(address)
    api = hub.HfApi(endpoint=address, token=TOKEN)
    api.create_repo(name)
    print(api.upload_folder(repo_id=name, folder_path=folder).oid)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
