//! Which requests a log has lines of: Envoy's filters of access logs, but for those that ask for what weir does not have (metadata, extensions,
//! the type of a log) and those for gRPC, which are refused by name.

use super::super::fault::{At, Check, Fault, refuse, required};
use super::super::pb::{accesslog, core, matcher, route};
use super::super::wire;
use accesslog::access_log_filter::FilterSpecifier;
use accesslog::{AccessLogFilter, ComparisonFilter, comparison_filter::Op};
use http::HeaderName;
use matcher::string_matcher::MatchPattern;
use route::header_matcher::HeaderMatchSpecifier;
use weir_model::access_log::{Comparison, LogFilter};
use weir_model::limits;

/// What Envoy asks to be there as the name of a setting at run time; nothing is set by it.
const RUNTIME_KEY: &str = "weir.access_log";

/// The message of a filter.
pub(super) fn encode(filter: &LogFilter) -> AccessLogFilter {
    let all = |filters: &[LogFilter]| filters.iter().map(encode).collect();
    let specifier = match filter {
        LogFilter::Status(how, status) => FilterSpecifier::StatusCodeFilter(accesslog::StatusCodeFilter {
            comparison: Some(comparison(*how, *status)),
        }),
        LogFilter::Duration(how, millis) => FilterSpecifier::DurationFilter(accesslog::DurationFilter {
            comparison: Some(comparison(*how, *millis)),
        }),
        LogFilter::Share(share) => FilterSpecifier::RuntimeFilter(accesslog::RuntimeFilter {
            runtime_key: RUNTIME_KEY.to_owned(),
            percent_sampled: Some(wire::fraction(*share)),
            use_independent_randomness: true,
        }),
        LogFilter::Flags(flags) => {
            FilterSpecifier::ResponseFlagFilter(accesslog::ResponseFlagFilter { flags: flags.clone() })
        }
        LogFilter::Traced => FilterSpecifier::TraceableFilter(accesslog::TraceableFilter {}),
        LogFilter::Header { name, exact, inverted } => {
            FilterSpecifier::HeaderFilter(accesslog::HeaderFilter {
                header: Some(route::HeaderMatcher {
                    name: name.as_str().to_owned(),
                    invert_match: *inverted,
                    header_match_specifier: Some(match exact {
                        Some(exact) => HeaderMatchSpecifier::StringMatch(matcher::StringMatcher {
                            match_pattern: Some(MatchPattern::Exact(exact.clone())),
                            ..matcher::StringMatcher::default()
                        }),
                        None => HeaderMatchSpecifier::PresentMatch(true),
                    }),
                    ..route::HeaderMatcher::default()
                }),
            })
        }
        LogFilter::All(filters) => FilterSpecifier::AndFilter(accesslog::AndFilter { filters: all(filters) }),
        LogFilter::Any(filters) => FilterSpecifier::OrFilter(accesslog::OrFilter { filters: all(filters) }),
        LogFilter::Always => FilterSpecifier::NotHealthCheckFilter(accesslog::NotHealthCheckFilter {}),
    };
    AccessLogFilter { filter_specifier: Some(specifier) }
}

fn comparison(how: Comparison, number: u32) -> ComparisonFilter {
    let op = match how {
        Comparison::Equal => Op::Eq,
        Comparison::AtLeast => Op::Ge,
        Comparison::AtMost => Op::Le,
        Comparison::Unequal => Op::Ne,
    };
    let runtime_key = RUNTIME_KEY.to_owned();
    ComparisonFilter {
        op: op as i32,
        value: Some(core::RuntimeUInt32 { default_value: number, runtime_key }),
    }
}

/// The filter of a message.
pub(super) fn decode(filter: &AccessLogFilter) -> Check<LogFilter> {
    let mut left = limits::LOG_CONDITIONS;
    from(filter, &mut left)
}

fn from(filter: &AccessLogFilter, left: &mut usize) -> Check<LogFilter> {
    *left = left
        .checked_sub(1)
        .ok_or_else(|| Fault::new(format!("more than {} conditions", limits::LOG_CONDITIONS)))?;
    Ok(match required("filter_specifier", filter.filter_specifier.as_ref())? {
        FilterSpecifier::StatusCodeFilter(filter) => {
            let (how, status) =
                from_comparison(filter.comparison.as_ref()).at("status_code_filter.comparison")?;
            LogFilter::Status(how, status)
        }
        FilterSpecifier::DurationFilter(filter) => {
            let (how, millis) =
                from_comparison(filter.comparison.as_ref()).at("duration_filter.comparison")?;
            LogFilter::Duration(how, millis)
        }
        FilterSpecifier::NotHealthCheckFilter(_) => LogFilter::Always,
        FilterSpecifier::TraceableFilter(_) => LogFilter::Traced,
        FilterSpecifier::RuntimeFilter(filter) => {
            // Without a share, all or nothing, as the setting says that is not there.
            let share = match &filter.percent_sampled {
                Some(share) => wire::from_fraction(share).at("runtime_filter.percent_sampled")?,
                None => weir_model::Fraction(0),
            };
            LogFilter::Share(share)
        }
        FilterSpecifier::AndFilter(filter) => {
            LogFilter::All(several(&filter.filters, left).at("and_filter")?)
        }
        FilterSpecifier::OrFilter(filter) => LogFilter::Any(several(&filter.filters, left).at("or_filter")?),
        FilterSpecifier::HeaderFilter(filter) => {
            from_header(required("header", filter.header.as_ref()).at("header_filter")?)
                .at("header_filter.header")?
        }
        FilterSpecifier::ResponseFlagFilter(filter) => LogFilter::Flags(filter.flags.clone()),
        FilterSpecifier::GrpcStatusFilter(_) => return Err(Fault::unsupported("grpc_status_filter")),
        FilterSpecifier::ExtensionFilter(_) => return Err(Fault::unsupported("extension_filter")),
        FilterSpecifier::MetadataFilter(_) => return Err(Fault::unsupported("metadata_filter")),
        FilterSpecifier::LogTypeFilter(_) => return Err(Fault::unsupported("log_type_filter")),
    })
}

fn several(filters: &[AccessLogFilter], left: &mut usize) -> Check<Vec<LogFilter>> {
    if filters.len() < 2 {
        return Err(Fault::of("filters", format!("{} filters; at least two are needed", filters.len())));
    }
    let mut all = Vec::new();
    for (index, filter) in filters.iter().enumerate() {
        all.push(from(filter, left).at_index("filters", index)?);
    }
    Ok(all)
}

fn from_comparison(comparison: Option<&ComparisonFilter>) -> Check<(Comparison, u32)> {
    let comparison = required("", comparison)?;
    let how = match Op::try_from(comparison.op) {
        Ok(Op::Eq) => Comparison::Equal,
        Ok(Op::Ge) => Comparison::AtLeast,
        Ok(Op::Le) => Comparison::AtMost,
        Ok(Op::Ne) => Comparison::Unequal,
        Err(_) => return Err(Fault::of("op", format!("{} is unknown", comparison.op))),
    };
    Ok((how, required("value", comparison.value.as_ref())?.default_value))
}

#[allow(deprecated, reason = "older forms of a match are still in use")]
fn from_header(header: &route::HeaderMatcher) -> Check<LogFilter> {
    refuse!(header; treat_missing_header_as_empty);
    let name = HeaderName::from_bytes(header.name.as_bytes())
        .map_err(|_| Fault::of("name", "no name of a header field"))?;
    let mut inverted = header.invert_match;
    let exact = match &header.header_match_specifier {
        None => None,
        Some(HeaderMatchSpecifier::PresentMatch(present)) => {
            inverted ^= !present;
            None
        }
        Some(HeaderMatchSpecifier::ExactMatch(exact)) => Some(exact.clone()),
        Some(HeaderMatchSpecifier::StringMatch(matcher::StringMatcher {
            match_pattern: Some(MatchPattern::Exact(exact)),
            ignore_case: false,
        })) => Some(exact.clone()),
        Some(_) => {
            let message = "only exact values and presence are supported in the filter of a log";
            return Err(Fault::of("header_match_specifier", message));
        }
    };
    Ok(LogFilter::Header { name, exact, inverted })
}
