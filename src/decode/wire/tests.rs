use super::*;

fn varint(bytes: &[u8]) -> Result<u64, String> {
    Reader::new(bytes)
        .length(1)
        .map_err(|fault| fault.what().to_string())
}

#[test]
fn varints_of_every_length_are_read() {
    for shift in 0..64 {
        for value in [1u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(value, &mut bytes);
            assert_eq!(varint(&bytes), Ok(value));
            bytes.pop();
            assert!(varint(&bytes).is_err(), "{value} cut short");
        }
    }
    // Spare bytes are legal, more than 64 bits are not.
    assert_eq!(varint(&[0x81, 0x80, 0x00]), Ok(1));
    let too_long = "a varint has more than 64 bits".to_owned();
    assert_eq!(varint(&[0xff; 11]), Err(too_long));
}

#[test]
fn unknown_fields_and_groups_are_skipped() {
    // A group 2 that holds a varint, a string and a group 3; then field 1.
    let group = [0x13, 0x08, 0x96, 0x01, 0x12, 0x01, b'x', 0x1b, 0x1c, 0x14];
    let mut reader = Reader::new(&group);
    let tag = reader.tag().unwrap().unwrap();
    reader.skip(tag).unwrap();
    assert_eq!(reader.tag(), Ok(None));
    for broken in [&group[..9], &[0x14], &[0x13, 0x1c], &[0x13; 1000]] {
        let mut reader = Reader::new(broken);
        let tag = reader.tag().unwrap().unwrap();
        assert!(reader.skip(tag).is_err());
    }
}

#[test]
fn impossible_tags_are_faults() {
    for bytes in [&[0x00][..], &[0x07], &[0xff; 6], &[0x80]] {
        assert!(Reader::new(bytes).tag().is_err(), "{bytes:?}");
    }
    let mut reader = Reader::new(&[0x0f, 0x00]);
    let tag = reader.tag().unwrap().unwrap();
    assert!(reader.skip(tag).is_err(), "wire type 7");
}

#[test]
fn a_length_cannot_reach_past_its_message() {
    let body = [0x0a, 0x02, 0x0a, 0x02, 0x0a, 0x00];
    let mut outer = Reader::new(&body);
    let tag = outer.tag().unwrap().unwrap();
    let mut inner = outer.message(tag).unwrap();
    let tag = inner.tag().unwrap().unwrap();
    let fault = inner.bytes(tag).unwrap_err();
    assert_eq!(fault.what(), What::Truncated { field: 1 });
    assert_eq!(fault.offset(&body), 4);
}
