#!/usr/bin/env python3
"""An environment in one file, with only the standard library: which tide pool has the most crabs?

    [plugins]
    load = [{ command = ["python3", "examples/tide_pools.py"] }]

    [environment]
    kind = "tide-pools"

The first half speaks the protocol of docs/plugin-pipe.md and can be copied as it is; the second half is the world.
"""
import asyncio, copy, inspect, itertools, json, random, struct, sys, traceback

OK, ERROR, PANIC, CANCELLED, UNIMPLEMENTED = range(5)


class Failure(Exception):
    """An answer that is not OK. Codes: config, input, not_found, provider, ...; other."""

    def __init__(self, message, code="other", status=ERROR):
        self.status, self.body = status, {"code": code, "message": message, "retryable": False, "chain": []}


class Pipe:
    """Frames over standard input and output. A call goes to the method of that name, as its own task."""

    def __init__(self, root):
        self.output, sys.stdout = sys.stdout.buffer, sys.stderr  # Printed text must not mix with the frames.
        self.objects = {0: root}  # What the program can call, by handle; it starts with 0.
        self.handles, self.running = itertools.count(1), {}

    def send(self, kind, **head):
        objects = []

        def attach(thing):  # An object is written as its index in the list of objects.
            handle = next(self.handles)
            self.objects[handle] = thing
            objects.append({"handle": handle, "interface": thing.interface})
            return {"object": len(objects) - 1}

        # The list comes last, because it fills while the body is written.
        frame = json.dumps({kind: {**head, "objects": objects}}, default=attach, allow_nan=False).encode()
        self.output.write(struct.pack("<II", len(frame), 0) + frame)
        self.output.flush()

    def log(self, level, message):
        self.send("log", level=level, target="tide_pools", message=message)

    async def serve(self):
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
        self.send("hello", protocol="forethought", version="1.0", features=["cancel"])
        while first := await reader.read(1):  # No byte: the program has ended, so end too.
            size, blobs = struct.unpack("<II", first + await reader.readexactly(7))
            [(kind, head)] = json.loads(await reader.readexactly(size)).items()
            await reader.readexactly(blobs)  # Tables of numbers; environments get none.
            getattr(self, "on_" + kind)(**head)

    def on_hello(self, protocol, version, **_):
        if (protocol, version.split(".")[0]) != ("forethought", "1"):
            sys.exit(f"this plugin speaks forethought 1.0, and the program {protocol} {version}")

    def on_call(self, id, object, method, body=None, objects=(), **_):
        for given in objects:  # The program's own, such as language models; not used here.
            if not given.get("yours"):
                self.send("release", object=given["handle"])
        task = self.running[id] = asyncio.create_task(self.work(self.objects.get(object), method, body or {}))
        task.add_done_callback(lambda task: self.answer(id, task))

    def on_cancel(self, id, **_):
        if id in self.running:  # It may have been answered already.
            self.running[id].cancel()

    def on_release(self, object, **_):
        del self.objects[object]

    async def work(self, target, method, arguments):
        function = None if method.startswith("_") else getattr(target, method, None)
        if function is None:
            raise Failure(f"there is no method {method}", status=UNIMPLEMENTED)
        result = function(**arguments)
        return await result if inspect.isawaitable(result) else result

    def answer(self, id, task):
        del self.running[id]
        try:
            return self.send("return", id=id, status=OK, body=task.result())
        except asyncio.CancelledError:
            answer = Failure("withdrawn", status=CANCELLED)
        except Failure as failure:
            answer = failure
        except Exception as error:
            answer = Failure(repr(error), status=PANIC)
            traceback.print_exception(error)
        self.send("return", id=id, status=answer.status, body=answer.body)


CONFIG = {  # JSON Schema of the configuration keys besides `kind`.
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "pools": {"type": "integer", "minimum": 2, "default": 4, "description": "Number of pools."},
        "hours": {"type": "integer", "minimum": 1, "default": 6, "description": "Actions until the tide is in."},
    },
}


class Module:
    """What the program meets first."""

    def describe(self):
        world = {"interface": TidePools.interface, "kind": "tide-pools", "schema": CONFIG}
        world["summary"] = "find the pool with most crabs before the tide is in"
        return {"package": "tide-pools", "version": "1.0.0", "components": [world]}

    def create(self, create, host):
        config = create["config"] or {}
        for key in config.keys() - CONFIG["properties"].keys():
            raise Failure(f"unknown key {key!r}", code="config")
        pipe.log("info", f"made of {config}")
        return TidePools(**config)


class TidePools:
    """One beach in one state."""

    interface = "forethought.environment/1"

    def __init__(self, pools=4, hours=6):
        self.pools, self.hours = pools, hours
        self.reset({"task": 0, "seed": 0})

    def spec(self):
        told = "`look N` counts the crabs in pool N; `take N` when N is the pool with most of them."
        seats = [{"name": "agent", "instructions": ""}]
        spec = {"name": "tide-pools", "version": "1", "seats": seats, "tasks": 100, "instructions": told}
        return {**spec, "fork": True, "recovery": "replay", "max_steps": self.hours}

    def spawn(self):
        return TidePools(self.pools, self.hours)

    def fork(self):
        return copy.deepcopy(self)

    def reset(self, reset):
        dice = random.Random(f"{reset['task']}/{reset['seed']}")  # The only source of randomness.
        self.crabs = dice.sample(range(1, 10 * self.pools), self.pools)
        self.left, self.over = self.hours, False
        return self._turn(f"{self.pools} pools lie before you. In pool 1 sit {self.crabs[0]} crabs.")

    def step(self, action):
        if self.over:
            return self._transition("It is over.", terminated=True)
        self.left -= 1
        verb, _, pool = action["text"].partition(" ")
        if verb not in ("look", "take") or pool not in map(str, range(1, self.pools + 1)):
            text = f"You cannot do that: {action['text']!r}."  # An observation, not an error.
        elif verb == "take":
            won = self.crabs[int(pool) - 1] == max(self.crabs)
            return self._transition(f"You take pool {pool}.", terminated=True, success=won)
        else:
            text = f"In pool {pool} sit {self.crabs[int(pool) - 1]} crabs."
        if self.left == 0:
            return self._transition(f"{text} The tide is in.", truncated=True, success=False)
        return self._transition(text)

    def _turn(self, text):
        legal = [] if self.over else [f"{verb} {n + 1}" for verb in ("look", "take") for n in range(self.pools)]
        # A world whose actions are calls of tools lists them here, too: docs/plugin-pipe.md says how.
        return {"seat": 0, "observation": {"text": text, "data": None}, "legal_actions": legal}

    def _transition(self, text, terminated=False, truncated=False, success=None):
        self.over = terminated or truncated
        ending = {"terminated": terminated, "truncated": truncated, "success": success, "info": None}
        return {"turn": self._turn(text), "rewards": [float(success or False)], **ending}


if __name__ == "__main__":
    pipe = Pipe(Module())
    asyncio.run(pipe.serve())
