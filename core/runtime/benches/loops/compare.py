"""Agent loops of Forethought and of inspect_ai on the same mock in the same run: processor time of a call, memory of an
episode, throughput.

    cargo bench -p forethought-runtime --bench episodes --no-run      prints the program's path
    python compare.py EPISODES PROGRAM [PYTHON]

PYTHON has inspect_ai and openai. A program that plays one episode is taken as the cost of starting."""

import os
import pathlib
import subprocess
import sys
import time

episodes, program, *others = sys.argv[1:]
commands = {"forethought": [program, "play"]}
if others:
    commands["inspect_ai"] = [others[0], str(pathlib.Path(__file__).with_name("inspect_loop.py"))]
server = subprocess.Popen([program, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
url = server.stdout.readline().strip()


def run(command, count):
    """Seconds, seconds of processor time, and megabytes at most."""
    since = time.monotonic()
    pid = os.posix_spawnp(command[0], [*command, url, str(count)], os.environ,
                          file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
    _, status, used = os.wait4(pid, 0)
    assert status == 0, command
    return time.monotonic() - since, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


print(f"{episodes} episodes at once, 8 calls each, 200 ms a call")
print("| | seconds | calls/s | processor time a call | memory an episode |\n|---|---|---|---|---|")
count = int(episodes)
for name, command in commands.items():
    _, started, least = run(command, 1)
    seconds, used, most = run(command, count)
    calls = 8 * count
    print(f"| {name} | {seconds:.1f} | {calls / seconds:,.0f} | {1e3 * (used - started) / calls:.3f} ms "
          f"| {1024 * (most - least) / count:.1f} kB |", flush=True)
server.communicate()
