use super::*;
use crate::testing::by;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

fn entry() -> impl Strategy<Value = Entry> {
    (any::<u32>(), any::<u32>(), vec(any::<u8>(), 0..40)).prop_map(|(created, after, value)| Entry {
        created: Revision(created.into()),
        modified: Revision(u64::from(created) + u64::from(after)),
        value: value.into(),
    })
}

fn record() -> impl Strategy<Value = Record> {
    let change = (option::of(entry()), option::of(vec(any::<u8>(), 0..40)))
        .prop_filter("a change has a side", |(before, after)| before.is_some() || after.is_some());
    (any::<u64>(), any::<[u8; 32]>(), ".{0,20}", ".{0,20}", any::<u64>(), btree_map(".{0,8}", change, 0..6))
        .prop_map(|(revision, previous, author, message, unix_millis, changes)| Record {
            revision: Revision(revision),
            previous,
            attribution: Attribution { author, message, unix_millis },
            changes: changes
                .into_iter()
                .map(|(key, (before, after))| Recorded { key, before, after: after.map(Into::into) })
                .collect(),
        })
}

proptest! {
    #[test]
    fn a_record_reads_back_as_written(record in record()) {
        let (stored, digest) = record.encode();
        prop_assert_eq!(stored.len(), record.encoded_len());
        prop_assert_eq!(Record::decode(record.revision, &stored), Ok((record, digest)));
    }

    #[test]
    fn a_changed_record_is_refused(record in record(), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let (mut stored, _) = record.encode();
        let at = at.index(stored.len());
        stored[at] ^= flip;
        prop_assert!(Record::decode(record.revision, &stored).is_err());
        prop_assert!(Record::decode(record.revision, &stored[..at]).is_err());
    }

    /// Even with a digest that fits, so that the parser is reached.
    #[test]
    fn no_bytes_make_the_parser_panic(mut bytes in vec(any::<u8>(), 32..200), version in any::<bool>()) {
        if version && bytes.len() > 41 {
            bytes[32..41].copy_from_slice(&[VERSION, 7, 0, 0, 0, 0, 0, 0, 0]);
        }
        let digest: Digest = Sha256::digest(&bytes).into();
        bytes.extend_from_slice(&digest);
        if let Ok((record, _)) = Record::decode(Revision(7), &bytes) {
            prop_assert_eq!(record.encode().0, bytes);
        }
    }

    #[test]
    fn an_entry_reads_back_and_a_changed_one_is_refused(
        key in ".{0,8}", entry in entry(), at in any::<prop::sample::Index>(), flip in 1..=255_u8,
    ) {
        let mut stored = encode_entry(&key, &entry);
        prop_assert_eq!(decode_entry(&key, &stored), Ok(entry));
        let other = format!("{key}x");
        prop_assert!(decode_entry(&other, &stored).is_err());
        let at = at.index(stored.len());
        stored[at] ^= flip;
        prop_assert!(decode_entry(&key, &stored).is_err());
        prop_assert!(decode_entry(&key, &stored[..at]).is_err());
    }

    #[test]
    fn a_head_reads_back_and_a_changed_one_is_refused(
        base in any::<u32>(), newer in any::<u32>(), digests in any::<([u8; 32], [u8; 32])>(),
        at in any::<prop::sample::Index>(), flip in 1..=255_u8,
    ) {
        let head = Head {
            base: Revision(base.into()),
            base_digest: digests.0,
            revision: Revision(u64::from(base) + u64::from(newer)),
            digest: digests.1,
        };
        let mut stored = head.encode();
        prop_assert_eq!(Head::decode(&stored), Ok(head));
        let at = at.index(stored.len());
        stored[at] ^= flip;
        prop_assert!(Head::decode(&stored).is_err());
    }
}

#[test]
fn a_record_is_refused_under_another_revision() {
    let record = Record { revision: Revision(3), previous: GENESIS, attribution: by("ann"), changes: vec![] };
    let (stored, _) = record.encode();
    assert_eq!(
        Record::decode(Revision(4), &stored),
        Err("the record of revision 4 belongs to another revision".into())
    );
}

#[test]
fn the_digest_covers_the_predecessor() {
    let record =
        |previous| Record { revision: Revision(3), previous, attribution: by("ann"), changes: vec![] };
    assert_ne!(record(GENESIS).encode().1, record([1; 32]).encode().1);
}
