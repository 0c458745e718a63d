//! Where findings are collected.

use std::cell::RefCell;
use weir_model::{Diagnostic, Severity, limits};

/// The findings about one document or one mesh, at most [`limits::DIAGNOSTICS`] of them.
pub(crate) struct Report {
    inner: RefCell<Inner>,
}

struct Inner {
    resource: String,
    found: Vec<Diagnostic>,
    beyond: usize,
}

impl Report {
    /// For the resource of this name.
    pub(crate) fn new(resource: impl Into<String>) -> Self {
        Self { inner: RefCell::new(Inner { resource: resource.into(), found: Vec::new(), beyond: 0 }) }
    }

    /// The resource has said its name: all findings are about it, those already made too.
    pub(crate) fn rename(&self, resource: String) {
        let mut inner = self.inner.borrow_mut();
        for diagnostic in &mut inner.found {
            diagnostic.resource.clone_from(&resource);
        }
        inner.resource = resource;
    }

    pub(crate) fn error(&self, field: &str, message: impl Into<String>, mend: impl Into<String>) {
        self.add(Severity::Error, field, message.into(), mend.into());
    }

    pub(crate) fn warning(&self, field: &str, message: impl Into<String>, mend: impl Into<String>) {
        self.add(Severity::Warning, field, message.into(), mend.into());
    }

    pub(crate) fn note(&self, field: &str, message: impl Into<String>, mend: impl Into<String>) {
        self.add(Severity::Note, field, message.into(), mend.into());
    }

    fn add(&self, severity: Severity, field: &str, message: String, mend: String) {
        let mut inner = self.inner.borrow_mut();
        if inner.found.len() < limits::DIAGNOSTICS {
            let resource = inner.resource.clone();
            inner.found.push(Diagnostic { severity, resource, field: field.to_owned(), message, mend });
        } else {
            inner.beyond += usize::from(severity == Severity::Error);
        }
    }

    /// Whether findings are only counted from now on, so that their words need not be found.
    pub(crate) fn is_full(&self) -> bool {
        self.inner.borrow().found.len() >= limits::DIAGNOSTICS
    }

    /// Whether there is an error among the findings.
    pub(crate) fn failed(&self) -> bool {
        let inner = self.inner.borrow();
        inner.beyond > 0 || inner.found.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// The findings, in the order in which they were made.
    pub(crate) fn finish(self) -> Vec<Diagnostic> {
        let Inner { resource, mut found, beyond } = self.inner.into_inner();
        if beyond > 0 {
            found.push(beyond_the_bound(resource, beyond));
        }
        found
    }
}

/// All findings if they are at most [`limits::DIAGNOSTICS`]; else the first of them, errors before everything else.
pub(crate) fn bounded(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    if found.len() <= limits::DIAGNOSTICS {
        return found;
    }
    found.sort_by_key(|diagnostic| diagnostic.severity);
    let beyond = found.split_off(limits::DIAGNOSTICS);
    let errors = beyond.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    if errors > 0 {
        found.push(beyond_the_bound("manifest".to_owned(), errors));
    }
    found
}

/// The last finding of a list that was cut.
fn beyond_the_bound(resource: String, errors: usize) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        resource,
        field: String::new(),
        message: format!("there are {errors} more errors"),
        mend: "mend those above first".to_owned(),
    }
}
