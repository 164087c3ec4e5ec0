"""What nmap's reports are taken to mean, on which the scans of the embedded cloud rest."""

from __future__ import annotations

from tests.real.scanning import parse

# In the form of version 7.93.
REPORT = """<nmaprun>
<host><address addr="10.0.0.6" addrtype="ipv4"/><ports>
<extraports state="filtered" count="65530"><extrareasons reason="no-response" count="65530" ports="1-79"/></extraports>
<extraports state="closed" count="4"><extrareasons reason="reset" count="4" ports="80-82,90"/></extraports>
<port protocol="tcp" portid="5432"><state state="open" reason="syn-ack"/></port>
<port protocol="tcp" portid="5433"><state state="filtered" reason="admin-prohibited"/></port>
</ports></host>
<host><address addr="fe80::1" addrtype="ipv6"/><address addr="02:00:00:00:00:01" addrtype="mac"/><ports>
<extraports state="open|filtered" count="2"><extrareasons reason="no-response" count="2" ports="53,123"/></extraports>
</ports></host>
</nmaprun>"""


def test_every_answer_is_an_opening_and_silence_none() -> None:
    assert parse(REPORT) == {"10.0.0.6": {80, 81, 82, 90, 5432}, "fe80::1": set()}
