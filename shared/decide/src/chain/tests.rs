use super::*;
use proptest::prelude::*;

/// The rules as they are told: criterion after criterion, of the chains that are left those with the most specific value stay.
fn naive(matches: &[ChainMatch], facts: &Facts<'_>) -> Option<usize> {
    let mut left: Vec<usize> = (0..matches.len()).collect();
    // How specific the best value of a match is, and which one it is; nothing if it does not fit.
    let mut narrow = |best: &dyn Fn(&ChainMatch) -> Option<(u64, String)>| {
        let rated: Vec<_> = left.iter().filter_map(|chain| Some((best(&matches[*chain])?, *chain))).collect();
        let top = rated.iter().map(|(rate, _)| rate.clone()).max();
        left = rated
            .into_iter()
            .filter(|(rate, _)| Some(rate) == top.as_ref())
            .map(|(_, chain)| chain)
            .collect();
    };
    let of = |given: bool, found: Option<(u64, String)>| if given { found } else { Some((0, String::new())) };
    let net = |nets: &[IpNet], address: IpAddr| {
        let fitting = nets.iter().filter(|net| net.contains(&address));
        of(
            !nets.is_empty(),
            fitting.map(|net| (1 + u64::from(net.prefix_len()), net.trunc().to_string())).max(),
        )
    };
    narrow(&|it| match it.destination_port {
        None => Some((0, String::new())),
        Some(port) => (port == facts.destination.port()).then(|| (1, String::new())),
    });
    narrow(&|it| net(&it.destinations, facts.destination.ip()));
    narrow(&|it| {
        let fitting = it.server_names.iter().filter_map(|name| match name.strip_prefix("*.") {
            None => (name == facts.server_name).then(|| (1000, name.clone())),
            Some(suffix) => {
                let rest = facts.server_name.strip_suffix(suffix)?.strip_suffix('.')?;
                (!rest.is_empty()).then(|| (1 + suffix.len() as u64, name.clone()))
            }
        });
        of(!it.server_names.is_empty(), fitting.max())
    });
    narrow(&|it| of(!it.transport.is_empty(), (it.transport == facts.transport).then(|| (1, String::new()))));
    narrow(&|it| {
        let offered = facts.protocols.iter().map(|protocol| std::str::from_utf8(protocol).unwrap());
        let fitting = offered
            .enumerate()
            .find(|(_, offered)| it.application_protocols.iter().any(|own| own == offered));
        of(
            !it.application_protocols.is_empty(),
            fitting.map(|(place, offered)| (1000 - place as u64, offered.to_owned())),
        )
    });
    narrow(&|it| net(&it.direct_sources, facts.source.ip()));
    let source = facts.source.ip().to_string();
    let local =
        ["127.0.0.1", "::1"].contains(&source.as_str()) || facts.source.ip() == facts.destination.ip();
    narrow(&|it| match it.source_type {
        SourceType::Any => Some((0, String::new())),
        SourceType::Local => local.then(|| (1, String::new())),
        SourceType::External => (!local).then(|| (1, String::new())),
    });
    narrow(&|it| net(&it.sources, facts.source.ip()));
    narrow(&|it| {
        let fits = it.source_ports.contains(&facts.source.port());
        of(!it.source_ports.is_empty(), fits.then(|| (1, String::new())))
    });
    assert!(left.len() <= 1, "{left:?} are the same");
    left.first().copied()
}

fn subset<T: Clone + std::fmt::Debug + 'static>(
    of: &[T],
    most: usize,
) -> impl Strategy<Value = Vec<T>> + use<T> {
    let all = of.to_vec();
    prop_oneof![
        2 => Just(Vec::new()),
        1 => proptest::sample::subsequence(all, 1..=most),
    ]
}

fn nets() -> Vec<IpNet> {
    ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "127.0.0.0/8", "192.168.0.0/16", "fd00::/8", "0.0.0.0/1"]
        .map(|net| net.parse().unwrap())
        .to_vec()
}

fn addresses() -> Vec<IpAddr> {
    [
        "10.1.2.3",
        "10.1.9.9",
        "10.9.9.9",
        "127.0.0.1",
        "127.0.0.2",
        "192.168.1.1",
        "fd00::1",
        "::1",
        "200.0.0.1",
    ]
    .map(|address| address.parse().unwrap())
    .to_vec()
}

const NAMES: [&str; 7] =
    ["a.example.com", "*.example.com", "*.com", "b.a.example.com", "*.a.example.com", "db", "example.com"];
const ASKED: [&str; 9] = [
    "",
    "a.example.com",
    "b.a.example.com",
    "c.b.a.example.com",
    "z.example.com",
    "example.com",
    "other.com",
    "db",
    "com",
];
const PROTOCOLS: [&str; 4] = ["h2", "http/1.1", "istio", "acme-tls/1"];

fn chain_match() -> impl Strategy<Value = ChainMatch> {
    let names = subset(&NAMES.map(str::to_owned), 3);
    let protocols = subset(&PROTOCOLS.map(str::to_owned), 2);
    let transport = prop_oneof![3 => Just(""), 1 => Just("tls"), 1 => Just("raw_buffer")];
    let source_type = prop_oneof![4 => Just(SourceType::Any), 1 => Just(SourceType::Local), 1 => Just(SourceType::External)];
    (
        proptest::option::of(prop_oneof![Just(443u16), Just(80)]),
        (subset(&nets(), 2), subset(&nets(), 1), subset(&nets(), 2)),
        names,
        transport,
        protocols,
        source_type,
        subset(&[1000u16, 2000], 2),
    )
        .prop_map(
            |(port, (destinations, direct_sources, sources), names, transport, protocols, kind, ports)| {
                ChainMatch {
                    destination_port: port,
                    destinations,
                    server_names: names,
                    transport: transport.to_owned(),
                    application_protocols: protocols,
                    direct_sources,
                    source_type: kind,
                    sources,
                    source_ports: ports,
                }
            },
        )
}

/// Few enough criteria at once that several chains are in question at each of them.
fn narrower(mut matches: ChainMatch, keep: u8) -> ChainMatch {
    let none = ChainMatch::default();
    if keep & 1 == 0 {
        matches.destination_port = none.destination_port;
    }
    if keep & 2 == 0 {
        (matches.destinations, matches.direct_sources) = (Vec::new(), Vec::new());
    }
    if keep & 4 == 0 {
        (matches.transport, matches.application_protocols) = (String::new(), Vec::new());
    }
    if keep & 8 == 0 {
        (matches.sources, matches.source_ports, matches.source_type) =
            (Vec::new(), Vec::new(), SourceType::Any);
    }
    matches
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_tree_finds_what_the_rules_say(
        all in proptest::collection::vec((chain_match(), any::<u8>()), 1..8),
        asked in proptest::collection::vec(
            (
                proptest::sample::select(addresses()),
                proptest::sample::select(addresses()),
                prop_oneof![Just(443u16), Just(80), Just(8080)],
                prop_oneof![Just(1000u16), Just(2000), Just(3000)],
                proptest::sample::select(&ASKED[..]),
                any::<bool>(),
                proptest::sample::subsequence(&PROTOCOLS[..], 0..=3),
            ),
            16,
        ),
    ) {
        // Those that are the same as an earlier one are left out.
        let mut matches: Vec<ChainMatch> = Vec::new();
        for (one, keep) in all {
            matches.push(narrower(one, keep));
            if let Err(error) = Chains::new(&matches) {
                let same = matches!(error, ChainError::Same { chain, .. } if chain == matches.len() - 1);
                prop_assert!(same, "{error:?}");
                matches.pop();
            }
        }
        let chains = Chains::new(&matches).unwrap();
        for (destination, source, port, source_port, name, tls, protocols) in asked {
            let protocols: Vec<Vec<u8>> = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
            let facts = Facts {
                destination: SocketAddr::new(destination, port),
                source: SocketAddr::new(source, source_port),
                server_name: name,
                transport: if tls { "tls" } else { "raw_buffer" },
                protocols: &protocols,
            };
            prop_assert_eq!(chains.find(&facts), naive(&matches, &facts), "{:?} of {:#?}", facts, &matches);
        }
    }

    #[test]
    fn the_most_specific_name_is_the_chains_choice(
        names in proptest::sample::subsequence(&NAMES[..], 1..=NAMES.len()),
        asked in proptest::sample::select(&ASKED[1..]),
    ) {
        let matches: Vec<ChainMatch> = names
            .iter()
            .map(|name| ChainMatch { server_names: vec![(*name).to_owned()], ..ChainMatch::default() })
            .collect();
        let found = Chains::new(&matches).unwrap().find(&facts(asked));
        let fits = names.iter().enumerate().filter_map(|(at, name)| Some((weir_model::name_fits(name, asked)?, at)));
        prop_assert_eq!(fits.max().map(|(_, at)| at), found);
    }
}

fn facts(server_name: &str) -> Facts<'_> {
    Facts {
        destination: "10.0.0.1:443".parse().unwrap(),
        source: "10.0.0.2:1000".parse().unwrap(),
        server_name,
        transport: "tls",
        protocols: &[],
    }
}

fn names(names: &[&str]) -> ChainMatch {
    ChainMatch {
        server_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..ChainMatch::default()
    }
}

#[test]
fn there_is_no_way_back() {
    let h2 = ChainMatch { application_protocols: vec!["h2".to_owned()], ..names(&["a.example.com"]) };
    let chains = Chains::new(&[h2, ChainMatch::default()]).unwrap();
    assert_eq!(chains.find(&facts("a.example.com")), None, "the name hides the chain that takes everything");
    assert_eq!(chains.find(&facts("b.example.com")), Some(1));
    let offered = [b"http/1.1".to_vec(), b"h2".to_vec()];
    assert_eq!(chains.find(&Facts { protocols: &offered, ..facts("a.example.com") }), Some(0));
}

#[test]
fn the_same_twice_is_refused() {
    let error = Chains::new(&[names(&["a", "b"]), names(&["*.c", "b"])]).unwrap_err();
    assert_eq!(error, ChainError::Same { chain: 1, other: 0 });
    assert!(error.to_string().contains("filter_chains[0]"), "{error}");
    assert!(Chains::new(&[names(&["a", "a"])]).is_ok(), "in one match it is no contradiction");
    assert!(Chains::new(&[ChainMatch::default(), ChainMatch::default()]).is_err());
}

#[test]
fn combinations_have_a_bound() {
    let many = |count: usize| (0..count).map(|index| format!("n{index}")).collect::<Vec<_>>();
    let matches =
        ChainMatch { server_names: many(1000), application_protocols: many(1000), ..ChainMatch::default() };
    assert_eq!(Chains::new(&[matches]).unwrap_err(), ChainError::TooMany { chain: 0 });
}

#[test]
fn protocols_that_are_no_text_match_nothing() {
    let h2 = ChainMatch { application_protocols: vec!["h2".to_owned()], ..ChainMatch::default() };
    let chains = Chains::new(&[h2]).unwrap();
    assert_eq!(chains.find(&Facts { protocols: &[vec![0xff], b"h2".to_vec()], ..facts("") }), Some(0));
    assert_eq!(chains.find(&Facts { protocols: &[vec![0xff]], ..facts("") }), None);
}
