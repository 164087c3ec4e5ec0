"""ssh-audit by its own policies, for a server whose host key has a certificate: `audit.py POLICY`.

Its policies call certificates optional. ssh-audit 3.9.0 forgets that where a policy also allows some of the host keys
to be missing (the policies for Debian 13 and for Ubuntu 24.04), and so counts every certificate as a fault. Nothing
else is changed here.
"""

import sys

from ssh_audit import builtin_policies, ssh_audit

for policy in builtin_policies.BUILTIN_POLICIES.values():
    if policy.get("allow_hostkey_subset_and_reordering"):
        policy["host_keys"] = policy["host_keys"] + policy["optional_host_keys"]
sys.argv = ["ssh-audit", "-n", f"--policy={sys.argv[1]}", "127.0.0.1"]
sys.exit(ssh_audit.main())
