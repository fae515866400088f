"""The AES-256-GCM cipher: decryption returns the original bytes or raises an error."""

from __future__ import annotations

import os
import pickle
import traceback
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from moorage.adapters.ciphers import aes_gcm
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.domain.secrets.secret import Secret
from moorage.domain.state.sealing import KeyRing, sealed_with, sealing_context
from moorage.errors import ConfigurationError, InvalidData

KEY = bytes(range(32))
RING = KeyRing([(7, Secret(KEY))])
CIPHER = AesGcmCipher(RING)
PLACE = sealing_context("acme", "stripe", "credential")
PLAIN_SECRET = b"sk_live_secret"
SEALED = CIPHER.seal(PLAIN_SECRET, PLACE)

GOLDEN = bytes.fromhex(
    "6d726701000000070224fa4c000102030405060708090a0b34698977ac93a744fe24f4f9"
    "d49d8400fb21b63124f2584e72727394590a"
)
"""`PLAIN` about `HERE`, as the first release sealed it with the nonce 000102…0b."""


@pytest.mark.parametrize(
    "key, nonce, plain, extra, sealed",
    [
        ("00" * 32, "00" * 12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
        (
            "00" * 32,
            "00" * 12,
            "00" * 16,
            "",
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
        ),
        (
            "feffe9928665731c6d6a8f9467308308" * 2,
            "cafebabefacedbaddecaf888",
            (
                "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
            ),
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            (
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                "76fc6ece0f4e1768cddf8853bb2d551b"
            ),
        ),
    ],
)
def test_underlying_aes_gcm_library_reproduces_published_test_vectors(
    key: str, nonce: str, plain: str, extra: str, sealed: str
) -> None:
    """The AES-GCM library that moorage uses reproduces the published test vectors."""
    cipher = AESGCM(bytes.fromhex(key))
    arguments = bytes.fromhex(nonce), bytes.fromhex(plain), bytes.fromhex(extra)

    assert sealed == cipher.encrypt(*arguments).hex()


def test_format_is_stable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encrypted format is unchanged since the first release: header, nonce, ciphertext, tag."""
    nonce = bytes(range(12))
    monkeypatch.setattr(os, "urandom", lambda size: nonce[:size])
    head = GOLDEN[:12]

    assert GOLDEN == CIPHER.seal(PLAIN_SECRET, PLACE)
    assert GOLDEN == head + nonce + AESGCM(KEY).encrypt(nonce, PLAIN_SECRET, head + PLACE)
    assert PLAIN_SECRET == CIPHER.open(GOLDEN, PLACE)


@given(st.binary(max_size=2000), st.binary(max_size=80))
def test_encryption_round_trip(plain: bytes, of: bytes) -> None:
    """Encrypted bytes decrypt to the original, and encrypting twice produces different bytes."""
    first_bytes, repeated_bytes = CIPHER.seal(plain, of), CIPHER.seal(plain, of)

    assert plain == CIPHER.open(first_bytes, of) == CIPHER.open(repeated_bytes, of)
    assert first_bytes != repeated_bytes
    assert len(plain) + 40 == len(first_bytes)
    assert 7 == sealed_with(first_bytes)


def test_every_flipped_bit_is_noticed() -> None:
    """If any single bit of the encrypted bytes or their header is changed, decryption fails."""
    for bit in range(8 * len(SEALED)):
        changed_bytes = bytearray(SEALED)
        changed_bytes[bit // 8] ^= 1 << bit % 8
        with pytest.raises((InvalidData, ConfigurationError)):
            CIPHER.open(bytes(changed_bytes), PLACE)


def test_shortened_or_extended_bytes_are_refused() -> None:
    """Encrypted bytes that are shortened or extended at either end are refused."""
    cuts = [SEALED[:size] for size in range(len(SEALED))]
    cuts += [SEALED[size:] for size in range(1, len(SEALED) + 1)]
    for changed_bytes in (*cuts, SEALED + b"\0", b"\0" + SEALED):
        with pytest.raises(InvalidData):
            CIPHER.open(changed_bytes, PLACE)


@given(st.binary(max_size=200))
def test_bytes_that_were_never_encrypted_are_refused(anything: bytes) -> None:
    """Bytes that were never encrypted are refused."""
    for sealed_bytes in (anything, SEALED[:12] + anything):
        with pytest.raises(InvalidData):
            CIPHER.open(sealed_bytes, PLACE)


@given(st.one_of(st.none(), st.text()), st.text(), st.text())
def test_ciphertext_is_bound_to_its_tenant_service_and_name(
    tenant: str | None, service: str, name: str
) -> None:
    """Encrypted bytes do not decrypt under another tenant, service or name."""
    other_bytes = sealing_context(tenant, service, name)
    if other_bytes != PLACE:
        with pytest.raises(InvalidData, match="belongs to another tenant"):
            CIPHER.open(SEALED, other_bytes)


def test_older_keys_still_decrypt() -> None:
    """A new key encrypts; older keys still decrypt, and bytes encrypted with them are detected."""
    ring = generate_keys(RING)
    newer_cipher = AesGcmCipher(ring)
    sealed_bytes = newer_cipher.seal(PLAIN_SECRET, PLACE)

    assert 8 == sealed_with(sealed_bytes)
    assert (True, False) == (
        newer_cipher.needs_rotation(SEALED),
        newer_cipher.needs_rotation(sealed_bytes),
    )
    assert (
        PLAIN_SECRET == newer_cipher.open(SEALED, PLACE) == newer_cipher.open(sealed_bytes, PLACE)
    )
    with pytest.raises(ConfigurationError, match="version 8, which is not in the ring"):
        CIPHER.open(sealed_bytes, PLACE)


def test_keys_are_new_each_time() -> None:
    """Each newly generated key ring has a different key, whose version is 1."""
    ring, other_ring = generate_keys(), generate_keys()

    assert ring != other_ring
    assert 1 == ring.seals_with == other_ring.seals_with


def test_different_first_keys_are_reported() -> None:
    """Decrypting with another host's key raises a different error than decrypting damaged bytes."""
    cipher, other_cipher = AesGcmCipher(generate_keys()), AesGcmCipher(generate_keys())

    with pytest.raises(
        ConfigurationError, match="differs from the key of this version in the ring"
    ):
        other_cipher.open(cipher.seal(PLAIN_SECRET, PLACE), PLACE)


@pytest.mark.parametrize("changed", [GOLDEN[:-1], GOLDEN[:-20], b"x"])
def test_errors_have_no_cause(changed: bytes) -> None:
    """A decryption error does not chain the library's exception."""
    with pytest.raises(InvalidData) as excinfo:
        CIPHER.open(changed, PLACE)

    assert excinfo.value.__cause__ is None
    assert excinfo.value.__suppress_context__ or excinfo.value.__context__ is None
    assert "sealed" == excinfo.value.field
    assert InvalidData.remedy != excinfo.value.remedy


@pytest.mark.parametrize(
    "plain, of",
    [("sk_live_secret", PLACE), (PLAIN_SECRET, "acme"), (PLAIN_SECRET + bytes(100), PLACE)],
)
def test_encryption_errors_do_not_show_the_text(
    plain: Any,
    of: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If encryption fails, neither the error nor its traceback shows the plaintext."""
    monkeypatch.setattr(aes_gcm, "LONGEST", 100)
    with pytest.raises(InvalidData, match="encrypts only bytes, and at most 100") as excinfo:
        CIPHER.seal(plain, of)

    report = traceback.TracebackException.from_exception(excinfo.value, capture_locals=True)
    adapter_locals = [
        frame.locals for frame in report.stack if "/moorage/adapters/" in frame.filename
    ]
    assert 1 == len(adapter_locals)
    assert "sk_live" not in repr(adapter_locals)


def test_plaintext_of_maximum_length_is_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plaintext of exactly the maximum length can be encrypted."""
    monkeypatch.setattr(aes_gcm, "LONGEST", len(PLAIN_SECRET))

    assert PLAIN_SECRET == CIPHER.open(CIPHER.seal(PLAIN_SECRET, PLACE), PLACE)


def test_repr_of_cipher_shows_no_key() -> None:
    """The `repr` of a cipher shows no key, and pickling a cipher is refused."""
    assert "AesGcmCipher(versions=(7,))" == repr(CIPHER)
    with pytest.raises(TypeError):
        pickle.dumps(CIPHER)
