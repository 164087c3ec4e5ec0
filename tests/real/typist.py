"""Types commands, one after the other, and tells of each its exit code and the end of what it printed, as JSON.

Usage: typist.py SSH_CONFIGURATION < COMMANDS_AS_JSON
"""

import json
import subprocess
import sys


def main(configuration: str) -> None:
    for text in json.load(sys.stdin):
        # ssh with the way through the bastion that people have in their own configuration.
        script = f'ssh() {{ command ssh -n -F {configuration} "$@"; }}\n{text}'
        done = subprocess.run(
            ["bash", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
        )
        print(json.dumps([text, done.returncode, (done.stdout + done.stderr)[-600:]]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
