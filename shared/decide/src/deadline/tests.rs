use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Result<Duration, InvalidTimeout> {
    parse(&HeaderValue::from_str(text).unwrap())
}

#[test]
fn every_unit_is_read() {
    let table = [
        ("1n", Duration::from_nanos(1)),
        ("20u", Duration::from_micros(20)),
        ("300m", Duration::from_millis(300)),
        ("4S", Duration::from_secs(4)),
        ("5M", Duration::from_secs(300)),
        ("6H", Duration::from_secs(6 * 3600)),
        ("0S", Duration::ZERO),
        ("00000001m", Duration::from_millis(1)),
        ("99999999H", Duration::from_secs(99_999_999 * 3600)),
    ];
    for (text, expected) in table {
        assert_eq!(read(text), Ok(expected), "{text}");
    }
}

#[test]
fn anything_else_is_an_error() {
    for text in
        ["", "S", "1", "1s", "1h", "123456789S", "-1S", "+1S", "1.5S", " 1S", "1S ", "1 S", "0x1S", "1SS"]
    {
        assert_eq!(read(text), Err(InvalidTimeout), "{text:?}");
    }
    assert_eq!(parse(&HeaderValue::from_bytes(b"\xff1S").unwrap()), Err(InvalidTimeout));
}

#[test]
fn the_finest_unit_that_fits_is_written() {
    let table = [
        (Duration::ZERO, "0n"),
        (Duration::from_nanos(99_999_999), "99999999n"),
        (Duration::from_nanos(100_000_000), "100000u"),
        (Duration::from_secs(1), "1000000u"),
        (Duration::from_secs(100), "100000m"),
        (Duration::from_secs(100_000), "100000S"),
        (Duration::MAX, "99999999H"),
    ];
    for (timeout, expected) in table {
        assert_eq!(format(timeout), expected);
    }
}

#[test]
fn deadlines_only_get_shorter() {
    let seconds = Duration::from_secs;
    assert_eq!(shorten(None, None, seconds(1)), None);
    assert_eq!(shorten(Some(seconds(5)), None, seconds(1)), Some(seconds(4)));
    assert_eq!(shorten(None, Some(seconds(5)), seconds(1)), Some(seconds(4)));
    assert_eq!(shorten(Some(seconds(9)), Some(seconds(5)), seconds(1)), Some(seconds(4)));
    assert_eq!(shorten(Some(seconds(2)), Some(seconds(5)), seconds(3)), Some(Duration::ZERO));
}

proptest! {
    #[test]
    fn what_was_read_is_written_back(number in 0u64..100_000_000, unit in prop::sample::select(vec!['n', 'u', 'm', 'S', 'M', 'H'])) {
        let timeout = read(&std::format!("{number}{unit}")).unwrap();
        prop_assert_eq!(parse(&format(timeout)), Ok(timeout));
    }

    #[test]
    fn writing_rounds_down_by_little(nanos in 0u64..100_000_000_000_000) {
        let timeout = Duration::from_nanos(nanos);
        let written = parse(&format(timeout)).unwrap();
        prop_assert!(written <= timeout);
        prop_assert!((timeout - written).as_secs_f64() <= timeout.as_secs_f64() * 1e-5);
    }
}

#[test]
fn a_policy_grants_less_but_never_nothing() {
    let seconds = Duration::from_secs;
    for (caller, max, offset, expected) in [
        (10, None, 0, 10),
        (10, Some(4), 0, 4),
        (3, Some(4), 0, 3),
        (10, Some(4), 1, 3),
        (10, None, 2, 8),
        (2, None, 2, 2),
        (1, None, 2, 1),
        (10, Some(1), 5, 1),
    ] {
        let policy = GrpcTimeout { max: max.map(seconds), offset: seconds(offset) };
        assert_eq!(granted(seconds(caller), &policy), seconds(expected), "{caller} {max:?} {offset}");
    }
}
