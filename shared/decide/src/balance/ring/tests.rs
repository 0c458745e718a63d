use super::*;

#[test]
fn a_size_is_laid_out_as_envoy_lays_it_out() {
    // Envoy's own examples: what its comments work out by hand.
    assert_eq!(by_size(&[1; 4], 6, 6), [2, 1, 2, 1]);
    assert_eq!(by_size(&[1; 3], 1024, 8_388_608), [342; 3]);
    assert_eq!(by_size(&[1, 2, 3], 12, 8_388_608), [2, 4, 6]);
    assert_eq!(by_size(&[1; 10], 1, 8_388_608), [1; 10]);
    // Never beyond the bound.
    assert!(
        by_size(&[1, u32::MAX], 1024, u32::MAX).iter().sum::<usize>() <= limits::RING_POINTS as usize + 1
    );
}

#[test]
fn points_of_an_endpoint_do_not_depend_on_the_others() {
    assert_eq!(by_endpoint(&[1; 3], None), [POINTS; 3]);
    assert_eq!(by_endpoint(&[1; 700], None), vec![POINTS / 2; 700]);
    assert_eq!(by_endpoint(&[1, 3], None), [POINTS / 2, 3 * POINTS / 2]);
    assert_eq!(by_endpoint(&[1; 10], Some(64)), [4; 10]);
    assert_eq!(by_endpoint(&[1; 100], Some(64)), [1; 100]);
    assert!(by_endpoint(&[], None).is_empty());
}
