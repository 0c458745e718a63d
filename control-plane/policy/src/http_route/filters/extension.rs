//! `ExtensionRef`: a filter of weir's own, which a `RouteFilter` of the same namespace describes.

use super::Scope;
use crate::Kind;
use crate::decode::{At, Schema, excerpt};
use crate::parse::read_subdomain;
use serde_json::{Value, json};
use weir_model::mesh::Name;

const GROUP: &str = "weir.dev";

pub(super) fn read(at: &At<'_>, scope: Scope<'_>, extensions: &mut Vec<Name>) -> Option<()> {
    let reference = at.object(&Schema::of(&["group", "kind", "name"]))?;
    let mut good = true;
    for (field, expected) in [("group", GROUP), ("kind", Kind::RouteFilter.as_str())] {
        match reference.required_text(field, &format!("write {expected}")) {
            Some((_, text)) if text == expected => {}
            Some((at, text)) => {
                let found = excerpt(&Value::from(text));
                at.error(
                    format!("an extension of {field} {found} is not known"),
                    format!("write {expected}"),
                );
                good = false;
            }
            None => good = false,
        }
    }
    let (at, text) = reference.required_text("name", "name the RouteFilter")?;
    let name = Name::new(scope.namespace, read_subdomain(&at, text)?);
    if extensions.contains(&name) {
        at.error(format!("RouteFilter {text} is there already"), "remove one");
        return None;
    }
    extensions.push(name);
    good.then_some(())
}

pub(super) fn write(name: &Name) -> Value {
    json!({"group": GROUP, "kind": Kind::RouteFilter.as_str(), "name": name.name})
}
