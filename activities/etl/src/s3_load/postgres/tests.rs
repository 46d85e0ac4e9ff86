use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::*;

pub(super) fn input(more: &Value) -> LoadInput {
    let mut input = json!({"bucket": "land", "table": "public.t", "format": "csv"});
    let fields = input.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    serde_json::from_value(input).expect("an input")
}

#[test]
fn what_is_packed_is_unpacked_and_what_is_not_is_bad() {
    let packed = |text: &[u8]| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(text).expect("memory");
        packed.finish().expect("memory")
    };
    // Several members behind each other are one file.
    let both = [packed(b"1,1\n"), packed(b"2,2\n")].concat();
    let gzip = input(&json!({"gzip": true}));
    let cut = unpacked(&gzip, both[..both.len() - 3].to_vec()).expect_err("cut");
    assert!(cut.contains("in the middle"), "{cut}");
    let plain = unpacked(&gzip, both).expect("gzip");
    assert_eq!(plain, "1,1\n2,2\n");
    assert!(unpacked(&gzip, b"1,1\n".to_vec()).is_err());
    // A name that is wrong does no harm where nothing is said.
    let auto = input(&json!({}));
    let found = unpacked(&auto, packed(b"1,1\n")).expect("gzip");
    assert_eq!(found, "1,1\n");
    let none = input(&json!({"compression": "none"}));
    assert_eq!(
        unpacked(&none, packed(b"1\n")).expect("as it is"),
        packed(b"1\n")
    );
    assert_eq!(
        unpacked(&input(&json!({})), b"1\n".to_vec()).expect("as it is"),
        "1\n"
    );
}
