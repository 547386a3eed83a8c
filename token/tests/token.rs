//! Tokens survive the way there and back, and nothing else passes.

use proptest::prelude::*;
use rookery_model::{DeviceId, UserId};
use rookery_token::{Claims, KeyId, MAX_TOKEN_CHARS, PublicKeys, SigningKey, TokenError, claims_unverified, verify};

fn key(id: u16) -> SigningKey {
    SigningKey::generate(KeyId(id), &[id as u8 + 1; 32])
}

fn claims(user_id: u64) -> Claims {
    Claims {
        user_id: UserId::new(user_id),
        key_id: KeyId(3),
        issued_at: 400_000_000,
        epoch: 7,
        device: DeviceId::new(0x1234_5678_9abc_def0),
    }
}

#[test]
fn the_form_is_as_documented() {
    let token = key(3).sign(claims(80_351_110_224_678_912));
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    // Text of the user id, and 0003, 17d78400, 00000007, 123456789abcdef0.
    assert_eq!(parts[0], "ODAzNTExMTAyMjQ2Nzg5MTI");
    assert_eq!(parts[1], "AAMX14QAAAAABxI0VniavN7w");
    assert_eq!(parts[2].len(), 86);
    assert_eq!(verify(&token, &key(3).public_keys()), Ok(claims(80_351_110_224_678_912)));
    assert_eq!(claims_unverified(&token), Ok(claims(80_351_110_224_678_912)));
}

#[test]
fn the_longest_token_is_as_long_as_the_limit() {
    let longest = key(3).sign(claims(i64::MAX as u64));
    assert_eq!(longest.len(), MAX_TOKEN_CHARS);
    assert!(verify(&longest, &key(3).public_keys()).is_ok());
    assert_eq!(verify(&format!("{longest}A"), &key(3).public_keys()), Err(TokenError::Malformed));
}

#[test]
fn every_changed_octet_is_noticed() {
    let keys = key(3).public_keys();
    let token = key(3).sign(claims(175_928_847_299_117_063));
    for at in 0..token.len() {
        for replacement in (0..=127_u8).filter(|byte| *byte != token.as_bytes()[at]) {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = replacement;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verify(&changed, &keys).is_err(), "octet {at} as {replacement:#x}");
        }
    }
    for cut in 0..token.len() {
        assert_eq!(verify(&token[..cut], &keys), Err(TokenError::Malformed), "cut at {cut}");
    }
}

#[test]
fn errors_say_what_was_wrong() {
    let token = key(3).sign(claims(1));
    assert_eq!(verify(&token, &PublicKeys::default()), Err(TokenError::UnknownKey(KeyId(3))));
    // Another key under the same name.
    let impostor = SigningKey::generate(KeyId(3), &[9; 32]);
    assert_eq!(verify(&token, &impostor.public_keys()), Err(TokenError::BadSignature));
    for bad in ["", ".", "..", "...", "MQ.MQ.MQ", "Bot x", "\u{1F600}", &"A".repeat(10_000)] {
        assert_eq!(verify(bad, &key(3).public_keys()), Err(TokenError::Malformed), "{bad:.20}");
    }
}

#[test]
fn a_user_id_has_one_text() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let token = key(3).sign(claims(42));
    let (_, rest) = token.split_once('.').unwrap();
    for text in ["042", "+42", " 42", "", "9223372036854775808", "18446744073709551615"] {
        let changed = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(text));
        assert_eq!(claims_unverified(&changed), Err(TokenError::Malformed), "{text:?}");
    }
    let padded = format!("NDI=.{rest}");
    assert_eq!(claims_unverified(&padded), Err(TokenError::Malformed));
    // `NDI` with the unused bits of its last character set.
    let loose = format!("NDJ.{rest}");
    assert_eq!(claims_unverified(&loose), Err(TokenError::Malformed));
}

#[test]
fn keys_are_stored_and_read() {
    let original = key(513);
    let read = SigningKey::from_bytes(&original.to_bytes()).unwrap();
    assert_eq!((read.id(), read.to_bytes()), (KeyId(513), original.to_bytes()));
    assert!(SigningKey::from_bytes(&[0; 33]).is_none());
    assert_eq!(format!("{original:?}"), "SigningKey { id: KeyId(513), .. }");
}

#[test]
fn public_keys_travel_as_cbor() {
    let mut keys = key(1).public_keys();
    keys.insert(&key(2));
    let mut bytes = Vec::new();
    ciborium::into_writer(&keys, &mut bytes).unwrap();
    let read: PublicKeys = ciborium::from_reader(bytes.as_slice()).unwrap();
    assert_eq!(read, keys);
    assert!(verify(&key(2).sign(claims(1)), &read).is_ok());
    let mut without = read;
    without.remove(KeyId(2));
    assert_eq!(verify(&key(2).sign(claims(1)), &without), Err(TokenError::UnknownKey(KeyId(2))));
}

#[test]
fn bytes_that_are_no_public_key_are_refused() {
    for bytes in [vec![], vec![1; 31], vec![1; 33], vec![2; 32]] {
        let raw = std::collections::BTreeMap::from([(1_u16, serde_bytes::ByteBuf::from(bytes.clone()))]);
        let mut cbor = Vec::new();
        ciborium::into_writer(&raw, &mut cbor).unwrap();
        assert!(ciborium::from_reader::<PublicKeys, _>(cbor.as_slice()).is_err(), "{bytes:?}");
    }
}

#[test]
fn issue_time_counts_from_2015() {
    assert_eq!(Claims::issue_time(1_420_070_400_000), 0);
    assert_eq!(Claims::issue_time(0), 0);
    assert_eq!(Claims::issue_time(u64::MAX), u32::MAX);
    let claims = Claims { issued_at: Claims::issue_time(1_700_000_000_999), ..claims(1) };
    assert_eq!(claims.issued_at_unix_ms(), 1_700_000_000_000);
}

proptest! {
    #[test]
    fn claims_come_back(user in 0..=i64::MAX as u64, key_id: u16, issued_at: u32, epoch: u32, device: u64, seed: [u8; 32]) {
        let key = SigningKey::generate(KeyId(key_id), &seed);
        let claims = Claims {
            user_id: UserId::new(user), key_id: KeyId(key_id), issued_at, epoch, device: DeviceId::new(device),
        };
        let token = key.sign(claims);
        prop_assert!(token.len() <= MAX_TOKEN_CHARS);
        prop_assert_eq!(verify(&token, &key.public_keys()), Ok(claims));
    }

    #[test]
    fn any_text_is_refused_and_none_panics(text in ".{0,160}") {
        prop_assert!(verify(&text, &key(3).public_keys()).is_err());
    }

    #[test]
    fn token_like_text_is_refused(text in "[A-Za-z0-9_-]{0,26}\\.[A-Za-z0-9_-]{24}\\.[A-Za-z0-9_-]{86}") {
        prop_assert!(verify(&text, &key(3).public_keys()).is_err());
    }
}
