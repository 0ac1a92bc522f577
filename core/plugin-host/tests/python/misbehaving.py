"""A plugin that misbehaves as its first argument says: at its start or in `describe`. Until then, and with `behave`, it
follows the protocol, one call at a time."""

import json
import os
import signal
import struct
import subprocess
import sys
import time

mode = sys.argv[1]
output, inputs = sys.stdout.buffer, sys.stdin.buffer


def raw(data):
    output.write(data)
    output.flush()


def frame(kind, **head):
    head = json.dumps({kind: head}).encode()
    return struct.pack("<II", len(head), 0) + head


def hello(version="1.0"):
    raw(frame("hello", protocol="forethought", version=version, features=["cancel"]))


def describe(call):
    answer = frame("return", id=call, status=0, body={"package": str(os.getpid())})
    if mode == "hang":
        time.sleep(3600)
    elif mode == "exit":
        print("Traceback: the tide is in", file=sys.stderr)
        sys.exit(3)
    elif mode == "die in a frame":
        raw(answer[:-5])
        os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "print":
        raw(b"Training epoch 1 of 9\n")
        time.sleep(3600)
    elif mode == "rubbish":
        raw(bytes(range(128, 192)) * 100)
        time.sleep(3600)
    elif mode == "huge length":
        raw(struct.pack("<II", (1 << 29) - 8, 0) + b'{"return')
        os.close(1)
        time.sleep(3600)
    elif mode == "length beyond limits":
        raw(struct.pack("<II", 1 << 31, 1 << 31))
        time.sleep(3600)
    elif mode == "answer twice":
        raw(answer + answer)
    elif mode == "answer nobody":
        raw(frame("return", id=call + 1000, status=0, body=None))
    elif mode == "eat memory":
        kept = []
        while True:
            kept.append(bytearray(16 << 20))
    elif mode == "flood standard error":
        for _ in range(200):
            sys.stderr.write("drop " * 20_000)
            sys.stderr.write("\n")
        raw(answer)
    elif mode == "raise":
        print(f"Traceback: the tide of call {call} is in", file=sys.stderr)
        failure = {"code": "other", "message": "TideError()", "retryable": False, "chain": []}
        raw(frame("return", id=call, status=1, body=failure))
    elif mode == "warn":
        print("WARNING:root:high tide", file=sys.stderr)
        raw(answer)
    elif mode == "stop reading":
        os.close(0)
        raw(answer)
        time.sleep(3600)
    elif mode == "leave a child":
        child = subprocess.Popen(["sleep", "3600"])
        raw(frame("return", id=call, status=0, body={"package": f"{os.getpid()} {child.pid}"}))
    elif mode == "linger":
        raw(answer)
        inputs.read()
        time.sleep(3600)
    else:
        raw(answer)


if mode == "exit at once":
    sys.exit("no module named tide")
elif mode == "say nothing":
    time.sleep(3600)
elif mode == "print at once":
    print("Hello! Loading the model ...", flush=True)
    time.sleep(3600)
elif mode == "other version":
    hello("2.0")
    time.sleep(3600)
elif mode == "no hello":
    raw(frame("release", object=1))
    time.sleep(3600)
else:
    hello()

while len(lengths := inputs.read(8)) == 8:
    size, blobs = struct.unpack("<II", lengths)
    [(kind, head)] = json.loads(inputs.read(size)).items()
    inputs.read(blobs)
    if kind == "call":
        describe(head["id"])
