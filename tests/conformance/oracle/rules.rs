//! Route configurations in few words, as the protobufs they are on the wire. Names are Envoy's.

pub(crate) use weir_proto::envoy::envoy::config::core::v3 as core;
pub(crate) use weir_proto::envoy::envoy::config::route::v3 as pb;
pub(crate) use weir_proto::envoy::envoy::r#type::matcher::v3 as matcher;
pub(crate) use weir_proto::envoy::envoy::r#type::v3 as kind;
pub(crate) use weir_proto::envoy::google::protobuf as google;
use weir_tests::resources::ROUTES;

use core::header_value_option::HeaderAppendAction;
use matcher::string_matcher::MatchPattern;
use pb::header_matcher::HeaderMatchSpecifier;
use pb::query_parameter_matcher::QueryParameterMatchSpecifier;
use pb::redirect_action::{PathRewriteSpecifier, SchemeRewriteSpecifier};
use pb::route::Action;
use pb::route_action::{ClusterSpecifier, HostRewriteSpecifier};
use pb::route_match::PathSpecifier;

/// What routes and the clusters of a split can both change in headers; their messages have the same fields and no type in common.
macro_rules! header_changes {
    ($($changes:ty),+) => {$(
        impl $changes {
            pub(crate) fn add(mut self, name: &str, value: &str) -> Self {
                self.0.request_headers_to_add.push(option(name, value, HeaderAppendAction::AppendIfExistsOrAdd));
                self
            }

            pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
                let action = HeaderAppendAction::OverwriteIfExistsOrAdd;
                self.0.request_headers_to_add.push(option(name, value, action));
                self
            }

            pub(crate) fn remove(mut self, name: &str) -> Self {
                self.0.request_headers_to_remove.push(name.to_owned());
                self
            }

            pub(crate) fn add_back(mut self, name: &str, value: &str) -> Self {
                self.0.response_headers_to_add.push(option(name, value, HeaderAppendAction::AppendIfExistsOrAdd));
                self
            }

            pub(crate) fn set_back(mut self, name: &str, value: &str) -> Self {
                let action = HeaderAppendAction::OverwriteIfExistsOrAdd;
                self.0.response_headers_to_add.push(option(name, value, action));
                self
            }

            pub(crate) fn remove_back(mut self, name: &str) -> Self {
                self.0.response_headers_to_remove.push(name.to_owned());
                self
            }
        }
    )+};
}

/// A route configuration. Routes are named by their place, `HOST/ROUTE`, so that the access logs tell which one was taken.
pub(crate) fn configuration(hosts: Vec<pb::VirtualHost>) -> pb::RouteConfiguration {
    let mut configuration = pb::RouteConfiguration {
        name: ROUTES.to_owned(),
        virtual_hosts: hosts,
        most_specific_header_mutations_wins: true,
        ..Default::default()
    };
    for (at, host) in configuration.virtual_hosts.iter_mut().enumerate() {
        host.name = format!("host-{at}");
        for (index, route) in host.routes.iter_mut().enumerate() {
            route.name = format!("{at}/{index}");
        }
    }
    configuration
}

/// A virtual host.
pub(crate) fn host<const N: usize>(domains: &[&str], rules: [Rule; N]) -> pb::VirtualHost {
    let domains = domains.iter().map(|domain| (*domain).to_owned()).collect();
    let routes = rules.into_iter().map(|rule| rule.0).collect();
    pb::VirtualHost { domains, routes, ..Default::default() }
}

/// One virtual host for everything.
pub(crate) fn everywhere<const N: usize>(rules: [Rule; N]) -> pb::RouteConfiguration {
    configuration(vec![host(&["*"], rules)])
}

/// A route; begins with what it matches and ends with what it does.
#[derive(Clone, Debug)]
pub(crate) struct Rule(pub(crate) pb::Route);

/// An exact path.
pub(crate) fn path(path: &str) -> Rule {
    matching(PathSpecifier::Path(path.to_owned()))
}

/// A prefix of characters.
pub(crate) fn prefix(prefix: &str) -> Rule {
    matching(PathSpecifier::Prefix(prefix.to_owned()))
}

/// A prefix of segments.
pub(crate) fn segment(prefix: &str) -> Rule {
    matching(PathSpecifier::PathSeparatedPrefix(prefix.to_owned()))
}

/// An expression for the whole path.
pub(crate) fn regex(expression: &str) -> Rule {
    matching(PathSpecifier::SafeRegex(expr(expression)))
}

fn matching(path: PathSpecifier) -> Rule {
    let matches = pb::RouteMatch { path_specifier: Some(path), ..Default::default() };
    Rule(pb::Route { r#match: Some(matches), ..Default::default() })
}

/// An expression.
pub(crate) fn expr(expression: &str) -> matcher::RegexMatcher {
    matcher::RegexMatcher { regex: expression.to_owned(), ..Default::default() }
}

/// A condition on a text.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    Exact(&'static str),
    Prefix(&'static str),
    Suffix(&'static str),
    Contains(&'static str),
    Regex(&'static str),
    Present,
}

impl Text {
    fn pattern(&self) -> Option<matcher::StringMatcher> {
        let pattern = match self {
            Text::Exact(text) => MatchPattern::Exact((*text).to_owned()),
            Text::Prefix(text) => MatchPattern::Prefix((*text).to_owned()),
            Text::Suffix(text) => MatchPattern::Suffix((*text).to_owned()),
            Text::Contains(text) => MatchPattern::Contains((*text).to_owned()),
            Text::Regex(text) => MatchPattern::SafeRegex(expr(text)),
            Text::Present => return None,
        };
        Some(matcher::StringMatcher { match_pattern: Some(pattern), ..Default::default() })
    }
}

impl Rule {
    fn matches(mut self, change: impl FnOnce(&mut pb::RouteMatch)) -> Self {
        change(self.0.r#match.get_or_insert_default());
        self
    }

    /// Only this method.
    pub(crate) fn method(self, method: &'static str) -> Self {
        self.header(":method", Text::Exact(method))
    }

    /// Only with this header.
    pub(crate) fn header(self, name: &str, text: Text) -> Self {
        self.matches(|matches| matches.headers.push(header(name, &text)))
    }

    /// Only with this query parameter.
    pub(crate) fn query(self, name: &str, text: Text) -> Self {
        let specifier = match text.pattern() {
            Some(pattern) => QueryParameterMatchSpecifier::StringMatch(pattern),
            None => QueryParameterMatchSpecifier::PresentMatch(true),
        };
        let parameter = pb::QueryParameterMatcher {
            name: name.to_owned(),
            query_parameter_match_specifier: Some(specifier),
        };
        self.matches(|matches| matches.query_parameters.push(parameter))
    }

    /// Only this share of the requests, in percent.
    pub(crate) fn percent(self, percent: u32) -> Self {
        let share = kind::FractionalPercent { numerator: percent, denominator: 0 };
        let fraction = core::RuntimeFractionalPercent { default_value: Some(share), ..Default::default() };
        self.matches(|matches| matches.runtime_fraction = Some(fraction))
    }

    /// It goes to a cluster.
    pub(crate) fn to(self, cluster: &str) -> Self {
        self.action(Action::Route(pb::RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
            ..Default::default()
        }))
    }

    /// It goes to one of several clusters.
    pub(crate) fn split(self, shares: &[(&str, u32)]) -> Self {
        self.shares(shares.iter().map(|(name, weight)| share(name, *weight)).collect())
    }

    /// It goes to one of several clusters, each with what it changes.
    pub(crate) fn shares(self, clusters: Vec<Share>) -> Self {
        let clusters = clusters.into_iter().map(|share| share.0).collect();
        self.action(Action::Route(pb::RouteAction {
            cluster_specifier: Some(ClusterSpecifier::WeightedClusters(pb::WeightedCluster {
                clusters,
                ..Default::default()
            })),
            ..Default::default()
        }))
    }

    /// It is answered by the proxy.
    pub(crate) fn answer(self, status: u32, body: &str) -> Self {
        let body = (!body.is_empty()).then(|| core::DataSource {
            specifier: Some(core::data_source::Specifier::InlineString(body.to_owned())),
            ..Default::default()
        });
        self.action(Action::DirectResponse(pb::DirectResponseAction { status, body, ..Default::default() }))
    }

    /// The caller is sent elsewhere.
    pub(crate) fn redirect(self, redirect: Redirect) -> Self {
        self.action(Action::Redirect(redirect.0))
    }

    fn action(mut self, action: Action) -> Self {
        self.0.action = Some(action);
        self
    }

    /// Changes the action that sends it to a cluster.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut pb::RouteAction)) -> Self {
        match &mut self.0.action {
            Some(Action::Route(action)) => change(action),
            _ => panic!("only what goes to a cluster has that; say where first"),
        }
        self
    }

    pub(crate) fn rewrite_prefix(self, value: &str) -> Self {
        self.with(|action| action.prefix_rewrite = value.to_owned())
    }

    pub(crate) fn rewrite_regex(self, expression: &str, substitution: &str) -> Self {
        self.with(|action| action.regex_rewrite = Some(substitute(expression, substitution)))
    }

    pub(crate) fn rewrite_host(self, host: &str) -> Self {
        self.with(|action| {
            action.host_rewrite_specifier = Some(HostRewriteSpecifier::HostRewriteLiteral(host.to_owned()));
        })
    }

    pub(crate) fn timeout_ms(self, millis: u64) -> Self {
        self.with(|action| action.timeout = Some(duration(millis)))
    }

    pub(crate) fn idle_ms(self, millis: u64) -> Self {
        self.with(|action| action.idle_timeout = Some(duration(millis)))
    }

    /// How long the whole stream may take.
    pub(crate) fn stream_ms(self, millis: u64) -> Self {
        self.with(|action| {
            let limit = action.max_stream_duration.get_or_insert_default();
            limit.max_stream_duration = Some(duration(millis));
        })
    }

    /// What is granted of a caller's `grpc-timeout`: at most this, less that.
    pub(crate) fn grpc_ms(self, most: u64, less: u64) -> Self {
        self.with(|action| {
            let limit = action.max_stream_duration.get_or_insert_default();
            limit.grpc_timeout_header_max = Some(duration(most));
            limit.grpc_timeout_header_offset = Some(duration(less));
        })
    }

    /// How long an attempt may take.
    pub(crate) fn try_ms(self, millis: u64) -> Self {
        self.with(|action| {
            action.retry_policy.get_or_insert_default().per_try_timeout = Some(duration(millis));
        })
    }

    /// An attempt over its time goes on beside the next one.
    pub(crate) fn hedge(self) -> Self {
        let policy = pb::HedgePolicy { hedge_on_per_try_timeout: true, ..Default::default() };
        self.with(|action| action.hedge_policy = Some(policy))
    }

    /// How long an attempt may be silent.
    pub(crate) fn quiet_ms(self, millis: u64) -> Self {
        self.with(|action| {
            action.retry_policy.get_or_insert_default().per_try_idle_timeout = Some(duration(millis));
        })
    }

    /// Another attempt on these conditions.
    pub(crate) fn retry(self, on: &str, retries: u32) -> Self {
        let policy = pb::RetryPolicy {
            retry_on: on.to_owned(),
            num_retries: Some(google::UInt32Value { value: retries }),
            ..Default::default()
        };
        self.with(|action| action.retry_policy = Some(policy))
    }
}

fn header(name: &str, text: &Text) -> pb::HeaderMatcher {
    let specifier = match text.pattern() {
        Some(pattern) => HeaderMatchSpecifier::StringMatch(pattern),
        None => HeaderMatchSpecifier::PresentMatch(true),
    };
    pb::HeaderMatcher { name: name.to_owned(), header_match_specifier: Some(specifier), ..Default::default() }
}

/// A header to add or set.
pub(crate) fn option(name: &str, value: &str, action: HeaderAppendAction) -> core::HeaderValueOption {
    let header = core::HeaderValue { key: name.to_owned(), value: value.to_owned(), ..Default::default() };
    core::HeaderValueOption {
        header: Some(header),
        append_action: action as i32,
        keep_empty_value: value.is_empty(),
        ..Default::default()
    }
}

/// An expression and what comes in its place.
pub(crate) fn substitute(expression: &str, substitution: &str) -> matcher::RegexMatchAndSubstitute {
    matcher::RegexMatchAndSubstitute {
        pattern: Some(expr(expression)),
        substitution: substitution.to_owned(),
    }
}

pub(crate) fn duration(millis: u64) -> google::Duration {
    google::Duration { seconds: (millis / 1000) as i64, nanos: (millis % 1000 * 1_000_000) as i32 }
}

/// One cluster of a split.
#[derive(Clone, Debug)]
pub(crate) struct Share(pub(crate) pb::weighted_cluster::ClusterWeight);

/// A cluster with its weight.
pub(crate) fn share(cluster: &str, weight: u32) -> Share {
    Share(pb::weighted_cluster::ClusterWeight {
        name: cluster.to_owned(),
        weight: Some(google::UInt32Value { value: weight }),
        ..Default::default()
    })
}

header_changes!(Rule, Share);

/// Where a caller is sent.
#[derive(Clone, Debug)]
pub(crate) struct Redirect(pub(crate) pb::RedirectAction);

/// A redirect with this status.
pub(crate) fn status(status: u32) -> Redirect {
    use pb::redirect_action::RedirectResponseCode as Code;
    let code = match status {
        301 => Code::MovedPermanently,
        302 => Code::Found,
        303 => Code::SeeOther,
        307 => Code::TemporaryRedirect,
        308 => Code::PermanentRedirect,
        other => panic!("{other} is no redirect of Envoy's"),
    };
    Redirect(pb::RedirectAction { response_code: code as i32, ..Default::default() })
}

impl Redirect {
    pub(crate) fn host(mut self, host: &str) -> Self {
        self.0.host_redirect = host.to_owned();
        self
    }

    pub(crate) fn port(mut self, port: u32) -> Self {
        self.0.port_redirect = port;
        self
    }

    pub(crate) fn https(mut self) -> Self {
        self.0.scheme_rewrite_specifier = Some(SchemeRewriteSpecifier::HttpsRedirect(true));
        self
    }

    pub(crate) fn scheme(mut self, scheme: &str) -> Self {
        self.0.scheme_rewrite_specifier = Some(SchemeRewriteSpecifier::SchemeRedirect(scheme.to_owned()));
        self
    }

    pub(crate) fn path(mut self, path: &str) -> Self {
        self.0.path_rewrite_specifier = Some(PathRewriteSpecifier::PathRedirect(path.to_owned()));
        self
    }

    pub(crate) fn prefix(mut self, prefix: &str) -> Self {
        self.0.path_rewrite_specifier = Some(PathRewriteSpecifier::PrefixRewrite(prefix.to_owned()));
        self
    }

    pub(crate) fn regex(mut self, expression: &str, substitution: &str) -> Self {
        let edit = substitute(expression, substitution);
        self.0.path_rewrite_specifier = Some(PathRewriteSpecifier::RegexRewrite(edit));
        self
    }

    pub(crate) fn strip_query(mut self) -> Self {
        self.0.strip_query = true;
        self
    }
}
