from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from moorage_cli.control_plane.pki import Authority


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


def policy(authority: Authority) -> PolicyBuilder:
    return PolicyBuilder().store(Store([load(authority.files.certificate)]))


def test_serving_certificate_holds_for_its_hosts_and_no_other(authority: Authority) -> None:
    served = load(authority.issue_server("server", ["127.0.0.1", "localhost"]).certificate)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    policy(authority).build_server_verifier(address).verify(served, [])
    policy(authority).build_server_verifier(x509.DNSName("localhost")).verify(served, [])
    with pytest.raises(VerificationError):
        policy(authority).build_server_verifier(x509.DNSName("elsewhere")).verify(served, [])


def test_another_authority_is_not_trusted(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "other").issue_server("server", ["localhost"])
    with pytest.raises(VerificationError):
        policy(authority).build_server_verifier(x509.DNSName("localhost")).verify(
            load(stranger.certificate), []
        )


def test_client_certificate_names_user_and_groups(authority: Authority) -> None:
    subject = load(authority.issue_client("jane", "jane", ("blue", "green")).certificate).subject
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    groups = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert [name.value for name in names] == ["jane"]
    assert [group.value for group in groups] == ["blue", "green"]


def test_private_keys_are_private_and_fit_their_certificates(authority: Authority) -> None:
    pair = authority.issue_client("jane", "jane")
    assert pair.key.stat().st_mode & 0o777 == 0o600
    key = load_pem_private_key(pair.key.read_bytes(), None)
    assert key.public_key() == load(pair.certificate).public_key()


def test_certificates_are_valid_now_and_for_days(authority: Authority) -> None:
    certificate = load(authority.files.certificate)
    now = dt.datetime.now(dt.UTC)
    assert certificate.not_valid_before_utc <= now
    assert certificate.not_valid_after_utc >= now + dt.timedelta(days=6)
