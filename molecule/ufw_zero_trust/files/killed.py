"""Makes a change and kills itself at each of the programs that carry it out, one after the other; then repeats it.

Prints a line for everything that does not hold: between a kill and the repetition the host is neither open nor locked,
and the repetition ends with exactly the declared rules.
"""

import os
import subprocess
import sys
from collections.abc import Sequence

sys.path.insert(0, "/root/killed")
from ansible_collections.bulwark.hetzner.plugins.module_utils.host_firewall import host as module
from ansible_collections.bulwark.hetzner.plugins.module_utils.host_firewall.rules import Firewall, parse


def rules(*sources: str) -> Firewall:
    return Firewall(parse([{"name": "web", "protocol": "tcp", "ports": ["80"], "sources": sources}], "rules"))


FIRST, SECOND = rules("10.0.0.3/32"), rules("10.0.0.3/32", "192.0.2.80/32")


class Counting:
    """Runs programs; once ``left`` is set, it kills this process instead of starting the one of that number."""

    left = 0

    def __call__(self, words: Sequence[str]) -> tuple[int, str]:
        self.left -= 1
        if self.left == 0:
            os._exit(9)
        done = subprocess.run(list(words), capture_output=True, text=True, check=False)
        return done.returncode, done.stdout if done.returncode == 0 else done.stderr or done.stdout


def apply(declared: Firewall, last: int = 0) -> bool:
    """One run of the module; whether it got to its end."""
    child = os.fork()
    if child == 0:
        run = Counting()
        host = module.Host(run)
        with host.locked():
            entries = module.declared_files(declared, host.files())
            wanted = module.plan(entries, host.read(entries))
            if wanted.pending or not wanted.empty:
                run.left = last
                host.apply(wanted, None, 0)
                run.left = 0
            left = module.plan(entries, host.read(entries))
        os._exit(0 if left.empty and not left.pending else 1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 1:
        print(f"killed at {last}: not as declared at the end")
    return code != 9


def gets_in(neighbour: str, address: str, port: int, seconds: str = "5") -> bool:
    words = ["ip", "netns", "exec", neighbour, "curl", "-s", "--max-time", seconds, f"http://{address}:{port}/"]
    return subprocess.run(words, stdout=subprocess.DEVNULL, check=False).returncode == 0


def look(moment: str) -> None:
    if not gets_in("friend", "10.0.0.2", 80):
        print(f"{moment}: locked")
    for port in (9000, 8081):
        if gets_in("stranger", "10.0.0.2", port, "0.3"):
            print(f"{moment}: open")


apply(FIRST)
number = 0
finished = False
while not finished:
    number += 1
    finished = apply(SECOND, number)
    look(f"killed at {number}")
    apply(SECOND)
    if not gets_in("outside", "203.0.113.10", 80):
        print(f"killed at {number}: the repetition did not bring the new rules")
    # UFW off, so that the next change has everything to do.
    subprocess.run(["ufw", "disable"], stdout=subprocess.DEVNULL, check=True)
    apply(FIRST)
print("programs:", number, file=sys.stderr)
