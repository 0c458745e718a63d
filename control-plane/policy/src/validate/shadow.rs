//! Routes that never match, because others of the same service always come first.
//!
//! Precedence puts the more specific match first, so a match hides another in two ways only: it has the same conditions and wins the tie, or
//! it is a regular expression that matches every path, which stands before all prefixes.

use super::Findings;
use crate::{Kind, ObjectId};
use http::Method;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use weir_model::mesh::{AppProtocol, Caller, HttpRoute, HttpRule, Mesh, Name, RouteKind, RouteName};
use weir_model::precedence::Precedence;
use weir_model::{HeaderMatch, PathMatch, QueryMatch, RouteMatch};

/// Expressions for every path that are looked at; one is plenty.
const CATCH_ALLS: usize = 16;

/// A place where routes compete: a service's port, for all callers or for those of one namespace.
type Place<'m> = (&'m Name, u16, Option<&'m str>);

struct Entry<'m> {
    precedence: Precedence<'m>,
    matches: &'m RouteMatch,
    /// Whose requests it is for; everybody's if empty. What differs is taken to be for different ones.
    callers: Vec<&'m [Caller]>,
}

/// Why a match is never reached.
struct Hidden<'m> {
    by: Precedence<'m>,
    same: bool,
}

pub(super) fn check(mesh: &Mesh, findings: &mut Findings) {
    let everything = RouteMatch::default();
    let mut places: BTreeMap<Place<'_>, BTreeMap<&RouteName, &HttpRoute>> = BTreeMap::new();
    for (name, route) in &mesh.http_routes {
        for parent in &route.parents {
            let Some((service_name, service)) = mesh.services.get_key_value(&parent.service) else {
                continue;
            };
            let callers =
                (name.name.namespace != service_name.namespace).then_some(name.name.namespace.as_str());
            let ports = service.ports.iter().filter(|port| port.protocol != AppProtocol::Tcp);
            for port in ports.filter(|port| parent.port.is_none_or(|wanted| wanted == port.port)) {
                places.entry((service_name, port.port, callers)).or_default().insert(name, route);
            }
        }
    }
    let mut told = BTreeSet::new();
    for (place, routes) in places {
        check_place(mesh, place, &routes, &everything, &mut told, findings);
    }
}

fn check_place<'m>(
    mesh: &'m Mesh,
    (service, port, _): Place<'m>,
    routes: &BTreeMap<&'m RouteName, &'m HttpRoute>,
    everything: &'m RouteMatch,
    told: &mut BTreeSet<(&'m RouteName, String)>,
    findings: &mut Findings,
) {
    let mut entries = Vec::new();
    for (name, route) in routes {
        for (rule_index, rule) in route.rules.iter().enumerate() {
            let matches =
                if rule.matches.is_empty() { std::slice::from_ref(everything) } else { &rule.matches };
            let callers = callers(mesh, rule);
            entries.extend(matches.iter().enumerate().map(|(index, matches)| {
                Entry {
                    precedence: Precedence::of(matches, name, route.created_millis, rule_index, index)
                        .for_some(!callers.is_empty()),
                    matches,
                    callers: callers.clone(),
                }
            }));
        }
    }
    entries.sort_by(|a, b| a.precedence.cmp(&b.precedence));
    let hidden = find_hidden(&entries);
    // A rule of which no match is left is told once, as a whole.
    let mut left: BTreeMap<(&RouteName, usize), usize> = BTreeMap::new();
    for (entry, hidden) in entries.iter().zip(&hidden) {
        *left.entry((entry.precedence.route, entry.precedence.rule)).or_default() +=
            usize::from(hidden.is_none());
    }
    for (entry, hidden) in entries.iter().zip(&hidden) {
        let Some(hidden) = hidden else { continue };
        let Precedence { route, rule, position, .. } = entry.precedence;
        let whole = left.get(&(route, rule)) == Some(&0);
        let field = if whole {
            format!("spec.rules[{rule}]")
        } else {
            format!("spec.rules[{rule}].matches[{position}]")
        };
        if !told.insert((route, field.clone())) {
            continue;
        }
        let message = format!(
            "it is never reached on port {port} of service {service}: {}",
            reason(&entry.precedence, hidden)
        );
        let report = findings.about(&object(route));
        report.warning(&field, message, "remove it, or give it conditions of its own");
    }
}

fn object(route: &RouteName) -> ObjectId {
    let kind = match route.kind {
        RouteKind::Http => Kind::HttpRoute,
        RouteKind::Grpc => Kind::GrpcRoute,
    };
    ObjectId::new(kind, route.name.clone())
}

fn reason(loser: &Precedence<'_>, hidden: &Hidden<'_>) -> String {
    let winner = &hidden.by;
    let other = match winner.route == loser.route {
        true => format!("match {} of rule {}", winner.position, winner.rule),
        false => format!("match {} of rule {} of {}", winner.position, winner.rule, winner.route),
    };
    if !hidden.same {
        return format!("{other} is a regular expression for every path, and those come before prefixes");
    }
    let why = if winner.created_millis != loser.created_millis {
        "that route is older"
    } else if winner.route != loser.route {
        "that route's name comes first"
    } else {
        "it comes first"
    };
    format!("{other} has the same conditions, and {why}")
}

/// What the filters of a rule say of callers, those that say nothing left out.
fn callers<'m>(mesh: &'m Mesh, rule: &HttpRule) -> Vec<&'m [Caller]> {
    let filters = rule.filters.extensions.iter().filter_map(|name| mesh.route_filters.get(name));
    let mut callers: Vec<&[Caller]> =
        filters.map(|filter| filter.callers.as_slice()).filter(|callers| !callers.is_empty()).collect();
    callers.sort();
    callers
}

/// What of a match must be equal for two matches to be the same.
type Conditions<'m> = (&'m PathMatch, Option<&'m Method>, Vec<&'m HeaderMatch>, Vec<&'m QueryMatch>);

fn conditions(matches: &RouteMatch) -> Conditions<'_> {
    let mut headers: Vec<_> = matches.headers.iter().collect();
    headers.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    let mut query: Vec<_> = matches.query.iter().collect();
    query.sort_by(|a, b| a.name.cmp(&b.name));
    (&matches.path, matches.method.as_ref(), headers, query)
}

fn find_hidden<'m>(entries: &[Entry<'m>]) -> Vec<Option<Hidden<'m>>> {
    fn key<'e, 'm>(entry: &'e Entry<'m>) -> (Conditions<'m>, &'e [&'m [Caller]]) {
        (conditions(entry.matches), &entry.callers)
    }
    let mut first: HashMap<(Conditions<'m>, &[&[Caller]]), &Precedence<'m>> = HashMap::new();
    let mut catch_alls: Vec<&Entry<'m>> = Vec::new();
    let mut hidden = Vec::with_capacity(entries.len());
    for entry in entries {
        let same = first.get(&key(entry)).map(|winner| Hidden { by: (*winner).clone(), same: true });
        let covered = || {
            let winner = catch_alls.iter().find(|winner| {
                let wider = winner.callers.is_empty() || winner.callers == entry.callers;
                wider && covers(winner.matches, entry.matches)
            })?;
            Some(Hidden { by: winner.precedence.clone(), same: false })
        };
        let found = same.or_else(covered);
        if found.is_none() {
            first.insert(key(entry), &entry.precedence);
            if is_catch_all(&entry.matches.path) && catch_alls.len() < CATCH_ALLS {
                catch_alls.push(entry);
            }
        }
        hidden.push(found);
    }
    hidden
}

fn is_catch_all(path: &PathMatch) -> bool {
    matches!(path, PathMatch::Regex(expression) if [".*", "/.*", ".+", "/.*$", "^/.*", "^/.*$"].contains(&expression.as_str()))
}

/// Whether everything that matches `later` matches `earlier`, if the path of `earlier` matches every path.
fn covers(earlier: &RouteMatch, later: &RouteMatch) -> bool {
    (earlier.method.is_none() || earlier.method == later.method)
        && earlier.headers.iter().all(|condition| later.headers.contains(condition))
        && earlier.query.iter().all(|condition| later.query.contains(condition))
}
