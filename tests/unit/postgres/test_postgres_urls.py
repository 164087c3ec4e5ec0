"""URLs for applications, and what a server gets to reach the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bulwark.hetzner.plugins.filter.database_client import FilterModule as Client
from ansible_collections.bulwark.hetzner.plugins.filter.postgres_urls import FilterModule

PASSWORD = "p@ss:% /?#x&\"'\\+1"
PAIR = [{"name": "db-primary", "address": "10.0.0.6"}, {"name": "db-replica", "address": "10.0.0.7"}]
LOGIN = {"user": "rails_app", "password": PASSWORD, "root_certificate": "/etc/bulwark/database/ca.crt"}
DATABASES = {"cache": "rails_production_cache", "primary": "rails_production"}
UPLOADS = {
    "endpoint": "https://storage.example",
    "region": "fsn1",
    "bucket": "uploads",
    "access_key": "AK1",
    "secret_key": "s+e/c=",
}


def urls(members: object = PAIR, database: str = "rails_production", **more: str) -> dict[str, str]:
    result: dict[str, str] = FilterModule().filters()["postgres_urls"](members, database=database, **(LOGIN | more))
    return result


def client(**more: Any) -> Mapping[str, Any]:
    result: Mapping[str, Any] = Client().filters()["database_client"](
        more.pop("members", PAIR),
        more.pop("databases", DATABASES),
        passfile="/etc/bulwark/database/pgpass",
        **(LOGIN | more),
    )
    return result


def test_a_url_names_all_members_and_what_is_asked_of_them() -> None:
    for purpose, session in (("write", "read-write"), ("read", "prefer-standby")):
        query = parse_qs(urlsplit(urls()[purpose]).query, strict_parsing=True)
        assert query["host"] == ["10.0.0.6,10.0.0.7"]
        assert query["port"] == ["5432,5432"]
        assert query["target_session_attrs"] == [session]
        assert (query["sslmode"], query["sslrootcert"]) == (["verify-full"], ["/etc/bulwark/database/ca.crt"])


def test_a_url_is_one_by_rfc_3986_with_a_single_member_in_its_authority() -> None:
    parts = urlsplit(urls()["write"])
    assert (parts.scheme, parts.hostname, parts.port, parts.path) == (
        "postgresql",
        "10.0.0.6",
        5432,
        "/rails_production",
    )
    assert unquote(parts.password or "") == PASSWORD
    # Everything that could mean something else is encoded; a blank as %20, since neither client reads + as one.
    assert parts.password == "p%40ss%3A%25%20%2F%3F%23x%26%22%27%5C%2B1"


def test_a_member_with_an_ipv6_address() -> None:
    url = urls([{"name": "db", "address": "fd00::6"}])["write"]
    assert "@[fd00::6]:5432/" in url
    assert "host=fd00::6&port=5432&" in url


def test_rails_finds_every_database_under_its_name() -> None:
    environment = client()["environment"]
    assert list(environment) == ["DATABASE_URL", "DATABASE_READ_URL", "REPLICA_DATABASE_URL", "CACHE_DATABASE_URL"]
    assert environment["DATABASE_URL"] == urls()["write"]
    assert environment["DATABASE_READ_URL"] == environment["REPLICA_DATABASE_URL"] == urls()["read"]
    assert environment["CACHE_DATABASE_URL"] == urls(database="rails_production_cache")["write"]


def test_uploads_come_with_the_names_of_their_kind() -> None:
    environment = client(uploads=UPLOADS)["environment"]
    assert {name: value for name, value in environment.items() if name.startswith("S3_")} == {
        "S3_ENDPOINT": "https://storage.example",
        "S3_REGION": "fsn1",
        "S3_BUCKET": "uploads",
        "S3_ACCESS_KEY_ID": "AK1",
        "S3_SECRET_ACCESS_KEY": "s+e/c=",
    }


def test_psql_knows_each_database_for_writing_and_reading_and_no_password() -> None:
    files = client()
    sections = {part.split("]")[0][1:]: part for part in files["services"].split("\n\n")}
    assert sorted(sections) == [
        "rails_production",
        "rails_production_cache",
        "rails_production_cache_read",
        "rails_production_read",
    ]
    assert "target_session_attrs=read-write\n" in sections["rails_production"]
    assert "target_session_attrs=prefer-standby\n" in sections["rails_production_read"]
    assert "passfile=/etc/bulwark/database/pgpass\n" in sections["rails_production"]
    assert PASSWORD not in files["services"]


def test_the_password_file_is_escaped() -> None:
    assert client()["passfile"] == (
        "10.0.0.6:5432:*:rails_app:p@ss\\:% /?#x&\"'\\\\+1\n10.0.0.7:5432:*:rails_app:p@ss\\:% /?#x&\"'\\\\+1\n"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"members": []}, "list at least one"),
        ({"members": [{"name": "db", "address": "db.example"}]}, '"db.example" of the member db is not an address'),
        ({"user": "rails app"}, '"rails app" is not the name of a user'),
        ({"password": "short"}, "The password of rails_app must be 12 or more"),
        ({"password": "a password\nof two lines"}, "The password of rails_app must be 12 or more"),
        ({"root_certificate": "ca.crt"}, "give an absolute path"),
        ({"databases": {"cache": "rails_production_cache"}}, "No database is called primary"),
        ({"databases": {"primary": "rails]\npassword=x"}}, "is not the name of a database"),
        ({"databases": {"primary": "rails", "my-cache": "cache"}}, 'The database "my-cache" needs a name'),
        ({"uploads": UPLOADS | {"secret_key": ""}}, "secret_key is missing"),
        ({"uploads": UPLOADS | {"bucket": "a\nb"}}, "The uploads' bucket"),
    ],
)
def test_what_nobody_could_use_is_refused_without_a_secret_in_the_sentence(change: dict[str, Any], says: str) -> None:
    with pytest.raises(AnsibleFilterError, match=says) as refused:
        client(**change)
    assert str(change.get("password", PASSWORD)) not in str(refused.value)
