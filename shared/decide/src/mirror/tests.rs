use super::*;

#[test]
fn the_host_is_marked_and_the_port_stays() {
    assert_eq!(shadow_authority("reviews"), "reviews-shadow");
    assert_eq!(shadow_authority("reviews.default:9080"), "reviews.default-shadow:9080");
    assert_eq!(shadow_authority("[::1]:80"), "[::1]:80");
    assert_eq!(shadow_authority(""), "");
}

#[test]
fn shares_are_kept() {
    let mut random = Random::new(3);
    assert!((0..100).all(|_| selected(Fraction(1_000_000), &mut random)));
    assert!(!(0..100).any(|_| selected(Fraction(0), &mut random)));
    let taken = (0..100_000).filter(|_| selected(Fraction(100_000), &mut random)).count();
    assert!((9_700..10_300).contains(&taken), "{taken}");
}
