use super::*;
use crate::testing::Random;

fn mark(revision: u64) -> Mark {
    Mark { revision: Revision(revision), digest: [revision as u8; 32] }
}

fn write(page: &mut [u8; PAGE], slot: usize, mark: Mark) {
    let at = mark_offset(slot) as usize;
    page[at..at + MARK].copy_from_slice(&encode_mark(mark));
}

#[test]
fn a_new_page_is_the_empty_store() {
    let page = parse(&first_page()).unwrap();
    assert_eq!(page.acknowledged, Mark { revision: Revision(0), digest: GENESIS });
}

#[test]
fn the_newest_whole_mark_counts() {
    let mut page = first_page();
    write(&mut page, 0, mark(7));
    write(&mut page, 1, mark(6));
    assert_eq!(parse(&page), Ok(Page { acknowledged: mark(7), slot: 0 }));
    write(&mut page, 1, mark(8));
    assert_eq!(parse(&page), Ok(Page { acknowledged: mark(8), slot: 1 }));
    page[SLOTS[1] + 3] ^= 1;
    assert_eq!(parse(&page), Ok(Page { acknowledged: mark(7), slot: 0 }));
    page[SLOTS[0] + MARK - 1] ^= 1;
    assert_eq!(parse(&page), Err(Refused::Damaged("neither of its marks matches its checksum")));
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let mut page = first_page();
    page[FORMAT_AT] = 9;
    assert!(matches!(parse(&page), Err(Refused::Damaged(_))));
    let checksum = xxh3_128(&page[..CHECKSUM_AT]).to_le_bytes();
    page[CHECKSUM_AT..FIXED].copy_from_slice(&checksum);
    assert_eq!(parse(&page), Err(Refused::Newer(9)));
}

#[test]
fn every_flip_in_the_fixed_part_is_refused() {
    for at in 0..FIXED {
        for bit in 0..8 {
            let mut page = first_page();
            page[at] ^= 1 << bit;
            assert!(matches!(parse(&page), Err(Refused::Damaged(_))), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let mut random = Random(1);
    for _ in 0..1000 {
        let mut page = first_page();
        for _ in 0..random.below(8) {
            page[random.below(1200) as usize] = random.next() as u8;
        }
        _ = parse(&page);
    }
}
