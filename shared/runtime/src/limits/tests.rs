use super::*;

#[test]
fn there_is_always_at_least_one_cpu() {
    assert!(available_cpus() >= 1);
}

#[test]
fn the_soft_limit_becomes_the_hard_limit() {
    let hard = getrlimit(Resource::Nofile).maximum;
    assert_eq!(raise_open_files(), hard);
    assert_eq!(getrlimit(Resource::Nofile).current, hard);
}
