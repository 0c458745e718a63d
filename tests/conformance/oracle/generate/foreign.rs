//! What no policy of weir's says, and other control planes do: a few of it in some routes, virtual hosts and configurations.

use super::Dice;
use crate::rules::core::HeaderValueOption;
use crate::rules::core::header_value_option::HeaderAppendAction;
use crate::rules::{Rule, google, option, pb, substitute};

const ACTIONS: &[HeaderAppendAction] = &[
    HeaderAppendAction::AppendIfExistsOrAdd,
    HeaderAppendAction::AddIfAbsent,
    HeaderAppendAction::OverwriteIfExists,
    HeaderAppendAction::OverwriteIfExistsOrAdd,
];
/// Values of requests, none of which the two proxies have to themselves.
const VALUES: &[&str] =
    &["fixed", "", "%PROTOCOL%", "<%REQ(x-a)%>", "%REQ(x-none?:METHOD)%", "%REQ(x-c):1%%%"];
const NAMES: &[&str] = &["x-a", "x-b", "x-new", "x-other"];
/// Expressions that leave a path its first slash.
const EDITS: &[(&str, &str)] =
    &[("/a", "/\\0\\0"), ("(/[^/]+)(/[^/]+)", "\\2\\1"), ("b|[0-9]", "B"), ("/$", ""), ("^/x(.*)", "/X\\1")];

fn write(dice: &mut Dice) -> HeaderValueOption {
    let mut option = option(dice.pick(NAMES), dice.pick(VALUES), dice.pick(ACTIONS));
    option.keep_empty_value = dice.percent(50);
    option
}

/// More of one route.
pub(super) fn route(dice: &mut Dice, mut rule: Rule) -> Rule {
    let route = &mut rule.0;
    if dice.percent(15) {
        route.request_headers_to_add.push(write(dice));
    }
    if dice.percent(15) {
        route.response_headers_to_add.push(write(dice));
    }
    let matches = route.r#match.get_or_insert_default();
    if dice.percent(8) {
        matches.case_sensitive = Some(google::BoolValue { value: false });
    }
    if dice.percent(8) {
        let absent = pb::header_matcher::HeaderMatchSpecifier::PresentMatch(false);
        matches.headers.push(pb::HeaderMatcher {
            name: dice.pick(&["x-a", "x-absent"]).to_owned(),
            header_match_specifier: Some(absent),
            ..Default::default()
        });
    }
    let edit = dice.pick(EDITS);
    match &mut route.action {
        Some(pb::route::Action::Route(action))
            if action.prefix_rewrite.is_empty() && action.regex_rewrite.is_none() =>
        {
            if dice.percent(10) {
                action.regex_rewrite = Some(substitute(edit.0, edit.1));
            }
            action.append_x_forwarded_host = dice.percent(20);
        }
        Some(pb::route::Action::Redirect(redirect)) => redirect.strip_query = dice.percent(20),
        _ => {}
    }
    rule
}

/// More of a virtual host.
pub(super) fn host(dice: &mut Dice, host: &mut pb::VirtualHost) {
    if dice.percent(25) {
        host.request_headers_to_add.push(write(dice));
        host.response_headers_to_add.push(write(dice));
    }
    if dice.percent(10) {
        host.request_headers_to_remove.push(dice.pick(NAMES).to_owned());
    }
    host.include_request_attempt_count = dice.percent(15);
    host.include_attempt_count_in_response = dice.percent(15);
}

/// More of a configuration.
pub(super) fn configuration(dice: &mut Dice, routes: &mut pb::RouteConfiguration) {
    if dice.percent(20) {
        routes.request_headers_to_add.push(write(dice));
        routes.response_headers_to_add.push(write(dice));
    }
    routes.most_specific_header_mutations_wins = dice.percent(50);
    routes.ignore_port_in_host_matching = dice.percent(15);
}
