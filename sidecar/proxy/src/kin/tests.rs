use super::*;

fn at(seconds: u64) -> Time {
    Time(seconds * 1_000_000_000)
}

#[test]
fn what_one_says_all_hear_for_a_while() {
    let kin = Kin::new(1);
    let (one, other) = (TraceKey::of(1, 1), TraceKey::of(2, 1));
    assert_eq!(kin.find(one, at(100)), Marks::default());
    kin.put(one, Mark::Further, at(100));
    kin.put(one, Mark::Told(Reason::Spent), at(101));
    assert!(kin.find(one, at(110)).further());
    assert_eq!(kin.find(one, at(110)).told(), Some(Reason::Spent));
    assert_eq!(kin.find(other, at(110)), Marks::default());
    assert_eq!(kin.find(one, at(112)), Marks::default());
}

/// Many threads that mark at once: what each says is found as long as there is room, and nothing is ever out of bounds.
#[test]
fn threads_mark_beside_each_other() {
    let kin = Kin::new(7);
    std::thread::scope(|scope| {
        for thread in 0..4u128 {
            let kin = &kin;
            scope.spawn(move || {
                for trace in 0..200u128 {
                    let key = TraceKey::of(thread << 64 | trace, 7);
                    kin.put(key, Mark::Further, at(5));
                }
            });
        }
    });
    let found = (0..4u128)
        .flat_map(|thread| (0..200u128).map(move |trace| TraceKey::of(thread << 64 | trace, 7)))
        .filter(|key| kin.find(*key, at(6)).further())
        .count();
    // 800 marks in 256 sets of 16; a race may lose one now and then.
    assert!(found > 780, "{found}");
}

#[test]
fn a_table_has_its_size() {
    assert_eq!(std::mem::size_of::<Padded<[AtomicU64; WAYS]>>() * SETS, 32 * 1024);
}

#[test]
fn failures_are_what_callers_try_again() {
    let mut headers = HeaderMap::new();
    assert!(fails(StatusCode::SERVICE_UNAVAILABLE, &headers));
    assert!(fails(StatusCode::TOO_MANY_REQUESTS, &headers));
    assert!(!fails(StatusCode::OK, &headers));
    assert!(!fails(StatusCode::NOT_FOUND, &headers));
    headers.insert("grpc-status", http::HeaderValue::from_static("14"));
    assert!(fails(StatusCode::OK, &headers));
    headers.insert("grpc-status", http::HeaderValue::from_static("0"));
    assert!(!fails(StatusCode::OK, &headers));
}
