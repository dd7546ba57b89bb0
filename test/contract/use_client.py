"""Does with a daemon what a client does, and prints what came out as JSON: SOCKET, then the text of a .drv on stdin."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from cloister_client import Client, DaemonError, nar_of_file  # noqa: E402

client = Client(sys.argv[1])
given = json.load(sys.stdin)
out = {"role": client.hello["daemon"]["role"], "status": client.call("status")}

# Streams both ways, longer than their windows.
contents = os.urandom(5_000_000)
added = client.call("addSource", {"name": "big", "method": {"kind": "source", "references": []}}, nar_of_file(contents))
out["sameBytes"] = client.download("readFile", {"path": added["path"], "inside": ""}) == contents
out["sameArchive"] = client.download("readNar", {"path": added["path"]}) == nar_of_file(contents)

# A message longer than a frame.
long_text = "x" * 3_000_000
text_path = client.call("addText", {"name": "long", "contents": long_text.encode(), "references": []})
out["sameText"] = client.download("readFile", {"path": text_path, "inside": ""}) == long_text.encode()

# A build, with a query at the same time.
drv = client.call("addText", {"name": given["name"], "contents": given["text"].encode(), "references": given["references"]})
options = {"mode": "normal", "keepGoing": False, "cores": 1, "timeoutMs": 0, "silenceMs": 0, "events": True}
build = client.start("build", {"targets": [{"kind": "built", "drvPath": drv, "outputs": "all"}], **options})
out["validMeanwhile"] = client.call("queryValidPaths", {"paths": [drv]}) == [drv]
out["results"] = build.wait()
out["events"] = [event["kind"] for event in build.events]
out["log"] = b"".join(event["bytes"] for event in build.events if event["kind"] == "build-log").decode()

# What goes wrong.
try:
    client.call("queryClosure", {"paths": ["0" * 32 + "-absent"], "direction": "forward"})
except DaemonError as error:
    out["error"] = {"code": error.code, "message": str(error), "hint": error.hint}
cancelled = client.start("build", {"targets": [{"kind": "built", "drvPath": given["slow"], "outputs": "all"}], **options})
while "build-started" not in [event["kind"] for event in cancelled.events]:
    client.receive()
cancelled.cancel()
try:
    cancelled.wait()
except DaemonError as error:
    out["cancelled"] = error.code
client.close()
print(json.dumps(out))
