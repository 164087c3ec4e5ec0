# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When certificates end. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

CRYPTOGRAPHY_MISSING = False
try:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import SSHCertificate, load_ssh_public_identity
except ImportError:
    CRYPTOGRAPHY_MISSING = True


class EndsError(ValueError):
    """A certificate that cannot be read; the message is a sentence for a person."""


def end(text: str) -> datetime:
    """When a certificate ends: an X.509 one in PEM form (the first in the text), an SSH one as in a -cert.pub file, or
    a time as the cloud's API tells it (``2041-01-31T12:00:00Z``). Raises EndsError.
    """
    if CRYPTOGRAPHY_MISSING:
        raise EndsError("Reading certificates takes the Python package cryptography, 42 or newer.")
    try:
        if "-----BEGIN CERTIFICATE-----" in text:
            return x509.load_pem_x509_certificate(text.encode()).not_valid_after_utc
        if "-cert-v01@openssh.com " in text:
            found = load_ssh_public_identity(text.encode())
            if isinstance(found, SSHCertificate):
                return datetime.fromtimestamp(found.valid_before, UTC)
        told = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise EndsError("This is neither a certificate in PEM form nor one of an SSH host, and no time.") from None
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def told(text: str, now: datetime) -> str:
    """The same for people: the day, and in how many days that is."""
    until = end(text)
    days = (until - now).days
    return f"{until:%Y-%m-%d}, in {days} days" if until > now else f"{until:%Y-%m-%d}, which is past"
