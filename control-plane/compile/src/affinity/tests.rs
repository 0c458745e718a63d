use super::*;
use proptest::prelude::*;
use weir_model::HeaderMutation;

fn clusters(weights: &[u32]) -> Vec<WeightedCluster> {
    let one = |weight: &u32| WeightedCluster {
        subset: None,
        cluster: String::new(),
        weight: *weight,
        request_headers: HeaderMutation::default(),
        response_headers: HeaderMutation::default(),
    };
    weights.iter().map(one).collect()
}

fn levelled(weights: &[u32]) -> Vec<u32> {
    let mut clusters = clusters(weights);
    level(&mut clusters);
    clusters.iter().map(|cluster| cluster.weight).collect()
}

#[test]
fn shares_stay_as_they_are() {
    assert_eq!(levelled(&[90, 10]), [900_000_000, 100_000_000]);
    assert_eq!(levelled(&[1, 1, 2]), [250_000_000, 250_000_000, 500_000_000]);
    assert_eq!(levelled(&[1, 1, 1]).iter().sum::<u32>(), SUM);
}

proptest! {
    /// Whichever the numbers, the last side begins earlier the larger its share is, and the first ends later.
    #[test]
    fn boundaries_follow_shares(one in 1u32..1_000_000, two in 1u32..1_000_000, other in (1u32..1_000_000, 1u32..1_000_000)) {
        let (before, after) = (levelled(&[one, two]), levelled(&[other.0, other.1]));
        prop_assert_eq!(before.iter().sum::<u32>(), SUM);
        let share = |weights: (u32, u32)| f64::from(weights.1) / (f64::from(weights.0) + f64::from(weights.1));
        if share((one, two)) <= share(other) {
            prop_assert!(before[1] <= after[1]);
        }
    }
}
