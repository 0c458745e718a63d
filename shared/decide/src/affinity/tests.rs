use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn cookie(name: &str, ttl: Option<u64>) -> Cookie {
    Cookie {
        name: name.to_owned(),
        ttl: ttl.map(Duration::from_secs),
        path: String::new(),
        attributes: Vec::new(),
    }
}

fn policy(source: HashSource) -> HashPolicy {
    HashPolicy { source, terminal: false }
}

fn header(name: &'static str) -> HashPolicy {
    policy(HashSource::Header(HeaderName::from_static(name)))
}

fn fields(fields: &[(&'static str, &str)]) -> HeaderMap {
    let fields = fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
    fields.collect::<Vec<_>>().into_iter().fold(
        HeaderMap::new(),
        |mut map, (name, value): (_, HeaderValue)| {
            map.append(name, value);
            map
        },
    )
}

fn hashed(policies: &[HashPolicy], headers: &HeaderMap, query: Option<&str>) -> Hashed {
    let caller = Caller { headers, source: "10.1.2.3".parse().unwrap(), query };
    hash(policies, &caller, &mut Random::new(7))
}

fn session(path: &str) -> Session {
    Session { cookie: Cookie { path: path.to_owned(), ..cookie("s", None) }, strict: false }
}

#[test]
fn each_part_is_the_hash_of_what_is_written() {
    let headers = fields(&[("x-user", "ada"), ("cookie", "a=1; user=\"bob\" ;c=3")]);
    let of = |source| hashed(&[policy(source)], &headers, Some("a=1&user=c%20&user=d")).hash;
    assert_eq!(of(HashSource::Header(HeaderName::from_static("x-user"))), Some(xxh64(b"ada", 0)));
    assert_eq!(of(HashSource::Header(HeaderName::from_static("x-none"))), None);
    assert_eq!(of(HashSource::Cookie(cookie("user", None))), Some(xxh64(b"bob", 0)));
    assert_eq!(of(HashSource::Cookie(cookie("none", None))), None);
    assert_eq!(of(HashSource::SourceAddress), Some(xxh64(b"10.1.2.3", 0)));
    assert_eq!(of(HashSource::Query("user".to_owned())), Some(xxh64(b"c%20", 0)));
    assert_eq!(of(HashSource::Query("none".to_owned())), None);
}

#[test]
fn parts_combine_and_a_terminal_one_ends_it() {
    let headers = fields(&[("x-a", "1"), ("x-b", "2")]);
    let (a, b) = (xxh64(b"1", 0), xxh64(b"2", 0));
    assert_eq!(hashed(&[header("x-a"), header("x-b")], &headers, None).hash, Some(a.rotate_left(1) ^ b));
    assert_ne!(hashed(&[header("x-a"), header("x-a")], &headers, None).hash, Some(0));
    let terminal = HashPolicy { terminal: true, ..header("x-a") };
    assert_eq!(hashed(&[terminal.clone(), header("x-b")], &headers, None).hash, Some(a));
    // Without a hash so far it ends nothing.
    assert_eq!(hashed(&[terminal, header("x-b")], &fields(&[("x-b", "2")]), None).hash, Some(b));
}

#[test]
fn the_order_of_fields_does_not_matter() {
    let one = hashed(&[header("x-a")], &fields(&[("x-a", "1"), ("x-a", "2"), ("x-a", "3")]), None);
    let other = hashed(&[header("x-a")], &fields(&[("x-a", "3"), ("x-a", "1"), ("x-a", "2")]), None);
    assert_eq!(one, other);
    assert_eq!(one.hash, Some(xxh64(b"3", xxh64(b"2", xxh64(b"1", 0)))));
}

#[test]
fn a_cookie_is_issued_once_and_brings_the_caller_back() {
    let mut issuing = cookie("user", Some(3600));
    issuing.path = "/shop".to_owned();
    issuing.attributes =
        vec![("SameSite".to_owned(), "Lax".to_owned()), ("Secure".to_owned(), String::new())];
    let policies = [policy(HashSource::Cookie(issuing))];
    let first = hashed(&policies, &HeaderMap::new(), None);
    let [issued] = first.issued.as_slice() else { panic!("{first:?}") };
    let issued = issued.to_str().unwrap();
    let (pair, rest) = issued.split_once("; ").unwrap();
    assert_eq!(rest, "Max-Age=3600; Path=/shop; SameSite=Lax; Secure; HttpOnly");
    let again = hashed(&policies, &fields(&[("cookie", pair)]), None);
    assert_eq!((again.hash, again.issued.len()), (first.hash, 0));
    // An empty one is none.
    assert_eq!(hashed(&policies, &fields(&[("cookie", "user=")]), None).issued.len(), 1);
}

#[test]
fn a_session_cookie_has_no_age() {
    let value = set_cookie(&cookie("user", Some(0)), "x").unwrap();
    assert_eq!(value, "user=\"x\"; HttpOnly");
    let broken = Cookie { path: "/\n".to_owned(), ..cookie("user", Some(0)) };
    assert_eq!(set_cookie(&broken, "x"), None);
}

#[test]
fn sessions_are_for_the_requests_under_their_path() {
    for (own, path, covered) in [
        ("", "/a", true),
        ("/", "/a", true),
        ("/a", "/a", true),
        ("/a", "/a/b", true),
        ("/a", "/ab", false),
        ("/a/", "/a/b", true),
        ("/a/", "/a", false),
        ("/b", "/a", false),
    ] {
        assert_eq!(covers(&session(own), path), covered, "{own} {path}");
    }
}

#[test]
fn a_side_follows_a_number_or_chance() {
    let split = Split::new(&[90, 10]).unwrap();
    let sticky = StickySplit::Header(HeaderName::from_static("x-number"));
    let side = |value: &str, seed| {
        side(&split, &sticky, None, &fields(&[("x-number", value)]), &mut Random::new(seed))
    };
    assert_eq!([side("89", 1), side("90", 1), side("199", 1), side("200", 1)], [0, 1, 1, 0]);
    let sides = |value: &str| (0..200).map(|seed| side(value, seed)).sum::<usize>();
    for wrong in ["", "-1", "x", "99999999999999999999"] {
        assert!((5..50).contains(&sides(wrong)), "{wrong}: {}", sides(wrong));
    }
}

proptest! {
    #[test]
    fn a_pin_survives_its_cookie(cluster: u64, endpoint: u64) {
        let pin = Pin { cluster, endpoint };
        let header = set_cookie(&cookie("s", None), &pin.value()).unwrap();
        let sent = header.to_str().unwrap().split(';').next().unwrap();
        prop_assert_eq!(super::pin(&session(""), &fields(&[("cookie", sent)])), Some(pin));
    }

    #[test]
    fn whatever_a_caller_sends_is_harmless(value in prop::collection::vec(0x20u8..=0xff, 0..80), query in ".{0,40}") {
        prop_assume!(!value.contains(&0x7f));
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_bytes(&value).unwrap());
        let policies =
            [policy(HashSource::Cookie(cookie("s", Some(1)))), policy(HashSource::Query("q".to_owned()))];
        hashed(&policies, &headers, Some(&query));
        super::pin(&session(""), &headers);
        Pin::parse(&value);
    }

    /// Whichever of two sides grows under a constant sum, no caller of it moves to the other.
    #[test]
    fn a_growing_side_loses_no_caller(hash: u64, before in 0u32..=1_000_000, more in 0u32..=1_000_000, canary in 0usize..2) {
        const SUM: u32 = 1_000_000;
        let after = before.saturating_add(more).min(SUM);
        let at = |weight: u32| {
            let mut weights = [SUM - weight, weight];
            if canary == 0 {
                weights.reverse();
            }
            let split = Split::new(&weights).unwrap();
            side(&split, &StickySplit::Hash, Some(hash), &HeaderMap::new(), &mut Random::new(1))
        };
        prop_assert!(at(before) != canary || at(after) == canary);
    }

    /// The same for the last of several.
    #[test]
    fn the_last_of_several_loses_no_caller_as_it_grows(hash: u64, others in prop::collection::vec(0u32..1000, 1..5), more in 0u32..1000) {
        let rest: u32 = others.iter().sum();
        let last = |weight: u32| {
            // What it takes, the others give, from the first on.
            let mut left = weight;
            let mut weights: Vec<u32> = others.iter().map(|other| { let taken = left.min(*other); left -= taken; other - taken }).collect();
            weights.push(weight.min(rest));
            let split = Split::new(&weights);
            split.is_none_or(|split| {
                side(&split, &StickySplit::Hash, Some(hash), &HeaderMap::new(), &mut Random::new(1)) == others.len()
            })
        };
        prop_assume!(rest > 0);
        prop_assert!(!last(more / 2) || last(more));
    }

    #[test]
    fn shares_of_hashes_are_those_of_the_split(seed: u64) {
        let split = Split::new(&[900, 100]).unwrap();
        let mut random = Random::new(seed);
        let canary = (0..10_000).filter(|_| {
            let hash = xxh64(&random.next_u64().to_le_bytes(), 0);
            side(&split, &StickySplit::Hash, Some(hash), &HeaderMap::new(), &mut Random::new(1)) == 1
        });
        prop_assert!((850..1150).contains(&canary.count()));
    }
}
