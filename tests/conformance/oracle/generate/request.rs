//! Requests that routes take, or nearly.

use super::{DOMAINS, Dice, Sample, rule};
use crate::request::{Payload, Request, call};

/// A request to a configuration whose routes have these samples.
pub(super) fn request(dice: &mut Dice, samples: &[Sample]) -> Request {
    let mut sample = dice.pick(samples);
    if dice.percent(20) {
        // Another route's request with this one's path, or any.
        let other = dice.pick(samples);
        sample = Sample { path: sample.path, ..other };
    }
    if dice.percent(45) {
        miss(dice, &mut sample);
    }
    let method = sample.method.unwrap_or(dice.pick(&["GET", "GET", "GET", "POST", "HEAD", "PUT"]));
    let mut target = sample.path.clone();
    if let Some(query) = &sample.query {
        target = format!("{target}?{query}");
    } else if dice.percent(15) {
        target.push_str(dice.pick(&["?", "?z", "?q=2", "?a=b&q=1", "?r=one&q=12"]));
    }
    let mut request = call(method, &target).host(&sample.host);
    for (name, value) in &sample.headers {
        request = request.with(name, value);
    }
    if dice.percent(15) {
        request = request.with(dice.pick(&["x-new", "x-gone", "x-agent", "x-side"]), "came");
    }
    let mut commands = Vec::new();
    if dice.percent(15) {
        commands.push(dice.pick(&["status=404", "status=503", "status=204", "chunked", "status=201"]));
    }
    if dice.percent(15) {
        commands.push(dice.pick(&["header=x-one:1", "header=x-lost:1", "header=x-two:1;header=x-two:2"]));
    }
    if sample.slow && dice.percent(30) {
        commands.push("delay=350");
    }
    if !commands.is_empty() {
        request = request.echo(&commands.join(";"));
    }
    if matches!(method, "POST" | "PUT") {
        request.body = match dice.below(3) {
            0 => Payload::None,
            1 => Payload::Sized("some body".to_owned()),
            _ => Payload::Chunked(vec!["some".to_owned(), "chunks".to_owned()], vec![]),
        };
        if request.body == Payload::None {
            request.body = Payload::Sized(String::new());
        }
    }
    if dice.percent(20) { request.http2() } else { request }
}

/// Changes one thing, so that what was asked for is perhaps no longer what is meant.
fn miss(dice: &mut Dice, sample: &mut Sample) {
    match dice.below(12) {
        0 => sample.path.push('/'),
        1 => sample.path.push_str(dice.pick(&["b", "/b", "-y"])),
        2 => sample.path = sample.path.to_uppercase(),
        3 => {
            let end = sample.path.len() - 1;
            sample.path.truncate(end.max(1));
        }
        4 => sample.path = rule::some_path(dice),
        5 => sample.host = dice.pick(DOMAINS).1.to_owned(),
        6 => {
            sample.host =
                dice.pick(&["A.TEST", "z.a.test", "other.example", "test", "a.test:9090"]).to_string()
        }
        7 => sample.method = Some(dice.pick(&["GET", "POST", "DELETE", "PATCH"])),
        8 => sample.headers.clear(),
        9 => {
            for (_, value) in &mut sample.headers {
                *value = dice.pick(&["", "1", "one", "ONE", "1,one", "123"]);
            }
        }
        10 => {
            let name = dice.pick(&["x-a", "x-b"]);
            sample.headers.retain(|(known, _)| *known != name);
            sample.headers.push((name, "1"));
        }
        _ => {
            sample.query = match &sample.query {
                Some(query) => Some(format!("{query}{}", dice.pick(&["x", "&q=1", ""]))),
                None => Some("q=1".to_owned()),
            }
        }
    }
}
