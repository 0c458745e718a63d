use super::*;

/// One of each, so that a test can look at all of them.
pub(crate) fn kinds() -> Vec<Kind> {
    vec![
        Kind::Malformed("x"),
        Kind::TooManyFields,
        Kind::HeadTooLarge,
        Kind::BodyTooLarge,
        Kind::NotConfigured,
        Kind::NoSuchName,
        Kind::NameUnknown("x"),
        Kind::NoRoute,
        Kind::NoTunnel,
        Kind::NoEndpoint,
        Kind::Dropped,
        Kind::Overflow(Breaker::Requests),
        Kind::Overflow(Breaker::Pending),
        Kind::Overflow(Breaker::Connections),
        Kind::ConnectFailed(io::ErrorKind::ConnectionRefused),
        Kind::ConnectTimeout,
        Kind::ConnectionLost { reused: true },
        Kind::StreamReset(h2::Reason::CANCEL),
        Kind::Refused,
        Kind::Protocol,
        Kind::RequestTimeout,
        Kind::AttemptTimeout,
        Kind::DurationTimeout,
        Kind::UnfinishedTimeout,
        Kind::IdleTimeout,
        Kind::SlowRequest,
        Kind::DownstreamLost,
        Kind::Draining,
    ]
}

#[test]
fn what_no_upstream_saw_may_always_be_sent_again() {
    for kind in kinds() {
        let always = matches!(kind, Kind::ConnectFailed(_) | Kind::ConnectTimeout | Kind::Refused);
        assert_eq!(kind.safety() == Safety::Always, always, "{kind:?}");
    }
}

#[test]
fn nobody_repeats_what_the_downstream_or_we_refused() {
    for kind in kinds().into_iter().filter(|kind| kind.side() != Side::Upstream) {
        assert_eq!(kind.safety(), Safety::Never, "{kind:?}");
    }
}

#[test]
fn every_kind_has_words_of_its_own() {
    let mut texts: Vec<String> = kinds().iter().map(Kind::to_string).collect();
    let all = texts.len();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), all);
}
